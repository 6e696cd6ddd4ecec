//! What every part asks of a pod's status.

use k8s_openapi::api::core::v1::{Pod, PodCondition};

/// The pod's `Ready` condition, if it is true.
pub fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether the pod's `Ready` condition is true.
pub fn is_ready(pod: &Pod) -> bool {
    ready_condition(pod).is_some()
}

/// Whether it is ready, and not asked to go.
pub fn is_ready_and_stays(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && is_ready(pod)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &str, deleted: bool) -> Pod {
        let deleted = deleted.then_some("2026-01-01T00:00:00Z");
        let conditions = json!([{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": status}]);
        serde_json::from_value(json!({
            "metadata": {"deletionTimestamp": deleted}, "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn ready_is_a_word_of_the_status_and_staying_one_of_the_metadata() {
        assert!(is_ready(&pod("True", false)) && is_ready_and_stays(&pod("True", false)));
        assert!(is_ready(&pod("True", true)) && !is_ready_and_stays(&pod("True", true)));
        assert!(!is_ready(&pod("False", false)) && !is_ready(&pod("Unknown", false)) && !is_ready(&Pod::default()));
    }
}

//! A ReplicaSet that lost count: below its size, with nothing that keeps it from making pods, and it makes none. Seen
//! when pods are deleted and relabelled in the same moment; Kubernetes gets over it after five minutes, requests
//! for a dry pool would wait as long. Our own shrinking avoids it ([`muon_plan::shrink`]); others can still cause it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;

/// A ReplicaSet that makes no pod for this long will not by itself.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Since when Deployments are short of pods, by UID.
#[derive(Default)]
pub struct Shortages(Mutex<HashMap<String, Instant>>);

/// What is to be thought of a Deployment's number of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// As it should be, or known why not.
    Right,
    /// Short of pods, but not for long.
    Short,
    /// Short for so long that its ReplicaSet must have lost count.
    Stuck,
}

impl Shortages {
    /// Takes a Deployment as it is now.
    pub fn count(&self, deployment: &Deployment, now: Instant) -> Count {
        let uid = deployment.uid().unwrap_or_default();
        let mut shortages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_short(deployment) {
            shortages.remove(&uid);
            return Count::Right;
        }
        let since = *shortages.entry(uid.clone()).or_insert(now);
        if now.duration_since(since) < PATIENCE {
            return Count::Short;
        }
        shortages.remove(&uid);
        Count::Stuck
    }
}

/// Fewer pods *exist* than are asked for (ready or not), of the size that its controller has taken note of, and it says
/// of nothing that keeps it from making more (a quota, an admission webhook).
fn is_short(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(status) = &deployment.status else { return false };
    let noted = status.observed_generation.is_some() && status.observed_generation == deployment.metadata.generation;
    let fails = status.conditions.iter().flatten().any(|it| it.type_ == "ReplicaFailure" && it.status == "True");
    noted && !fails && deployment.metadata.deletion_timestamp.is_none() && status.replicas.unwrap_or(0) < wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(replicas: i32, failure: bool) -> Deployment {
        let condition = json!({"type": "ReplicaFailure", "status": if failure { "True" } else { "False" }});
        serde_json::from_value(json!({
            "metadata": {"name": "pool", "uid": "u", "generation": 2},
            "spec": {"replicas": 3, "selector": {}, "template": {}},
            "status": {"observedGeneration": 2, "replicas": replicas, "conditions": [condition]}
        }))
        .unwrap()
    }

    #[test]
    fn a_pool_is_stuck_when_it_stays_short_without_a_reason() {
        let (shortages, start) = (Shortages::default(), Instant::now());
        let late = start + PATIENCE;
        assert_eq!(shortages.count(&deployment(2, false), start), Count::Short);
        assert_eq!(shortages.count(&deployment(3, false), start), Count::Right);
        assert_eq!(shortages.count(&deployment(2, false), late), Count::Short, "it was right in between");
        assert_eq!(shortages.count(&deployment(2, false), late + PATIENCE), Count::Stuck);
        assert_eq!(shortages.count(&deployment(2, true), late), Count::Right, "it says why");
        assert!(shortages.0.lock().unwrap().is_empty());
    }
}

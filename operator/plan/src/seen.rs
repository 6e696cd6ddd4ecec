//! Pods and Deployments as the plan needs them: small views, so that a visit never copies whole objects.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use muon_crds::pods;
use muon_crds::words::{self, State};
use serde::{Deserialize, Serialize};

/// A pod of ours, as last watched.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SeenPod {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Label `muon.dev/state`.
    pub state: String,
    /// Label `muon.dev/pool`: hash of the pool's template.
    pub pool: Option<String>,
    /// Label `muon.dev/function`.
    pub function: Option<String>,
    /// Label `muon.dev/revision`.
    pub revision: Option<String>,
    /// Whether it comes from a function's own Deployment (label `muon.dev/mode`).
    pub own: bool,
    /// Whether it is bound to a node.
    pub assigned: bool,
    /// `status.phase`.
    pub phase: String,
    /// Condition `Ready` is `True`.
    pub ready: bool,
    /// Seconds from its making until it was ready, when it is.
    pub started_in: Option<i64>,
    /// It has a deletionTimestamp.
    pub terminating: bool,
    /// What keeps it from running, in a few words: `ImagePullBackOff: …`.
    pub trouble: Option<String>,
}

/// A pod to act on: the name, bound to the UID that was looked at.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct PodRef {
    /// Name.
    pub name: String,
    /// UID: a precondition of every write.
    pub uid: String,
}

/// A Deployment of ours, as last watched.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SeenDeployment {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Label `muon.dev/pool`, on the Deployment of a pool.
    pub pool: Option<String>,
    /// Label `muon.dev/revision`, on a function's own Deployment.
    pub revision: Option<String>,
    /// `spec.replicas`.
    pub replicas: i32,
    /// `status.readyReplicas`.
    pub ready: i32,
    /// What keeps it from making pods (quota, admission), in a few words.
    pub trouble: Option<String>,
}

impl SeenPod {
    /// The view of a pod.
    pub fn of(pod: &Pod) -> Self {
        let label = |key: &str| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned();
        let status = pod.status.as_ref();
        let ready = pods::ready_condition(pod);
        Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            resource_version: pod.metadata.resource_version.clone().unwrap_or_default(),
            state: label(words::STATE).unwrap_or_default(),
            pool: label(words::POOL),
            function: label(words::FUNCTION),
            revision: label(words::REVISION),
            own: label(words::MODE).is_some(),
            assigned: pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()),
            phase: status.and_then(|status| status.phase.clone()).unwrap_or_else(|| "Pending".to_owned()),
            ready: ready.is_some(),
            started_in: ready.and_then(|ready| {
                let (made, since) = (pod.metadata.creation_timestamp.as_ref()?, ready.last_transition_time.as_ref()?);
                Some(since.0.as_second() - made.0.as_second())
            }),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            trouble: trouble(pod),
        }
    }

    /// Where it stands in its life, when the label says so in a word that we know.
    pub fn state(&self) -> Option<State> {
        State::parse(&self.state)
    }

    /// Whether a ReplicaSet still counts it: not on its way out, and not ended.
    pub fn counts(&self) -> bool {
        !self.terminating && !self.ended()
    }

    /// Whether it has ended for good (evicted, its node shut down). Nothing starts it again, and nobody but us
    /// removes it.
    pub fn ended(&self) -> bool {
        self.phase == "Succeeded" || self.phase == "Failed"
    }

    /// The pod to act on.
    pub fn reference(&self) -> PodRef {
        PodRef { name: self.name.clone(), uid: self.uid.clone() }
    }
}

impl SeenDeployment {
    /// The view of a Deployment.
    pub fn of(deployment: &Deployment) -> Self {
        let label = |key: &str| deployment.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned();
        let status = deployment.status.as_ref();
        let failure = status
            .and_then(|status| status.conditions.as_ref())
            .and_then(|all| all.iter().find(|found| found.type_ == "ReplicaFailure" && found.status == "True"));
        Self {
            name: deployment.metadata.name.clone().unwrap_or_default(),
            uid: deployment.metadata.uid.clone().unwrap_or_default(),
            pool: label(words::POOL),
            revision: label(words::REVISION),
            // The API server's default.
            replicas: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
            trouble: failure.and_then(|found| found.message.clone()),
        }
    }
}

/// What keeps a pod from running: a container that waits for a reason, or a scheduler that found no node.
fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    if let Some(text) = containers.filter_map(waiting).next() {
        return Some(text);
    }
    let scheduled = status.conditions.iter().flatten().find(|found| found.type_ == "PodScheduled")?;
    (scheduled.status == "False").then(|| sentence(scheduled.reason.as_deref(), scheduled.message.as_deref()))
}

/// Waiting for its turn is no trouble; waiting for anything else is.
fn waiting(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    (!matches!(reason, "ContainerCreating" | "PodInitializing"))
        .then(|| sentence(Some(reason), waiting.message.as_deref()))
}

/// Conditions hold sentences, not logs.
const MAX_TROUBLE: usize = 512;

fn sentence(reason: Option<&str>, message: Option<&str>) -> String {
    let whole = match (reason, message) {
        (Some(reason), Some(message)) => format!("{reason}: {message}"),
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) => "unknown".to_owned(),
    };
    whole.chars().take(MAX_TROUBLE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_says_what_keeps_it_from_running() {
        let pod: Pod = serde_yaml::from_str(
            "
metadata: {name: p, uid: u, resourceVersion: '7', labels: {muon.dev/state: free, muon.dev/pool: abc}}
spec: {nodeName: n, containers: []}
status:
  phase: Pending
  conditions: [{type: Ready, status: 'False'}]
  initContainerStatuses:
  - {name: agent, image: a, imageID: '', ready: false, restartCount: 0, state: {running: {}}}
  containerStatuses:
  - {name: runtime, image: r, imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: ImagePullBackOff, message: no such image}}}
",
        )
        .unwrap();
        let seen = SeenPod::of(&pod);
        assert_eq!(seen.trouble.as_deref(), Some("ImagePullBackOff: no such image"));
        assert_eq!((seen.state(), seen.ready, seen.assigned, seen.own), (Some(State::Free), false, true, false));
        assert!(seen.counts());
    }

    #[test]
    fn a_starting_pod_is_in_no_trouble() {
        let pod: Pod = serde_yaml::from_str(
            "
status:
  containerStatuses:
  - {name: runtime, image: r, imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: PodInitializing}}}
",
        )
        .unwrap();
        assert_eq!(SeenPod::of(&pod).trouble, None);
    }

    #[test]
    fn an_unschedulable_pod_says_why() {
        let pod: Pod = serde_yaml::from_str(
            "
status:
  conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: no memory}]
",
        )
        .unwrap();
        assert_eq!(SeenPod::of(&pod).trouble.as_deref(), Some("Unschedulable: no memory"));
    }
}

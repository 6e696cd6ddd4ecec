//! What there is of a build: its Job, and how the steps of its pod ended.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use muon_crds::words;
use serde::{Deserialize, Serialize};

/// How far a Job is.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// It has not ended.
    #[default]
    Running,
    /// It came to a result.
    Complete,
    /// It failed for good.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Why, in Kubernetes' word: `PodFailurePolicy`, `DeadlineExceeded`, `BackoffLimitExceeded`.
        reason: String,
        /// And in a sentence.
        message: String,
    },
}

/// A build's Job, as last watched.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SeenJob {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Annotation `muon.dev/build-key`.
    pub key: String,
    /// When it was made, in seconds since the epoch.
    pub created: i64,
    /// It has a deletionTimestamp.
    pub terminating: bool,
    /// How far it is.
    pub phase: Phase,
}

impl SeenJob {
    /// The view of a Job.
    pub fn of(job: &Job) -> Self {
        let meta = &job.metadata;
        let conditions = || job.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let said = |type_: &str| conditions().find(|found| found.type_ == type_ && found.status == "True");
        let phase = match (said("Complete"), said("Failed")) {
            (Some(_), _) => Phase::Complete,
            (None, Some(failed)) => Phase::Failed {
                reason: failed.reason.clone().unwrap_or_default(),
                message: failed.message.clone().unwrap_or_default(),
            },
            (None, None) => Phase::Running,
        };
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            key: meta.annotations.as_ref().and_then(|all| all.get(words::BUILD_KEY)).cloned().unwrap_or_default(),
            created: meta.creation_timestamp.as_ref().map_or(0, |made| made.0.as_second()),
            terminating: meta.deletion_timestamp.is_some(),
            phase,
        }
    }
}

/// How a step of a build's pod ended badly.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SeenStep {
    /// Name of the container.
    pub container: String,
    /// Its exit code.
    pub exit_code: i32,
    /// Why, in kubelet's word: `Error`, `OOMKilled`.
    pub reason: String,
    /// What it said at last.
    pub message: String,
}

impl SeenStep {
    /// The step of this pod that failed.
    pub fn failed(pod: &Pod) -> Option<Self> {
        let status = pod.status.as_ref()?;
        let all = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
        all.filter_map(Self::of).find(|step| step.exit_code != 0)
    }

    fn of(container: &ContainerStatus) -> Option<Self> {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        Some(Self {
            container: container.name.clone(),
            exit_code: ended.exit_code,
            reason: ended.reason.clone().unwrap_or_default(),
            message: ended.message.clone().unwrap_or_default(),
        })
    }
}

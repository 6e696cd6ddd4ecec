//! Builds: what a Package with `build` becomes, by one Job for each build.
//!
//! ```text
//!   Job build-<key>  one pod, from the left to the right, on one scratch volume /packages
//!     fetch (agent)            build (the Environment's builder)      upload (agent)
//!     source from the store,   SRC_PKG=/packages/source               /packages/deploy as an archive into the store,
//!     verified and unpacked    DEPLOY_PKG=/packages/deploy            and into its index: <key> came to <digest>
//! ```
//! A build is known by its key: a hash over all that decides its result. The store remembers what a key came to, the Job
//! of that name says how far it is, so whoever asks, and however often he was killed meanwhile, the same is built once.

mod failure;
mod history;
mod job;
mod seen;
mod validate;

use k8s_openapi::api::core::v1::ResourceRequirements;
use muon_crds::ConditionType;
use muon_crds::package::BuildStatus;

use crate::finding::Invalid;
use crate::meta::Owner;

pub use failure::failure;
pub use history::{History, superfluous};
pub use job::job;
pub use seen::{Phase, SeenJob, SeenStep};
pub use validate::validate;

/// The init container that brings the source.
pub const FETCH: &str = "fetch";
/// The init container that runs the builder.
pub const BUILD: &str = "build";
/// The container that brings the result into the store.
pub const UPLOAD: &str = "upload";

/// A build that can be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid {
    /// The Package.
    pub owner: Owner,
    /// Name of its Environment.
    pub environment: String,
    /// `sha256:…` of what decides the result.
    pub key: String,
    /// Name of the Job.
    pub job: String,
    /// `sha256:…` of the source.
    pub source: String,
    /// The builder's image.
    pub image: String,
    /// Its command.
    pub command: Vec<String>,
    /// Resources of its container.
    pub resources: ResourceRequirements,
    /// Seconds that the whole build may take.
    pub deadline: i64,
    /// ConfigMap with where packages come from.
    pub registries: Option<String>,
    /// Secrets for pulling the images.
    pub pull_secrets: Vec<String>,
    /// Image of the agent.
    pub agent_image: String,
    /// `imagePullPolicy` of all containers.
    pub pull_policy: String,
    /// Base URL of the store.
    pub store: String,
}

impl Valid {
    /// What the status says of it.
    pub fn status(&self) -> BuildStatus {
        BuildStatus { key: self.key.clone(), job: self.job.clone() }
    }

    /// The build runs.
    pub fn building(&self, trouble: Option<&str>) -> Invalid {
        let name = &self.job;
        let message = match trouble {
            Some(trouble) => format!("Job {name}: {trouble}"),
            None => format!("Job {name} builds it: kubectl logs -f job/{name} -c {BUILD}"),
        };
        Invalid::waiting(ConditionType::Built, "Building", message)
    }

    /// Others come first.
    pub fn waiting(&self, bound: usize) -> Invalid {
        let message = match bound {
            1 => "a build runs in this namespace, as many as may run at once: this one's turn comes".to_owned(),
            bound => format!("{bound} builds run in this namespace, as many as may run at once: this one's turn comes"),
        };
        Invalid::waiting(ConditionType::Built, "WaitingForTurn", message)
    }

    /// An object that is not ours has the Job's name.
    pub fn conflict(&self) -> Invalid {
        Invalid { condition: ConditionType::Built, ..Invalid::name_conflict("Job", &self.job) }
    }
}

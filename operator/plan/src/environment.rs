//! Environment: the pool of generic pods.

mod build;
mod pool;
mod report;
mod tide;
mod validate;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use muon_crds::Environment;
use serde::{Deserialize, Serialize};

use crate::meta::Owner;
use crate::seen::{PodRef, SeenDeployment, SeenPod};
use crate::shrink::OldStep;

pub use build::{build, build_policy_name};
pub use pool::{Held, held, pool_size};
pub use report::report;
pub use tide::{Tide, USUAL_START, claimed_in_one_start, start_time};
pub use validate::validate;

/// An Environment and what there is of it.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// The object.
    pub object: Environment,
    /// The Deployments it controls: one per template that still has pods.
    #[serde(default)]
    pub pools: Vec<SeenDeployment>,
    /// All pods with its `muon.dev/environment` label: free, claimed and own Deployments' ones.
    #[serde(default)]
    pub pods: Vec<SeenPod>,
    /// Generic pods that it is to hold: the level of its [`Tide`], which rises with claims and with requests that wait.
    #[serde(default)]
    pub demand: i32,
}

/// An Environment that can be built.
#[derive(Clone, Debug)]
pub struct Valid {
    /// Owner and namespace of all that is built.
    pub owner: Owner,
    /// Name of the pool's Deployment.
    pub pool: String,
    /// Hash of the whole pod template.
    pub template_hash: String,
    /// The generic pod.
    pub template: PodTemplateSpec,
    /// Generic pods kept ready.
    pub min: i32,
    /// Generic pods kept ready at most.
    pub max: i32,
    /// Muon's own namespace, where the proxies are.
    pub system: String,
    /// Whether it builds packages.
    pub builds: bool,
}

/// All that an Environment asks for.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// The current pool.
    pub pool: Deployment,
    /// Only proxies reach its pods, the functions' own ones included.
    pub network_policy: NetworkPolicy,
    /// Nobody reaches its builds. None: it has no builder, and a policy of ours that is there goes.
    pub build_policy: Option<NetworkPolicy>,
    /// While a node is emptied, half of the free pods stay. None: a budget of ours that is there goes.
    pub disruption_budget: Option<PodDisruptionBudget>,
}

/// What is to be done to the sizes of an Environment's pools, in this order: label `retire`, set the replicas,
/// delete. Every write carries the UID.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PoolDecision {
    /// `spec.replicas` of the current pool.
    pub replicas: i32,
    /// Free pods to be set `retiring` with `pod-deletion-cost: -1000` (tested: uid, state free).
    pub retire: Vec<PodRef>,
    /// Pods to be deleted: ended ones, and retiring ones that no shrinking needs any more, for which their ReplicaSet
    /// starts fresh ones.
    pub discard: Vec<PodRef>,
    /// Pools of earlier templates.
    pub old: Vec<OldPool>,
}

/// What is to be done to a pool of an earlier template.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OldPool {
    /// Name of its Deployment.
    pub name: String,
    /// UID of its Deployment.
    pub uid: String,
    /// What to do to it.
    pub step: OldStep,
}

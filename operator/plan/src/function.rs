//! Function: a name inside the cluster, a revision, and pods of its own when it needs what a generic pod cannot have.

mod autoscale;
mod build;
mod env;
mod references;
mod report;
mod scale;
mod schedule;
mod validate;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use muon_crds::function::Serving;
use muon_crds::package::Source;
use muon_crds::wire::LoadFailure;
use muon_crds::{Environment, Function, Package};
use serde::{Deserialize, Serialize};

use crate::finding::Invalid;
use crate::meta::Owner;
use crate::pod::OwnPod;
use crate::seen::{PodRef, SeenDeployment, SeenPod};
use crate::shrink::OldStep;

pub use autoscale::{Autoscaler, kept_now};
pub use build::build;
pub use env::{Held, HeldKeys, MAX_BYTES, at_start, wanted_keys};
pub use references::{Reference, ReferenceKind, references};
pub use report::report;
pub use scale::{own_replicas, scale};
pub use schedule::{BadWindow, Kept, kept};
pub use validate::validate;

/// A Function and what there is of it.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// The object.
    pub object: Function,
    /// `spec.environment`.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// `spec.package`, or for inline source the Package named [`muon_crds::names::inline_package`].
    #[serde(default)]
    pub package: Option<Package>,
    /// Every Secret and ConfigMap of [`references`], with its resourceVersion when it exists.
    #[serde(default)]
    pub references: Vec<Referenced>,
    /// The Deployments it controls: one per revision that still has pods.
    #[serde(default)]
    pub deployments: Vec<SeenDeployment>,
    /// The pods it controls (claimed ones) and those of its own Deployments.
    #[serde(default)]
    pub pods: Vec<UsedPod>,
    /// The HorizontalPodAutoscaler that names it or one of its Deployments, if there is one.
    #[serde(default)]
    pub autoscaler: Option<Autoscaler>,
    /// The time, in seconds since 1970: what the windows of `scaling.schedule` are held against.
    #[serde(default)]
    pub now: i64,
    /// What requests want now: the highest that a ready proxy says.
    #[serde(default)]
    pub demand: Demand,
    /// Its last failed load, of whichever revision.
    #[serde(default)]
    pub failure: Option<LoadFailure>,
    /// The lowest `seen.functions` of all ready proxies; none while no proxy is ready.
    #[serde(default)]
    pub watermark: Option<u64>,
}

/// A Secret or ConfigMap that a Function uses. Of a Secret, nothing is ever read but that it is there.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Referenced {
    /// Which one.
    pub kind: ReferenceKind,
    /// Its name.
    pub name: String,
    /// Its resourceVersion; none when it does not exist.
    #[serde(default)]
    pub resource_version: Option<String>,
    /// Of a ConfigMap: the keys of [`wanted_keys`].
    #[serde(flatten)]
    pub keys: HeldKeys,
}

/// A pod and what the proxies do with it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UsedPod {
    /// The pod.
    #[serde(flatten)]
    pub pod: SeenPod,
    /// None: not known, because not every ready proxy has told. Such a pod is left alone.
    #[serde(default)]
    pub usage: Option<Usage>,
}

/// What all ready proxies do with one pod.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Whether any proxy has sent it anything: then the code has been loaded.
    #[serde(default)]
    pub used: bool,
    /// Whether any proxy says that it has loaded the code.
    #[serde(default)]
    pub loaded: bool,
    /// Whether any proxy says that nothing can be loaded into it any more: it is replaced.
    #[serde(default)]
    pub broken: bool,
    /// Requests in flight in it, summed.
    #[serde(default)]
    pub in_flight: u32,
    /// The least that any proxy says it has been idle; never more than the pod's age.
    #[serde(default)]
    pub idle_ms: u64,
    /// Whether every proxy has applied the pod's present resourceVersion.
    #[serde(default)]
    pub seen: bool,
}

/// What requests want of a function.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// Pods it would take to serve all requests that are in flight or queued.
    #[serde(default)]
    pub wanted: u32,
}

/// A Function as far as it can be built.
#[derive(Clone, Debug)]
pub struct Valid {
    /// Owner and namespace of all that is built.
    pub owner: Owner,
    /// The code in the manifest, of which a Package is made, and the Environment it is for.
    pub inline: Option<(String, Source)>,
    /// Host that the function's Service leads to.
    pub target: String,
    /// What is to run, once all that it refers to is there.
    pub resolved: Result<Resolved, Invalid>,
}

/// What is to run.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What requests are to be served with.
    pub serving: Serving,
    /// Pods of its own; none in pool mode.
    pub own: Option<OwnPod>,
    /// Whole time that the load at the start of an own pod may take.
    pub load_timeout_ms: u64,
    /// Base URL of the store.
    pub store: String,
}

/// All that a Function asks for.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// The name inside the cluster. Applied first.
    pub service: Service,
    /// The Package of inline source. None: one of ours that is there goes.
    pub package: Option<Package>,
    /// Its own Deployment, for the revision of [`Valid::resolved`].
    pub deployment: Option<Deployment>,
}

/// What is to be done to the number of a Function's pods, in this order: drain, set replicas, delete, claim.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// `spec.replicas` of the Deployment of the revision that is asked for (mode Deployment only).
    pub replicas: i32,
    /// Deployments of other revisions.
    pub old: Vec<OldDeployment>,
    /// Pods to be set `draining` (tested: uid, state claimed), with `pod-deletion-cost: -1000`.
    pub drain: Vec<PodRef>,
    /// Drained and ended pods to be deleted, with a UID precondition.
    pub delete: Vec<PodRef>,
    /// Pods of the pool that must be there though nobody calls (`scaling.min`, `replicas`): when there are fewer, a
    /// proxy is asked for them (`POST /v1/pod`, with this as `pods`). 0: nothing to ask.
    pub claim: u32,
}

/// What is to be done to a Deployment of an earlier revision.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OldDeployment {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// What to do to it.
    pub step: OldStep,
}

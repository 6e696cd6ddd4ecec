//! What a proxy writes, behind a trait: this crate has no client of the API server.

use futures::future::BoxFuture;
use muon_crds::Serving;
use muon_crds::wire::Reserved;
use muon_routes::{Function, Pod};

/// Make this pod, which is free or reserved by this proxy, this function's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Namespace of the pod and of the Function.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Its UID, to be tested.
    pub pod_uid: String,
    /// Name of the Function.
    pub function: String,
    /// Its UID, for the owner reference.
    pub function_uid: String,
    /// The revision it is claimed for.
    pub revision: String,
    /// Environment of the pod.
    pub environment: String,
    /// The reservation it is claimed out of, to be tested; none: it is free, which is tested too.
    pub reserved: Option<Reserved>,
}

impl ClaimRequest {
    pub(crate) fn new(function: &Function, serving: &Serving, pod: &Pod, reserved: Option<Reserved>) -> Self {
        Self {
            namespace: function.namespace().to_owned(),
            pod: pod.name.to_string(),
            pod_uid: pod.uid.to_string(),
            function: function.name().to_owned(),
            function_uid: function.uid.to_string(),
            revision: serving.revision.clone(),
            environment: serving.environment.clone(),
            reserved,
        }
    }
}

/// Change what is reserved: a pod of a pool that is no function's before or after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReserveRequest {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Its UID, to be tested.
    pub pod_uid: String,
    /// What is to become of it; all that this starts from is tested.
    pub step: Step,
}

/// A step of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Free: set aside.
    Reserve(Reserved),
    /// Reserved by this proxy, and nothing was ever loaded under it: free.
    Return(Reserved),
    /// Reserved, and nobody knows of it any more: never to be used, the operator's to replace.
    Retire(Reserved),
}

/// How a patch ended that the API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The pod is as was asked.
    Won {
        /// The pod's resourceVersion in the answer.
        resource_version: u64,
    },
    /// It was somebody else's already, is gone or going: the precondition failed, or the answer showed a
    /// deletionTimestamp.
    Lost,
}

/// A patch that got no clear answer, or a refusal.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
#[error("the claim failed: {message}")]
pub struct ClaimError {
    /// What the API server, or the way to it, said.
    pub message: String,
    /// Whether the same may be tried again soon.
    pub retry: bool,
}

impl ClaimError {
    /// What a patch that got no answer within its time comes to.
    pub(crate) fn late() -> Self {
        Self { message: "the API server did not answer in time".to_owned(), retry: true }
    }
}

/// Claims and reserves pods. At most one patch per pod runs at a time in one proxy; a claim whose answer was lost may be
/// repeated.
pub trait Claimer: Send + Sync + 'static {
    /// Makes the patch of a claim.
    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claim, ClaimError>>;

    /// Makes the patch of a reservation.
    fn reserve(&self, request: ReserveRequest) -> BoxFuture<'_, Result<Claim, ClaimError>>;
}

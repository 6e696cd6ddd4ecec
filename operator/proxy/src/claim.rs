//! The one write that a cold request costs, behind a trait: this crate has no client of the API server.

use futures::future::BoxFuture;

/// Make this free pod this function's pod.
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
}

/// How a claim ended that the API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the function's.
    Won {
        /// The pod's resourceVersion in the answer.
        resource_version: u64,
    },
    /// It was somebody else's already, is gone or going: the precondition failed, or the answer showed a
    /// deletionTimestamp.
    Lost,
}

/// A claim that got no clear answer, or a refusal.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
#[error("the claim failed: {message}")]
pub struct ClaimError {
    /// What the API server, or the way to it, said.
    pub message: String,
    /// Whether the same may be tried again soon.
    pub retry: bool,
}

/// Claims pods. At most one claim per pod runs at a time in one proxy; a claim whose answer was lost may be repeated.
pub trait Claimer: Send + Sync + 'static {
    /// Makes the patch.
    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claim, ClaimError>>;
}

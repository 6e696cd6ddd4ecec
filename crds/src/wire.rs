//! What Muon's processes say to each other over HTTP, as JSON. No process outside Muon speaks this.
//!
//! | message | from → to | where |
//! | --- | --- | --- |
//! | [`LoadRequest`] → [`LoadReport`] | proxy → agent | `POST :8889/v1/load` |
//! | [`PodRequest`] → [`PodReply`] | proxy → home proxy | `POST :8083/v1/pod` |
//! | [`Activity`] | operator ← proxy | `GET :8083/v1/activity?seen=SEQ` |
//! | [`SweepRequest`] → [`SweepReply`] | operator → store | `POST :8080/v1/sweep` |
//! | [`LostReply`] | operator → store | `POST :8080/v1/lost` |
//! | [`Failure`] | anybody of ours → caller | every non-2xx answer of ours |

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::values::Variable;

/// Bring this package into this pod and have the runtime import it. Idempotent; callers at once are joined.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LoadRequest {
    /// Signed `Order::Load`: binds function, revision, digest, and the pod unless it is an own Deployment's.
    pub order: String,
    /// Base URL of the store, `http://host:port`.
    pub store: String,
    /// What the runtime is told to call; empty: its default.
    #[serde(default)]
    pub entrypoint: String,
    /// Name of the function, for the runtime's metadata and the logs.
    pub function: String,
    /// Its namespace.
    pub namespace: String,
    /// Whole time that the load may take, in milliseconds.
    pub timeout_ms: u64,
    /// Variables that the runtime sets before it imports the code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<Variable>,
    /// The W3C `traceparent` of the request that it is made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// How long the phases of a load took, in microseconds; all 0 when it was already loaded.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LoadReport {
    /// Asking the store, until the last byte.
    pub fetch_us: u64,
    /// Verifying the digest, meanwhile.
    #[serde(default)]
    pub verify_us: u64,
    /// Unpacking: what of it was left to do after the last byte, where an archive is unpacked while it comes.
    pub unpack_us: u64,
    /// The runtime's own import.
    pub load_us: u64,
    /// It was loaded before this request came.
    pub already: bool,
}

/// Give me a pod for this function, cold as it is.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodRequest {
    /// Name of the Function.
    #[serde(default)]
    pub function: String,
    /// Its namespace.
    #[serde(default)]
    pub namespace: String,
    /// UID of the Function.
    pub function_uid: String,
    /// The revision the asker means.
    pub revision: String,
    /// How many pods the asker holds to be enough, itself counted in; the home proxy never goes beyond `max`.
    pub pods: u32,
    /// UIDs of the pods that the asker has already: it wants another one.
    #[serde(default)]
    pub known: Vec<String>,
    /// How long the asker waits, in milliseconds.
    pub timeout_ms: u64,
}

/// A pod claimed for the function.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodReply {
    /// Name of the pod.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its address.
    pub ip: String,
    /// Port of its runtime.
    pub port: u16,
    /// Its resourceVersion, so that an older event of the asker's watch does not undo the reply.
    #[serde(default)]
    pub resource_version: u64,
    /// Time the claim took, in microseconds; 0 when the pod was there.
    pub claim_us: u64,
    /// The pod was reserved ahead; its claim follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Reserved>,
}

/// Who has set a pod aside, and until when.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Reserved {
    /// Name of the proxy's pod.
    pub by: Box<str>,
    /// Until then, in seconds since the epoch.
    pub until: u64,
}

/// What a proxy has seen and is doing. The operator asks for it, waiting: the answer comes when `seq` has passed
/// the asker's, or after ten seconds.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// Name of the proxy's pod.
    pub proxy: String,
    /// Grows with every change that the operator should know at once: a watermark, a demand, a failed load.
    pub seq: u64,
    /// Milliseconds since this proxy's tables were first complete: nothing can have been idle for longer, as far as it knows.
    pub up_ms: u64,
    /// Last resourceVersion applied, per kind.
    pub seen: Watermarks,
    /// Functions with anything in flight or queued, or that had, or with a loaded pod.
    pub functions: Vec<FunctionActivity>,
    /// Pods that this proxy has sent anything to, or has had loaded.
    pub pods: Vec<PodActivity>,
    /// Loads that failed for a reason in the user's code, last one per function.
    pub failures: Vec<LoadFailure>,
}

/// The last resourceVersion that a proxy has applied, per kind (0 = none yet).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Watermarks {
    /// Functions.
    pub functions: u64,
    /// HTTPTriggers.
    pub triggers: u64,
    /// Pods.
    pub pods: u64,
}

/// What a proxy does for one function.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FunctionActivity {
    /// UID of the Function.
    pub uid: String,
    /// Requests inside pods.
    pub in_flight: u32,
    /// Requests that wait for a pod.
    pub queued: u32,
    /// Pods it would take to serve all of them.
    pub wanted: u32,
    /// Milliseconds since the last request ended; 0 while there is one.
    pub idle_ms: u64,
    /// Pods of which this proxy knows that they have loaded the code.
    #[serde(default)]
    pub loaded: u32,
}

/// What a proxy does with one pod.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodActivity {
    /// UID of the pod.
    pub uid: String,
    /// Requests in flight in it.
    pub in_flight: u32,
    /// Milliseconds since the last one ended; 0 while there is one.
    pub idle_ms: u64,
    /// Its agent told this proxy that the code is loaded.
    #[serde(default)]
    pub loaded: bool,
    /// Nothing can be loaded into it any more: it serves nobody and must be replaced.
    #[serde(default)]
    pub broken: bool,
}

/// A load that failed because of the user's code.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LoadFailure {
    /// UID of the Function.
    pub uid: String,
    /// Its revision.
    pub revision: String,
    /// What the runtime said: the traceback's last lines; or what is wrong with the archive.
    pub message: String,
    /// One CamelCase word for it; empty from a proxy of an earlier release.
    #[serde(default)]
    pub reason: String,
}

/// Who failed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// The proxy, for a reason of its own (no route, queue full, deadline).
    Proxy,
    /// The agent (fetch, verify, unpack).
    Agent,
    /// The runtime (import of the user's code).
    Runtime,
    /// The user's function.
    Function,
    /// The store.
    Store,
    /// The operator.
    Operator,
}

impl Component {
    /// As it stands in messages and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Agent => "agent",
            Self::Runtime => "runtime",
            Self::Function => "function",
            Self::Store => "store",
            Self::Operator => "operator",
        }
    }
}

/// Whether user code saw the request.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Executed {
    /// It did not.
    No,
    /// It may have.
    Unknown,
}

/// Body of every error answer of ours.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Who failed.
    pub component: Component,
    /// One CamelCase word for machines.
    pub reason: String,
    /// A sentence for people: what failed, and what to do.
    pub message: String,
    /// Id of the request, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Whether user code saw the request.
    pub executed: Executed,
}

/// What is in use of the store: everything else may go, once it has been out of use for the store's grace period.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SweepRequest {
    /// Digests that something refers to, by namespace. A namespace that is not named uses nothing.
    pub live: BTreeMap<String, BTreeSet<String>>,
}

/// What a sweep came to.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SweepReply {
    /// Archives deleted, or that would have been if the store did not run dry.
    pub swept: u64,
    /// Their bytes.
    pub swept_bytes: u64,
    /// Archives out of use that are kept until their grace period ends.
    pub waiting: u64,
    /// Of the digests in use, those that the store does not hold.
    pub missing: BTreeMap<String, BTreeSet<String>>,
}

/// Archives that somebody wanted to load since the last such call, and that the store could not give.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LostReply {
    /// Which run of the store says this: another one may have come up with less.
    pub instance: String,
    /// Each once.
    pub lost: Vec<Lost>,
}

/// An archive that the store cannot give.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// The namespace that it was stored for.
    pub namespace: String,
    /// `sha256:…`.
    pub digest: String,
    /// It was there, and damaged; otherwise it is missing.
    pub damaged: bool,
}

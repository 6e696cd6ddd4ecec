//! Function: code, and how it is to run.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::package::Source;
use crate::scaling::{ScalingStatus, Window};
use crate::values::{EnvVar, Resources, Variable, Volume};

/// Code, and how it is to run. Nothing of it runs while nobody calls it.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[kube(
    group = "muon.dev",
    version = "v1alpha1",
    kind = "Function",
    plural = "functions",
    namespaced,
    status = "FunctionStatus",
    derive = "PartialEq",
    shortname = "fn",
    category = "muon",
    doc = "Code, and how it is to run. Nothing of it runs while nobody calls it.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Env", type_ = "string", json_path = ".spec.environment"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".status.serving.mode", priority = "1"),
    printcolumn(name = "Loaded", type_ = "integer", json_path = ".status.readyReplicas", priority = "1"),
    printcolumn(name = "Kept", type_ = "integer", json_path = ".status.scaling.kept", priority = "1"),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.serving.digest", priority = "1"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 50 && !(self.metadata.name in ['muon-gateway', 'muon-functions'])").message("metadata.name: a function's name is a host name inside the cluster: lower-case letters, digits and '-', beginning with a letter, at most 50 characters, and not muon-gateway or muon-functions")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.source) != has(self.package)").message("spec: set exactly one of package and source"))]
#[x_kube(validation = Rule::new("!has(self.env) || self.env.all(e, self.env.exists_one(o, o.name == e.name))").message("env: names must be unique"))]
#[x_kube(validation = Rule::new("!has(self.volumes) || self.volumes.all(v, self.volumes.exists_one(o, o.name == v.name) && self.volumes.exists_one(o, o.mountPath == v.mountPath))").message("volumes: names and mount paths must be unique"))]
pub struct FunctionSpec {
    /// The Environment that runs it, in the same namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub environment: String,
    /// The Package that holds its code, in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub package: Option<String>,
    /// The code itself, for small functions: Muon makes the Package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What to call in the code; its form is the runtime's (Python: `module.function`). Empty: the runtime's default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub entrypoint: String,
    /// `sha256:…`: exactly this content of the Package is run, whatever the Package becomes: its `status.digest`, one of its
    /// `status.previous`, or what the Function serves already. `status.revisions` tells the digests of what served before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub package_digest: Option<String>,
    /// Requests that one pod is given at once.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 10000))]
    pub concurrency: i32,
    /// Seconds within which a reply must begin, a cold start included.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: i32,
    /// How many pods, and how long they stay.
    #[serde(default)]
    pub scaling: Scaling,
    /// Environment variables. In an Environment with `runtime.envAtLoad`, plain values and keys of ConfigMaps go with
    /// the load and cost nothing. Names and values have 32 KiB in all, Secrets aside. A key of a Secret, which only kubelet resolves, or a name of
    /// `runtime.envAtStart` gives the function pods of its own; so does any variable in other Environments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub env: Vec<EnvVar>,
    /// Volumes. They give the function pods of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub volumes: Vec<Volume>,
    /// Resources, where the Environment's do not fit. They give the function pods of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// 0 = automatic (the default); N holds N pods, as `kubectl scale` sets it.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
}

fn default_concurrency() -> i32 {
    10
}

fn default_timeout() -> i32 {
    60
}

/// How many pods a function has, and how long they stay.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.min <= self.max").message("scaling: min must not be above max"))]
#[x_kube(validation = Rule::new("!has(self.schedule) || self.schedule.all(w, w.min <= self.max)").message("scaling: min of a window of schedule must not be above max"))]
pub struct Scaling {
    /// Pods kept loaded though nobody calls.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub min: i32,
    /// Pods at most.
    #[serde(default = "default_scaling_max")]
    #[schemars(range(min = 1, max = 1000))]
    pub max: i32,
    /// Seconds after its last request before a pod is drained and deleted.
    #[serde(default = "default_idle")]
    #[schemars(range(min = 1, max = 86400))]
    pub idle_seconds: i32,
    /// Windows of time in which more than `min` are kept, ahead of known peaks. Where several are open, the highest
    /// counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub schedule: Vec<Window>,
}

fn default_scaling_max() -> i32 {
    10
}

fn default_idle() -> i32 {
    120
}

impl Default for Scaling {
    fn default() -> Self {
        Self { min: 0, max: default_scaling_max(), idle_seconds: default_idle(), schedule: Vec::new() }
    }
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// What is known of a Function.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionStatus {
    /// The generation of the spec that this status was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Resolved, Loaded, and while they apply Reconciling and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// What requests are served with now: the proxies route by this and by nothing in the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
    /// What requests were served with before, the newest first. The store keeps their packages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<PastRevision>,
    /// Its name inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Pods that serve it now.
    #[serde(default)]
    pub replicas: i32,
    /// Of these, pods that are ready and have loaded the code: a request to one is warm.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ready_replicas: i32,
    /// How many of them are kept though nobody calls, and why. None while it has none and keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// Selects its pods, in the form of a query string (for the scale subresource).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

/// A revision that requests were served with.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastRevision {
    /// Short hash of all that decided what ran.
    pub revision: String,
    /// `sha256:…` of its package.
    pub digest: String,
    /// Since when, RFC 3339; none of the first that is known of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Until when, RFC 3339.
    pub until: String,
}

/// Whose pods run a function.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum Mode {
    /// Generic pods of the Environment, claimed on demand.
    Pool,
    /// Pods of its own Deployment, because it needs what a generic pod cannot have.
    Deployment,
}

/// One consistent picture of what requests are served with: written whole by the operator, read by the proxies.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// Short hash of all that decides what runs: digest, entrypoint, runtime, env, volumes, resources.
    pub revision: String,
    /// `sha256:…` of the package in the store.
    pub digest: String,
    /// Whose pods run it.
    pub mode: Mode,
    /// Name of the Environment whose pods are claimed.
    pub environment: String,
    /// What the runtime is told to call.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub entrypoint: String,
    /// Requests that one pod is given at once.
    pub concurrency: i32,
    /// Seconds within which a reply must begin.
    pub timeout_seconds: i32,
    /// Pods at most.
    pub max: i32,
    /// Variables that go with the load: those of `spec.env`, resolved and expanded. Empty where kubelet sets them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<Variable>,
}

//! Environment: a runtime for one language and the pool of generic pods that run it.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::values::{LocalName, Resources};

/// A language runtime, and the generic pods that are kept ready to take a function's code.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[kube(
    group = "muon.dev",
    version = "v1alpha1",
    kind = "Environment",
    plural = "environments",
    namespaced,
    status = "EnvironmentStatus",
    derive = "PartialEq",
    shortname = "env",
    category = "muon",
    doc = "A language runtime, and the generic pods that are kept ready to take a function's code.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Free", type_ = "integer", json_path = ".status.free"),
    printcolumn(name = "Claimed", type_ = "integer", json_path = ".status.claimed"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.runtime.image", priority = "1"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40").message("metadata.name: at most 40 characters (names of pools are made from it)")
)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSpec {
    /// The container that runs functions.
    pub runtime: Runtime,
    /// The container that builds packages from source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<Builder>,
    /// How many generic pods wait for code.
    #[serde(default)]
    pub pool: Pool,
    /// Resources of the runtime container of generic pods.
    #[serde(default)]
    pub resources: Resources,
    /// How long a pod may take to finish its requests when it is asked to go, in seconds.
    #[serde(default = "default_grace")]
    #[schemars(range(min = 1, max = 3600))]
    pub termination_grace_period_seconds: i64,
    /// Secrets with which the node pulls the images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<LocalName>,
}

fn default_grace() -> i64 {
    60
}

/// The container that runs functions: any image that speaks the runtime contract.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Runtime {
    /// Image of the runtime.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[^\s]+$"))]
    pub image: String,
    /// Port on which it serves `/healthz`, `/v2/specialize` and the function.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The runtime takes `env` in the body of `/v2/specialize` and sets it before it imports the code. Functions whose
    /// variables are plain values or keys of ConfigMaps then start from the pool; without it, any variable gives a
    /// function pods of its own.
    #[serde(default, skip_serializing_if = "crate::values::is_false")]
    pub env_at_load: bool,
    /// With `envAtLoad`: names that mean something only to a process that starts; `*` at the end stands for any rest.
    /// A function that sets one of them has pods of its own. `LD_*`, `GLIBC_*`, `MALLOC_*`, `LANG`, `LANGUAGE`, `LC_*`
    /// and `MUON_*` are always among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 256), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*\*?$")))]
    pub env_at_start: Vec<String>,
}

fn default_port() -> i32 {
    i32::from(crate::words::PORT_RUNTIME)
}

/// The container that builds packages from source.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Builder {
    /// Image of the builder.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[^\s]+$"))]
    pub image: String,
    /// Its command, as a list of arguments; no shell reads it.
    #[serde(default = "default_command")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// Resources of its container.
    #[serde(default)]
    pub resources: Resources,
    /// How long a build may take in all, repeats after faults of the cluster included, in seconds.
    #[serde(default = "default_build_timeout")]
    #[schemars(range(min = 1, max = 86400))]
    pub timeout_seconds: i64,
    /// Where the builder gets packages of its language from: mirrors, proxies. The keys of the ConfigMap of this name are
    /// variables of the builder, those of the ConfigMap `<name>-files` are files in `/etc/muon/registries`. Builds start
    /// without those that are not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registries: Option<LocalName>,
}

fn default_command() -> Vec<String> {
    vec!["/usr/local/bin/build".to_owned()]
}

fn default_build_timeout() -> i64 {
    600
}

/// Bounds of the pool.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.min <= self.max").message("pool: min must not be above max"))]
pub struct Pool {
    /// Generic pods kept ready; 0 = started on demand.
    #[serde(default = "default_pool_min")]
    #[schemars(range(min = 0, max = 500))]
    pub min: i32,
    /// Generic pods kept ready at most, however high the demand.
    #[serde(default = "default_pool_max")]
    #[schemars(range(min = 1, max = 500))]
    pub max: i32,
}

fn default_pool_min() -> i32 {
    3
}

fn default_pool_max() -> i32 {
    20
}

impl Default for Pool {
    fn default() -> Self {
        Self { min: default_pool_min(), max: default_pool_max() }
    }
}

/// What is known of an Environment.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// The generation of the spec that this status was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, PoolReady, and while they apply Reconciling and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Name of the Deployment that holds the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Generic pods that are ready for a claim.
    #[serde(default)]
    pub free: i32,
    /// Pods of this Environment that serve a function.
    #[serde(default)]
    pub claimed: i32,
}

impl Resources {
    /// Resources of a build whose Environment and Package name none.
    pub fn of_build() -> Self {
        let map = |items: &[(&str, &str)]| {
            items.iter().map(|(key, value)| ((*key).to_owned(), IntOrString::String((*value).to_owned()))).collect()
        };
        Self { requests: map(&[("cpu", "100m"), ("memory", "128Mi")]), limits: map(&[("memory", "1Gi")]) }
    }

    /// Resources of a generic pod whose Environment names none.
    pub fn small() -> Self {
        let map = |items: &[(&str, &str)]| {
            items.iter().map(|(key, value)| ((*key).to_owned(), IntOrString::String((*value).to_owned()))).collect()
        };
        Self { requests: map(&[("cpu", "20m"), ("memory", "48Mi")]), limits: map(&[("memory", "256Mi")]) }
    }
}

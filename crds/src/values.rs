//! Values that several kinds share: resources, environment variables, volumes. Curated, not passed through:
//! a whole PodSpec would open the pod to its author and break plain `kubectl apply` by its size.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Compute resources of a container.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the scheduler sets aside, e.g. `cpu: 50m`, `memory: 64Mi`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub requests: BTreeMap<String, IntOrString>,
    /// What the container may use at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, IntOrString>,
}

/// The name of an object in the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalName {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A variable with its final value.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Name of the variable.
    pub name: String,
    /// Its value, with nothing left to resolve or expand.
    pub value: String,
}

/// One environment variable of a function.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.value) && has(self.valueFrom))").message("env: set value or valueFrom, not both"))]
#[x_kube(validation = Rule::new("!(self.name in ['MUON_PORT', 'MUON_ADDRESS', 'MUON_GRACE_SECONDS'])").message("env: MUON_PORT, MUON_ADDRESS and MUON_GRACE_SECONDS are Muon's own: see runtime.port and terminationGracePeriodSeconds of the Environment"))]
pub struct EnvVar {
    /// Name of the variable: letters, digits, `-`, `_` and `.`, beginning with none of the digits.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^([-_a-zA-Z]|\.[-_a-zA-Z0-9])[-._a-zA-Z0-9]*$"))]
    pub name: String,
    /// Its value. `$(NAME)` stands for a variable further up in the list, `$$(NAME)` for the text `$(NAME)`, as in a
    /// pod; a name that is not there is left as it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where its value comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// Where an environment variable's value comes from. Secrets stay references that only kubelet resolves.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)").message("valueFrom: set exactly one of secretKeyRef and configMapKeyRef"))]
pub struct EnvVarSource {
    /// A key of a Secret in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A key of a ConfigMap in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
}

/// A key of a Secret or ConfigMap.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// Name of the Secret or ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in it. Variables take the keys of a ConfigMap's `data`, not of its `binaryData`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^([-_a-zA-Z0-9]|\.[-_a-zA-Z0-9])[-._a-zA-Z0-9]*$"))]
    pub key: String,
    /// Start without it when the object or the key does not exist.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

/// A volume of a function. Only kinds that Pod Security `restricted` allows, and no service-account tokens.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.configMap), has(self.secret), has(self.emptyDir), has(self.persistentVolumeClaim), has(self.projected), has(self.downwardAPI)].filter(x, x).size() == 1").message("volumes: set exactly one of configMap, secret, emptyDir, persistentVolumeClaim, projected, downwardAPI"))]
pub struct Volume {
    /// Name, unique in the function.
    #[schemars(length(min = 1, max = 50), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Absolute path where the function sees it.
    #[schemars(length(min = 2, max = 512), regex(pattern = r"^(/[^/:]+)+/?$"))]
    #[x_kube(validation = Rule::new("!self.split('/').exists(p, p == '..' || p == '.') && self != '/userfunc' && !self.startsWith('/userfunc/')").message("mountPath: an absolute path without '.' or '..' and outside /userfunc"))]
    pub mount_path: String,
    /// Mount it read-only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Files from a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<FilesFrom>,
    /// Files from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<FilesFrom>,
    /// An empty directory that lives as long as the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDir>,
    /// A claim of persistent storage in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimRef>,
    /// Several sources in one directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected: Option<Projected>,
    /// Files with fields of the pod.
    #[serde(default, rename = "downwardAPI", skip_serializing_if = "Option::is_none")]
    pub downward_api: Option<DownwardFiles>,
}

/// Files from a Secret or ConfigMap.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilesFrom {
    /// Name of the Secret or ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Start without it when it does not exist.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// Only these keys, under these paths; all keys when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub items: Vec<KeyToPath>,
}

/// One key as one file.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyToPath {
    /// Key in the Secret or ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// Relative path of the file.
    #[schemars(length(min = 1, max = 512), regex(pattern = RELATIVE_PATH))]
    pub path: String,
}

/// An empty directory.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDir {
    /// At most this much, e.g. `64Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub size_limit: Option<IntOrString>,
}

/// A claim of persistent storage.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRef {
    /// Name of the PersistentVolumeClaim.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
}

/// Several sources in one directory.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Projected {
    /// The sources.
    #[schemars(length(min = 1, max = 16))]
    pub sources: Vec<ProjectedSource>,
}

/// One source of a projected volume.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.configMap), has(self.secret), has(self.downwardAPI)].filter(x, x).size() == 1").message("sources: set exactly one of configMap, secret, downwardAPI"))]
pub struct ProjectedSource {
    /// Files from a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<FilesFrom>,
    /// Files from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<FilesFrom>,
    /// Files with fields of the pod.
    #[serde(default, rename = "downwardAPI", skip_serializing_if = "Option::is_none")]
    pub downward_api: Option<DownwardFiles>,
}

/// Files with fields of the pod.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DownwardFiles {
    /// The files.
    #[schemars(length(min = 1, max = 32))]
    pub items: Vec<DownwardFile>,
}

/// One field of the pod as one file.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DownwardFile {
    /// Relative path of the file.
    #[schemars(length(min = 1, max = 512), regex(pattern = RELATIVE_PATH))]
    pub path: String,
    /// The field, e.g. `metadata.labels`, `metadata.name`.
    #[schemars(length(min = 1, max = 253))]
    pub field_path: String,
}

/// Segments parted by single slashes, none of them `.` or `..`. A pattern, because a CEL rule on each item of each
/// volume costs more than the API server allows.
const RELATIVE_PATH: &str = r"^([^/.][^/]*|\.[^/.][^/]*|\.\.[^/]+)(/([^/.][^/]*|\.[^/.][^/]*|\.\.[^/]+))*$";

/// The form of a quantity, as the API server has it for its own kinds.
const QUANTITY: &str =
    r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+))?$";

fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": QUANTITY,
        "x-kubernetes-int-or-string": true,
    })
}

fn quantities(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 16, "additionalProperties": quantity(generator)})
}

pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

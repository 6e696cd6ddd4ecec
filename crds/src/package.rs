//! Package: code, content-addressed in the store.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::values::Resources;

/// Code for one Environment. Its content is its identity: a changed content is a new digest.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[kube(
    group = "muon.dev",
    version = "v1alpha1",
    kind = "Package",
    plural = "packages",
    namespaced,
    status = "PackageStatus",
    derive = "PartialEq",
    shortname = "pkg",
    category = "muon",
    doc = "Code for one Environment. Its content is its identity: a changed content is a new digest.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Environment", type_ = "string", json_path = ".spec.environment"),
    printcolumn(name = "Size", type_ = "integer", json_path = ".status.sizeBytes"),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.digest", priority = "1"),
    printcolumn(name = "Commit", type_ = "string", json_path = ".status.origin.commit", priority = "1"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = "1"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct PackageSpec {
    /// The Environment that runs (and builds) it, in the same namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub environment: String,
    /// Where the code comes from.
    pub source: Source,
    /// Present: the Environment's builder makes the package from the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
}

/// Where code comes from: exactly one of the fields.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.files), has(self.archive), has(self.oci), has(self.git)].filter(x, x).size() == 1").message("source: set exactly one of files, archive, oci, git"))]
pub struct Source {
    /// File name (a relative path) to its text: code in the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.size() > 0 && self.size() <= 256").message("files: between 1 and 256 files"))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[^/]') && !name.matches('(^|/)[.]{1,2}(/|$)|//|/$|[[:cntrl:]]'))").message("files: names are relative paths without '.', '..' or empty parts"))]
    #[schemars(extend("maxProperties" = 256))]
    pub files: Option<BTreeMap<String, String>>,
    /// A zip, tar, tar.gz or tar.zst archive behind a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// An OCI artifact or image, by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<Oci>,
    /// A commit of a git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
}

/// An archive behind a URL.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Archive {
    /// Where it is fetched from, `http://` or `https://`.
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^https?://[^\s]+$"))]
    pub url: String,
    /// What it must hash to.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
}

/// An OCI artifact or image.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Oci {
    /// Reference with a digest, `registry/name@sha256:…`.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\s@]+@sha256:[0-9a-f]{64}$"))]
    pub image: String,
    /// Secret of type kubernetes.io/dockerconfigjson with a login for the registry, in the same namespace. The operator must
    /// have been given the right to read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub pull_secret: Option<String>,
}

/// A commit of a git repository, over HTTP.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.commit) != has(self.ref)").message("git: set exactly one of commit, ref"))]
pub struct Git {
    /// The repository, `https://` or `http://`, without a user in it.
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^https?://[^\s@]+$"))]
    pub url: String,
    /// The commit: forty hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-f]{40}$"))]
    pub commit: Option<String>,
    /// A branch or tag. It is resolved once, to the commit in the status; to have it resolved again, say something else here.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^\s~^:?*\[\\]+$"))]
    pub reference: Option<String>,
    /// Only what is in this directory of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub path: Option<String>,
    /// Secret with `username` and `password`, in the same namespace, whose annotation muon.dev/host names the repository's
    /// host. The operator must have been given the right to read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret: Option<String>,
}

/// What an `oci` or `git` source came to.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// The source, as the spec named it.
    pub of: String,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// `sha256:…` of the archive that was made of it.
    pub digest: String,
}

/// How the Environment's builder is run on the source. What is left out is as the Environment says.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// The builder's command for this package, as a list of arguments; no shell reads it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// Resources of the builder's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// How long a build may take in all, repeats after faults of the cluster included, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub timeout_seconds: Option<i64>,
}

/// The build that the spec asks for.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildStatus {
    /// `sha256:…` of what decides its result: namespace, source, builder image and command. The same is never built twice.
    pub key: String,
    /// Name of its Job: `kubectl logs job/NAME -c build` shows the builder's log.
    pub job: String,
}

/// What is known of a Package.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageStatus {
    /// The generation of the spec that this status was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Stored, with `build` Built, and while they apply Reconciling and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// `sha256:…` of the archive that is loaded: with `build` what was built last, without it the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Size of that archive, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// With `build`: `sha256:…` of the source in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_digest: Option<String>,
    /// With `build`: the build that the spec asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildStatus>,
    /// What an `oci` or `git` source came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// With `build`: `sha256:…` of what was built before, the newest first. The store keeps it: going back takes no build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous: Vec<String>,
}

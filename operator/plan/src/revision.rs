//! Hashes of what runs.

use muon_crds::names;
use muon_crds::values::{EnvVar, Resources, Volume};
use serde::Serialize;

/// All that decides what runs. A field more here is a new revision of every function: add with care.
#[derive(Serialize, Debug)]
pub struct Parts<'a> {
    /// `sha256:…` of the package.
    pub digest: &'a str,
    /// What the runtime is told to call.
    pub entrypoint: &'a str,
    /// Image and port.
    pub runtime: RuntimePart<'a>,
    /// Environment variables; resolved, when they go with the load.
    pub env: &'a [EnvVar],
    /// Whether they do: such a function runs in other pods.
    #[serde(skip_serializing_if = "is_false")]
    pub env_at_load: bool,
    /// Volumes.
    pub volumes: &'a [Volume],
    /// Own resources.
    pub resources: Option<&'a Resources>,
    /// What else is used: `kind/name` and resourceVersion of Secrets and ConfigMaps, `ConfigMap/name/key` and value of
    /// single keys. None: absent and optional.
    pub references: Vec<(String, Option<&'a str>)>,
}

/// What of an Environment's runtime decides what runs.
#[derive(Serialize, Clone, Copy, Debug)]
pub struct RuntimePart<'a> {
    /// Its image.
    pub image: &'a str,
    /// Its port.
    pub port: i32,
}

// The form that serde asks for.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// The revision: a short hash, fit for labels and names.
pub fn revision(parts: &Parts<'_>) -> String {
    hash(parts)
}

/// A short hash of anything with a JSON form; the same value hashes the same in every process.
pub fn hash(value: &impl Serialize) -> String {
    // Strings, numbers, lists and sorted maps with text keys: serialising cannot fail.
    names::short_hash(&serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(runtime: RuntimePart<'a>, digest: &'a str, version: Option<&'a str>) -> Parts<'a> {
        Parts {
            digest,
            entrypoint: "main",
            runtime,
            env: &[],
            env_at_load: false,
            volumes: &[],
            resources: None,
            references: vec![("Secret/s".to_owned(), version)],
        }
    }

    #[test]
    fn every_part_makes_another_revision() {
        let runtime = RuntimePart { image: "python", port: 8888 };
        let other = RuntimePart { image: "python", port: 9999 };
        let base = revision(&parts(runtime, "sha256:a", Some("1")));
        assert_eq!(base, revision(&parts(runtime, "sha256:a", Some("1"))));
        assert_ne!(base, revision(&parts(other, "sha256:a", Some("1"))));
        assert_ne!(base, revision(&parts(runtime, "sha256:b", Some("1"))));
        assert_ne!(base, revision(&parts(runtime, "sha256:a", Some("2"))));
        assert_ne!(base, revision(&parts(runtime, "sha256:a", None)));
        let at_load = Parts { env_at_load: true, ..parts(runtime, "sha256:a", Some("1")) };
        assert_ne!(base, revision(&at_load));
    }
}

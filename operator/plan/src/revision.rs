//! Hashes of what runs.

use muon_crds::environment::Runtime;
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
    pub runtime: &'a Runtime,
    /// Environment variables.
    pub env: &'a [EnvVar],
    /// Volumes.
    pub volumes: &'a [Volume],
    /// Own resources.
    pub resources: Option<&'a Resources>,
    /// `kind/name` and resourceVersion (none: absent and optional) of every Secret and ConfigMap in use.
    pub references: Vec<(String, Option<&'a str>)>,
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

    fn parts<'a>(runtime: &'a Runtime, digest: &'a str, version: Option<&'a str>) -> Parts<'a> {
        Parts {
            digest,
            entrypoint: "main",
            runtime,
            env: &[],
            volumes: &[],
            resources: None,
            references: vec![("Secret/s".to_owned(), version)],
        }
    }

    #[test]
    fn every_part_makes_another_revision() {
        let runtime = Runtime { image: "python".to_owned(), port: 8888 };
        let other = Runtime { image: "python".to_owned(), port: 9999 };
        let base = revision(&parts(&runtime, "sha256:a", Some("1")));
        assert_eq!(base, revision(&parts(&runtime, "sha256:a", Some("1"))));
        assert_ne!(base, revision(&parts(&other, "sha256:a", Some("1"))));
        assert_ne!(base, revision(&parts(&runtime, "sha256:b", Some("1"))));
        assert_ne!(base, revision(&parts(&runtime, "sha256:a", Some("2"))));
        assert_ne!(base, revision(&parts(&runtime, "sha256:a", None)));
    }
}

//! Package: code, to a content-addressed archive.

mod build;
mod report;
mod validate;

use std::collections::BTreeMap;

use muon_crds::package::{BuildStatus, Git, Oci, Origin};
use muon_crds::{Environment, Package};
use serde::{Deserialize, Serialize};

pub use build::build;
pub use report::report;
pub use validate::validate;

/// A Package and what there is of it.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// The object.
    pub object: Package,
    /// Its Environment, when it has to be built.
    #[serde(default)]
    pub environment: Option<Environment>,
}

/// How far a visit came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The source, once the store has it.
    pub source: Option<Stored>,
    /// The build that the spec asks for, once it is known.
    pub build: Option<BuildStatus>,
    /// What an `oci` or `git` source came to.
    pub origin: Option<Origin>,
}

/// A Package whose archive can be had.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Valid {
    /// The files of the manifest.
    Files(BTreeMap<String, String>),
    /// An archive behind a URL.
    Archive {
        /// Where it is fetched from.
        url: String,
        /// What it must hash to.
        digest: String,
    },
    /// An OCI artifact, or a commit.
    Remote(Remote),
}

/// A source that is an archive only once it was fetched.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Remote {
    /// What names it, and nothing but it.
    pub of: String,
    /// What it came to, if it was fetched before.
    pub origin: Option<Origin>,
    /// Where from.
    pub from: From,
}

/// Where a [`Remote`] comes from.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum From {
    /// A registry.
    Oci(Oci),
    /// A repository.
    Git(Git),
}

/// All that a Package asks for: one archive in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// `sha256:…` under which the store has it, if that is known. When the store has it already, nothing is to be done.
    pub digest: Option<String>,
    /// Where its bytes are.
    pub content: Content,
}

/// Where an archive's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Here: a deterministic tar of the manifest's files.
    Bytes(Vec<u8>),
    /// Behind a URL; to be checked against the digest before it is stored.
    Url(String),
    /// In a registry or repository.
    Remote(Remote),
}

/// An archive that the store has confirmed.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// `sha256:…`.
    pub digest: String,
    /// Its size.
    pub size_bytes: i64,
}

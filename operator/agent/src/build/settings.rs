//! What a step of a build is told by its environment.

use std::path::PathBuf;

/// Which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `MUON_MODE=fetch`
    Fetch,
    /// `MUON_MODE=upload`
    Upload,
}

/// What a step is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which step.
    pub step: Step,
    /// Base URL of the store (`MUON_STORE`).
    pub store: String,
    /// Signed `Order::Build` (`MUON_ORDER`).
    pub order: String,
    /// Digest of the source (`MUON_SOURCE`).
    pub digest: String,
    /// What the store remembers the result by (`MUON_BUILD_KEY`).
    pub key: String,
    /// Where the builder finds the source (`SRC_PKG`).
    pub source: PathBuf,
    /// Where it leaves its result (`DEPLOY_PKG`).
    pub deploy: PathBuf,
}

/// An environment that a step cannot start with.
#[derive(thiserror::Error, Debug, PartialEq, Eq)]
#[error("{0} is not set: this mode is for the pods of builds, which the operator makes")]
pub struct SettingsError(&'static str);

impl Settings {
    /// From variables, as `get` finds them. None: the mode is none of a build's.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, SettingsError> {
        let step = match get("MUON_MODE").as_deref() {
            Some("fetch") => Step::Fetch,
            Some("upload") => Step::Upload,
            _ => return Ok(None),
        };
        let required = |name| get(name).filter(|value| !value.is_empty()).ok_or(SettingsError(name));
        Ok(Some(Self {
            step,
            store: required("MUON_STORE")?,
            order: required("MUON_ORDER")?,
            digest: required("MUON_SOURCE")?,
            key: required("MUON_BUILD_KEY")?,
            source: required("SRC_PKG")?.into(),
            deploy: required("DEPLOY_PKG")?.into(),
        }))
    }
}

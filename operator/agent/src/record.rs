//! What outlives the agent's process: the accepted order and how far it came. It lies where the runtime cannot see it.

use std::path::Path;

use muon_crds::wire::LoadRequest;
use serde::{Deserialize, Serialize};

use crate::failure::LoadError;
use crate::incarnation::Incarnation;

const FILE: &str = "accepted.json";
const NEW: &str = "accepted.json.new";

/// The one load that this pod took.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// As it was asked for.
    pub request: LoadRequest,
    /// UID of the function.
    pub function_uid: String,
    /// Its revision.
    pub revision: String,
    /// Digest of the package.
    pub digest: String,
    /// The package is unpacked, whole.
    pub unpacked: bool,
    /// The runtime that was asked to import it: one that says "already" after that means us.
    pub asked: Option<Incarnation>,
    /// The runtime that has imported it.
    pub loaded: Option<Incarnation>,
    /// Why it can never be loaded.
    pub failed: Option<LoadError>,
}

impl Record {
    /// What an agent before this one wrote; none, too, when it cannot be read: then the pod starts afresh.
    pub fn read(dir: &Path) -> Option<Self> {
        let bytes = std::fs::read(dir.join(FILE)).ok()?;
        match serde_json::from_slice(&bytes) {
            Ok(record) => Some(record),
            Err(error) => {
                tracing::warn!(%error, "the kept order cannot be read; waiting for a new one");
                None
            }
        }
    }

    /// Replaces what is kept. A few hundred bytes, and the variables, to a file that is not synced: it has to outlive this process, not the node.
    pub fn write(&self, dir: &Path) {
        let kept = serde_json::to_vec(self)
            .map_err(std::io::Error::other)
            .and_then(|bytes| std::fs::write(dir.join(NEW), bytes))
            .and_then(|()| std::fs::rename(dir.join(NEW), dir.join(FILE)));
        if let Err(error) = kept {
            // The load itself can go on; only an agent that is killed would have to be asked again.
            tracing::warn!(%error, dir = %dir.display(), "the accepted order cannot be kept");
        }
    }
}

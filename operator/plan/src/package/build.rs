//! The archive of a Package.

use muon_crds::names;

use super::{Content, Resources, Valid};
use crate::pack;

/// What the store is to hold.
pub fn build(valid: &Valid) -> Resources {
    match valid {
        Valid::Files(files) => {
            let archive = pack::tar(files);
            Resources { digest: Some(names::digest(&archive)), content: Content::Bytes(archive) }
        }
        Valid::Archive { url, digest } => {
            Resources { digest: Some(digest.clone()), content: Content::Url(url.clone()) }
        }
        Valid::Remote(remote) => Resources {
            digest: remote.origin.as_ref().map(|origin| origin.digest.clone()),
            content: Content::Remote(remote.clone()),
        },
    }
}

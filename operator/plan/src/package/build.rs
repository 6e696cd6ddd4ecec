//! The archive of a Package.

use muon_crds::names;

use super::{Content, Resources, Valid};
use crate::pack;

/// What the store is to hold.
pub fn build(valid: &Valid) -> Resources {
    match valid {
        Valid::Files(files) => {
            let archive = pack::tar(files);
            Resources { digest: names::digest(&archive), content: Content::Bytes(archive) }
        }
        Valid::Archive { url, digest } => Resources { digest: digest.clone(), content: Content::Url(url.clone()) },
    }
}

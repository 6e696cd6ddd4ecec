//! A Package to where its archive comes from.

use muon_crds::package::Source;
use muon_crds::{ConditionType, names};

use super::{Observed, Valid};
use crate::finding::Invalid;
use crate::pack;

/// Checks that the source is one that is supported, and can be packed.
pub fn validate(observed: &Observed) -> Result<Valid, Invalid> {
    validate_source(&observed.object.spec.source)
}

fn validate_source(source: &Source) -> Result<Valid, Invalid> {
    match source {
        Source { files: Some(files), archive: None, oci: None } => {
            if files.is_empty() {
                return Err(stalled("InvalidFiles", "spec.source.files: there is no file in it"));
            }
            pack::check(files).map_err(|bad| stalled("InvalidFiles", format!("spec.source.files: {bad}")))?;
            Ok(Valid::Files(files.clone()))
        }
        Source { files: None, archive: Some(archive), oci: None } => {
            if !archive.url.starts_with("http://") && !archive.url.starts_with("https://") {
                return Err(stalled("InvalidArchive", "spec.source.archive.url: must begin with http:// or https://"));
            }
            if !names::is_digest(&archive.digest) {
                return Err(stalled(
                    "InvalidArchive",
                    "spec.source.archive.digest: must be sha256: and 64 hexadecimal digits",
                ));
            }
            Ok(Valid::Archive { url: archive.url.clone(), digest: archive.digest.clone() })
        }
        Source { files: None, archive: None, oci: Some(_) } => Err(stalled(
            "SourceNotSupported",
            "spec.source.oci: not supported yet; give files, or an archive by url and digest",
        )),
        _ => Err(stalled("InvalidSource", "spec.source: set exactly one of files, archive, oci")),
    }
}

fn stalled(reason: &'static str, message: impl Into<String>) -> Invalid {
    Invalid::stalled(ConditionType::Stored, reason, message)
}

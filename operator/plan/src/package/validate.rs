//! A Package to where its archive comes from.

use muon_crds::package::{Git, Source};
use muon_crds::{ConditionType, names};

use super::{From, Observed, Remote, Valid};
use crate::finding::Invalid;
use crate::pack;

/// Checks that the source is one that is supported, and can be packed.
pub fn validate(observed: &Observed) -> Result<Valid, Invalid> {
    let origin = observed.object.status.as_ref().and_then(|status| status.origin.clone());
    let remote = |of: String, from| Valid::Remote(Remote { origin: origin.filter(|origin| origin.of == of), of, from });
    match &observed.object.spec.source {
        Source { files: None, archive: None, oci: Some(oci), git: None } => {
            Ok(remote(format!("oci {}", oci.image), From::Oci(oci.clone())))
        }
        Source { files: None, archive: None, oci: None, git: Some(git) } => {
            Ok(remote(named(git)?, From::Git(git.clone())))
        }
        here => validate_source(here),
    }
}

/// The name of a commit, or of what is resolved to one.
fn named(git: &Git) -> Result<String, Invalid> {
    let Git { url, commit, reference, path, .. } = git;
    let revision = match (commit, reference) {
        (Some(commit), None) => commit,
        (None, Some(reference)) => reference,
        _ => return Err(stalled("InvalidGit", "spec.source.git: set exactly one of commit, ref")),
    };
    Ok(match path {
        Some(path) => format!("git {url} {revision} {path}"),
        None => format!("git {url} {revision}"),
    })
}

fn validate_source(source: &Source) -> Result<Valid, Invalid> {
    match source {
        Source { files: Some(files), archive: None, oci: None, git: None } => {
            if files.is_empty() {
                return Err(stalled("InvalidFiles", "spec.source.files: there is no file in it"));
            }
            pack::check(files).map_err(|bad| stalled("InvalidFiles", format!("spec.source.files: {bad}")))?;
            Ok(Valid::Files(files.clone()))
        }
        Source { files: None, archive: Some(archive), oci: None, git: None } => {
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
        _ => Err(stalled("InvalidSource", "spec.source: set exactly one of files, archive, oci, git")),
    }
}

fn stalled(reason: &'static str, message: impl Into<String>) -> Invalid {
    Invalid::stalled(ConditionType::Stored, reason, message)
}

//! What is said of a Package.

use muon_crds::{ConditionType, PackageStatus};

use super::{Observed, Stored};
use crate::conditions::{self, no, yes};
use crate::finding::{Invalid, Report};

/// The status after a visit that ended with `outcome`. While a new content is not stored, the digest stays the one
/// that is: functions go on with it.
pub fn report(observed: &Observed, outcome: Result<&Stored, &Invalid>, now: &str) -> Report<PackageStatus> {
    let old = observed.object.status.clone().unwrap_or_default();
    let message = "the archive is in the store";
    let mut said = conditions::summary(outcome.err(), "Stored", message);
    said.push(match outcome {
        Ok(_) => yes(ConditionType::Stored, "Stored", message),
        Err(invalid) => no(ConditionType::Stored, invalid.reason, invalid.message.clone()),
    });
    let generation = observed.object.metadata.generation;
    let conditions = conditions::merge(&old.conditions, said, generation, now);
    let mut notes = conditions::notes(&old.conditions, &conditions, "Store");
    let (digest, size_bytes) = match outcome {
        Ok(stored) => (Some(stored.digest.clone()), Some(stored.size_bytes)),
        Err(_) => (old.digest.clone(), old.size_bytes),
    };
    if let (Ok(stored), Some(before)) = (outcome, &old.digest)
        && stored.digest != *before
        && notes.is_empty()
    {
        notes.push(crate::Note {
            type_: crate::NoteType::Normal,
            reason: "Stored".to_owned(),
            action: "Store",
            message: format!("the content changed: {}", stored.digest),
        });
    }
    Report { status: PackageStatus { observed_generation: generation, conditions, digest, size_bytes }, notes }
}

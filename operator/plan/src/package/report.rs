//! What is said of a Package.

use muon_crds::{Condition, ConditionType, PackageStatus};

use super::{Observed, Progress, Stored};
use crate::conditions::{self, Said, no, yes};
use crate::finding::{Invalid, Note, NoteType, Report};

/// An Event holds this much of a message.
const MAX_NOTE: usize = 1000;
/// So many results of earlier builds are kept in the store for going back.
const MAX_PREVIOUS: usize = 5;
const STORED: &str = "the archive is in the store";
const BUILT: &str = "what was built of the source is in the store";

/// The status after a visit that came as far as `progress` and ended with `outcome`. While a new content is not stored, or
/// not built, the digest stays the one that is: functions go on with it.
pub fn report(
    observed: &Observed,
    progress: &Progress,
    outcome: Result<&Stored, &Invalid>,
    now: &str,
) -> Report<PackageStatus> {
    let old = observed.object.status.clone().unwrap_or_default();
    let source = &observed.object.spec.source;
    let is_remote = source.oci.is_some() || source.git.is_some();
    let is_built = observed.object.spec.build.is_some();
    let (reason, message) = if is_built { ("Built", BUILT) } else { ("Stored", STORED) };
    let mut said = conditions::summary(outcome.err(), reason, message);
    said.push(match outcome {
        Err(invalid) if progress.source.is_none() => no(ConditionType::Stored, invalid.reason, invalid.message.clone()),
        _ => yes(ConditionType::Stored, "Stored", STORED),
    });
    if is_built {
        said.extend(built(&old.conditions, outcome));
    }
    let generation = observed.object.metadata.generation;
    let conditions = conditions::merge(&old.conditions, said, generation, now);
    let action = if is_built { "Build" } else { "Store" };
    let mut notes = conditions::notes(&old.conditions, &conditions, action);
    notes.iter_mut().for_each(|note| note.message = brief(&note.message));
    let (digest, size_bytes) = match outcome {
        Ok(stored) => (Some(stored.digest.clone()), Some(stored.size_bytes)),
        Err(_) => (old.digest.clone(), old.size_bytes),
    };
    if let (Ok(stored), Some(before)) = (outcome, &old.digest)
        && stored.digest != *before
        && notes.is_empty()
    {
        let message = format!("the content changed: {}", stored.digest);
        notes.push(Note { type_: NoteType::Normal, reason: reason.to_owned(), action, message });
    }
    let previous = match (outcome, is_built) {
        (Ok(stored), true) => previous(&stored.digest, old.digest.as_ref(), old.previous),
        (Err(_), true) => old.previous,
        (_, false) => Vec::new(),
    };
    let source = progress.source.as_ref().map(|source| source.digest.clone());
    let status = PackageStatus {
        observed_generation: generation,
        conditions,
        digest,
        size_bytes,
        source_digest: source.or(old.source_digest).filter(|_| is_built),
        build: progress.build.clone().or(old.build).filter(|_| is_built),
        origin: progress.origin.clone().or(old.origin).filter(|_| is_remote),
        previous,
    };
    Report { status, notes }
}

/// What was built before, the newest first.
fn previous(now: &str, last: Option<&String>, before: Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = last.filter(|last| !before.contains(last)).cloned().into_iter().chain(before).collect();
    all.retain(|digest| digest != now);
    all.truncate(MAX_PREVIOUS);
    all
}

fn built(old: &[Condition], outcome: Result<&Stored, &Invalid>) -> Option<Said> {
    match outcome {
        Ok(_) => Some(yes(ConditionType::Built, "Built", BUILT)),
        Err(invalid) if invalid.condition == ConditionType::Built => {
            Some(no(ConditionType::Built, invalid.reason, invalid.message.clone()))
        }
        Err(_) => conditions::again(old, ConditionType::Built),
    }
}

/// A message that fits an Event: its first line and its end. Of a log, the end says what is wrong.
fn brief(message: &str) -> String {
    if message.len() <= MAX_NOTE {
        return message.to_owned();
    }
    let (first, rest) = message.split_once('\n').unwrap_or(("", message));
    let room = MAX_NOTE.saturating_sub(first.len() + "\n…".len());
    let from = (rest.len() - room.min(rest.len())..=rest.len()).find(|from| rest.is_char_boundary(*from));
    format!("{first}\n…{}", &rest[from.unwrap_or(rest.len())..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_back_finds_what_was_built_before() {
        let digests = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(previous("b", Some(&"a".to_owned()), Vec::new()), ["a"]);
        assert_eq!(previous("c", Some(&"b".to_owned()), digests(&["a"])), ["b", "a"]);
        assert_eq!(previous("a", Some(&"b".to_owned()), digests(&["a"])), ["b"]);
        assert_eq!(previous("a", Some(&"a".to_owned()), digests(&["b"])), ["b"]);
        let many = digests(&["1", "2", "3", "4", "5"]);
        assert_eq!(previous("7", Some(&"6".to_owned()), many), ["6", "1", "2", "3", "4"]);
    }

    #[test]
    fn an_event_has_the_end_of_a_long_log() {
        let long = format!("it failed\n{}äline 3: error", "x\n".repeat(900));
        let text = brief(&long);
        assert!(
            text.len() <= MAX_NOTE && text.starts_with("it failed\n…") && text.ends_with("line 3: error"),
            "{text}"
        );
        assert!(brief(&"ä".repeat(900)).len() <= MAX_NOTE);
        assert_eq!(brief("short"), "short");
    }
}

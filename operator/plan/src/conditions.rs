//! Conditions: said in one place, merged in one place.
//!
//! `Ready` sums up. `Reconciling` is there and `True` while work goes on, `Stalled` while nothing changes until the
//! user acts, and at most one of the two is there: what kstatus and `kubectl wait` read.

use muon_crds::{Condition, ConditionType};

use crate::finding::{Heals, Invalid, Note, NoteType};

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Of what.
    pub condition: ConditionType,
    /// `True`, `False` or `Unknown`.
    pub status: Truth,
    /// One CamelCase word for machines.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody can tell yet.
    Unknown,
}

impl Truth {
    const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Says that something is so.
pub fn yes(condition: ConditionType, reason: &str, message: impl Into<String>) -> Said {
    Said { condition, status: Truth::True, reason: reason.to_owned(), message: message.into() }
}

/// Says that something is not so.
pub fn no(condition: ConditionType, reason: &str, message: impl Into<String>) -> Said {
    Said { condition, status: Truth::False, reason: reason.to_owned(), message: message.into() }
}

/// Says that nobody can tell yet.
pub fn unknown(condition: ConditionType, reason: &str, message: impl Into<String>) -> Said {
    Said { condition, status: Truth::Unknown, reason: reason.to_owned(), message: message.into() }
}

/// Says again what an earlier visit said, where this one could not look.
pub fn again(old: &[Condition], condition: ConditionType) -> Option<Said> {
    let found = muon_crds::condition::find(old, condition)?;
    let status = match found.status.as_str() {
        "True" => Truth::True,
        "False" => Truth::False,
        _ => Truth::Unknown,
    };
    Some(Said { condition, status, reason: found.reason.clone(), message: found.message.clone() })
}

/// `Ready`, and with it `Reconciling` and `Stalled`: everything is in place, or the finding says what is not.
pub fn summary(finding: Option<&Invalid>, reason: &str, message: impl Into<String>) -> Vec<Said> {
    let Some(finding) = finding else { return vec![yes(ConditionType::Ready, reason, message)] };
    let beside = match finding.heals {
        Heals::ByItself => ConditionType::Reconciling,
        Heals::ByTheUser => ConditionType::Stalled,
    };
    vec![
        no(ConditionType::Ready, finding.reason, finding.message.clone()),
        yes(beside, finding.reason, finding.message.clone()),
    ]
}

/// The conditions to write: what is said now, with the time of the last *change of status*; what is not said any
/// more is gone.
pub fn merge(old: &[Condition], said: Vec<Said>, generation: Option<i64>, now: &str) -> Vec<Condition> {
    said.into_iter()
        .map(|said| {
            let status = said.status.as_str();
            let since = muon_crds::condition::find(old, said.condition)
                .filter(|old| old.status == status)
                .map_or(now, |old| old.last_transition_time.as_str());
            Condition {
                type_: said.condition.as_str().to_owned(),
                status: status.to_owned(),
                reason: said.reason,
                message: bounded(said.message),
                observed_generation: generation,
                last_transition_time: since.to_owned(),
            }
        })
        .collect()
}

/// A condition's message is a sentence or a traceback's end, never a log.
const MAX_MESSAGE: usize = 4096;

fn bounded(message: String) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}

/// Steps that every object goes through on its way: people need no Event of them, and the API server is spared
/// thousands.
const ORDINARY: [&str; 4] = ["Propagating", "PackageNotReady", "PoolStarting", "RollingOut"];

/// The Event that tells people of a change of `Ready`; none when it says what it said before.
pub fn notes(old: &[Condition], new: &[Condition], action: &'static str) -> Vec<Note> {
    let find = |conditions| muon_crds::condition::find(conditions, ConditionType::Ready);
    let Some(now) = find(new) else { return Vec::new() };
    if find(old).is_some_and(|before| before.status == now.status && before.reason == now.reason) {
        return Vec::new();
    }
    let stalled = muon_crds::condition::is_true(new, ConditionType::Stalled);
    if !stalled && ORDINARY.contains(&now.reason.as_str()) {
        return Vec::new();
    }
    let type_ = if stalled { NoteType::Warning } else { NoteType::Normal };
    vec![Note { type_, reason: now.reason.clone(), action, message: now.message.clone() }]
}

#[cfg(test)]
mod tests;

//! Why an object is not what it asks for, as data.

use muon_crds::ConditionType;
use serde::Serialize;

/// What ends the state that a finding tells of.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heals {
    /// Something else appears or finishes; the object is visited again by itself (`Reconciling`).
    ByItself,
    /// Nothing changes until the user acts (`Stalled`).
    ByTheUser,
}

/// Why a visit ended before everything was in place: what `validate` found, or what applying met.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The detailed condition that is `False` for it; `Ready` when it belongs to none of them.
    #[serde(serialize_with = "condition_name")]
    pub condition: ConditionType,
    /// One CamelCase word for machines.
    pub reason: &'static str,
    /// A sentence for people: what is, and what to do.
    pub message: String,
    /// What ends it.
    pub heals: Heals,
}

impl Invalid {
    /// Something is not there yet.
    pub fn waiting(condition: ConditionType, reason: &'static str, message: impl Into<String>) -> Self {
        Self { condition, reason, message: message.into(), heals: Heals::ByItself }
    }

    /// The user must change something.
    pub fn stalled(condition: ConditionType, reason: &'static str, message: impl Into<String>) -> Self {
        Self { condition, reason, message: message.into(), heals: Heals::ByTheUser }
    }

    /// An object of ours cannot be made because a foreign one has its name.
    pub fn name_conflict(kind: &str, name: &str) -> Self {
        let message = format!(
            "there is a {kind} {name} in this namespace that is not Muon's: rename one of the two, or delete that one"
        );
        Self::stalled(ConditionType::Ready, "NameConflict", message)
    }

    /// The API server, the store or another part did not answer as hoped; the visit is repeated.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::waiting(ConditionType::Ready, "Retrying", message)
    }

    /// The API server refuses an object that we made from the spec.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::stalled(ConditionType::Ready, "Refused", message)
    }
}

fn condition_name<S: serde::Serializer>(condition: &ConditionType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(condition.as_str())
}

/// An Event to be emitted: what changed, for people.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it is good news.
    #[serde(rename = "type")]
    pub type_: NoteType,
    /// One CamelCase word for machines.
    pub reason: String,
    /// What Muon was doing, one CamelCase word.
    pub action: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// `type` of an Event.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteType {
    /// As hoped.
    Normal,
    /// Somebody may have to act.
    Warning,
}

/// What `report` says of one visit.
#[derive(Serialize, Clone, Debug, PartialEq)]
pub struct Report<S> {
    /// The status; to be written only when it differs from the object's present one.
    pub status: S,
    /// Events, only on a change.
    pub notes: Vec<Note>,
}

//! What ended a visit early: the words for the object's status, and when it is worth coming back.

use std::time::Duration;

use muon_crds::ConditionType;
use muon_plan::{Heals, Invalid};

use crate::apply::ApplyError;
use crate::call::CallError;

/// A foreign object is not watched, so its going is found out by looking.
pub(crate) const NAME_CONFLICT: Duration = Duration::from_secs(30);
/// What the API server refuses may be a quota, which others free.
const REFUSED: Duration = Duration::from_secs(60);
/// An object on its way out needs a moment.
const TERMINATING: Duration = Duration::from_secs(1);

/// When an object is looked at again after a visit that ended early. A change of anything it depends on comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The object moved while we looked: at once, and without a word.
    AtOnce,
    /// Something does not answer: later each time.
    Backoff,
    /// After this time.
    After(Duration),
    /// When something changes.
    OnChange,
}

/// Why a visit ended before everything was in place.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[error("{}: {}", .invalid.reason, .invalid.message)]
pub struct Trouble {
    /// What the status says.
    pub invalid: Invalid,
    /// When to come back.
    pub again: Again,
}

impl Trouble {
    /// Something else did not answer.
    pub fn passing(message: impl std::fmt::Display) -> Self {
        Self { invalid: Invalid::failed(message.to_string()), again: Again::Backoff }
    }

    /// Something is not there yet, and its appearance will not be told to us.
    pub fn waiting(
        condition: ConditionType,
        reason: &'static str,
        message: impl Into<String>,
        after: Duration,
    ) -> Self {
        Self { invalid: Invalid::waiting(condition, reason, message), again: Again::After(after) }
    }

    /// One word for the metrics.
    pub fn outcome(&self) -> &'static str {
        match (self.again, self.invalid.heals) {
            (Again::AtOnce, _) => "race",
            (Again::Backoff, _) => "error",
            (_, Heals::ByTheUser) => "stalled",
            (_, Heals::ByItself) => "waiting",
        }
    }
}

impl From<Invalid> for Trouble {
    fn from(invalid: Invalid) -> Self {
        Self { invalid, again: Again::OnChange }
    }
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        if let Some(refusal) = error.refusal() {
            return Self { invalid: Invalid::refused(refusal), again: Again::After(REFUSED) };
        }
        let again = if error.is_race() { Again::AtOnce } else { Again::Backoff };
        Self { invalid: Invalid::failed(error.to_string()), again }
    }
}

impl From<ApplyError> for Trouble {
    fn from(error: ApplyError) -> Self {
        let message = error.to_string();
        match error {
            ApplyError::NameConflict { kind, name } => {
                Self { invalid: Invalid::name_conflict(&kind, &name), again: Again::After(NAME_CONFLICT) }
            }
            ApplyError::Terminating { .. } => Self::waiting(ConditionType::Ready, "Terminating", message, TERMINATING),
            ApplyError::Encode { .. } => Self::passing(message),
            ApplyError::Call(error) => error.into(),
        }
    }
}

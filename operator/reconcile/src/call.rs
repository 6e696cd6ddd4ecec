//! One call to the API server: never without an end, and its failure sorted by what to do about it.

use std::future::Future;
use std::time::Duration;

use kube::error::Status;

/// No single call to the API server may take longer.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// Why a call to the API server gave no answer that we can use.
#[derive(thiserror::Error, Debug)]
pub enum CallError {
    /// No answer in time.
    #[error("the API server did not answer within {} s: {what}", DEADLINE.as_secs())]
    Deadline {
        /// What was asked.
        what: &'static str,
    },
    /// The object moved under us: somebody wrote, deleted or re-made it. Normal; look again.
    #[error("{what}: the object changed meanwhile ({status})")]
    Moved {
        /// What was asked.
        what: &'static str,
        /// What the API server said.
        status: Box<Status>,
    },
    /// The object, or its namespace, is not there (any more).
    #[error("{what}: not found ({status})")]
    Gone {
        /// What was asked.
        what: &'static str,
        /// What the API server said.
        status: Box<Status>,
    },
    /// The API server will say the same again until somebody changes something: invalid, forbidden, over quota.
    #[error("{what}: refused: {status}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What the API server said.
        status: Box<Status>,
    },
    /// Anything else: connection, overload, a server error. Try again, later each time.
    #[error("{what}: {source}")]
    Failed {
        /// What was asked.
        what: &'static str,
        /// The client's error.
        source: Box<kube::Error>,
    },
}

impl CallError {
    /// Whether looking again soon is the right answer, and nothing is wrong.
    pub fn is_race(&self) -> bool {
        matches!(self, Self::Moved { .. } | Self::Gone { .. })
    }

    /// The API server's own words, for a condition.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused { status, .. } => Some(&status.message),
            _ => None,
        }
    }
}

/// Makes one call under [`DEADLINE`].
pub async fn call<T>(what: &'static str, future: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(DEADLINE, future).await {
        Err(_) => Err(CallError::Deadline { what }),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) => Err(sort(what, status)),
        Ok(Err(other)) => Err(CallError::Failed { what, source: Box::new(other) }),
    }
}

/// As [`call`], for a `GET`: an object that is not there is `None`.
pub async fn find<T>(
    what: &'static str,
    future: impl Future<Output = kube::Result<T>>,
) -> Result<Option<T>, CallError> {
    match call(what, future).await {
        Ok(value) => Ok(Some(value)),
        Err(CallError::Gone { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

fn sort(what: &'static str, status: Box<Status>) -> CallError {
    match status.code {
        404 | 410 => CallError::Gone { what, status },
        409 => CallError::Moved { what, status },
        400 | 403 | 422 => CallError::Refused { what, status },
        _ => CallError::Failed { what, source: Box::new(kube::Error::Api(status)) },
    }
}

//! Why a command ends without success: what is said, and with which exit code.

use std::process::ExitCode;

/// Why a command ends without success. Each kind has an exit code of its own, so that scripts can tell them apart.
#[derive(thiserror::Error, Debug)]
pub enum Failure {
    /// The API server, or something on the way, said no.
    #[error("{0}")]
    Failed(String),
    /// What was typed cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// An object is not there.
    #[error("{0}")]
    NotFound(String),
    /// It did not become ready.
    #[error("{0}")]
    NotReady(String),
    /// The credentials do not suffice.
    #[error("{0}")]
    Forbidden(String),
    /// No API server answers, or there is no configuration for one.
    #[error("{0}")]
    Unreachable(String),
    /// The function answered with an error; its answer has been written.
    #[error("the answer's status is {0}")]
    Answered(u16),
}

impl Failure {
    /// The exit code, as `operator/cli/README.md` lists them.
    pub fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::NotReady(_) => 4,
            Self::Forbidden(_) => 5,
            Self::Unreachable(_) => 6,
            Self::Answered(_) => 7,
        }
    }

    /// What the API server, or the way to it, said to `what` was tried.
    pub fn of(what: impl std::fmt::Display, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let message = format!("{what}: {}", status.message);
                match status.code {
                    404 => Self::NotFound(message),
                    401 | 403 => Self::Forbidden(message),
                    _ => Self::Failed(message),
                }
            }
            kube::Error::Service(error) => {
                Self::Unreachable(format!("{what}: no answer from the API server: {}", causes(&*error)))
            }
            kube::Error::HyperError(error) => {
                Self::Unreachable(format!("{what}: no answer from the API server: {}", causes(&error)))
            }
            other => Self::Failed(format!("{what}: {}", causes(&other))),
        }
    }
}

/// An error and what caused it, in one line.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        Self::from(failure.code())
    }
}

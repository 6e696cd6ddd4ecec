//! Why the control plane could not be measured.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why the control plane could not be measured; each says what to look at.
#[derive(thiserror::Error, Debug)]
pub(crate) enum ScaleError {
    /// A program could not be started.
    #[error("the {name} does not start: {source}")]
    Start {
        /// Which.
        name: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A program ended.
    #[error("the {name} ended by itself with {status}: its log says why")]
    Ended {
        /// Which.
        name: &'static str,
        /// How.
        status: ExitStatus,
    },
    /// /proc was not as expected.
    #[error("/proc does not tell of the {name} {what}")]
    Proc {
        /// Which.
        name: &'static str,
        /// What.
        what: &'static str,
    },
    /// Something did not come about.
    #[error("waited {} s for {what}", .within.as_secs())]
    Waited {
        /// For what.
        what: String,
        /// How long.
        within: Duration,
    },
    /// There is no `muon` program.
    #[error("no program at {0}: build it with cargo build --profile image -p muon-runtime, or name one with --muon")]
    NoProgram(PathBuf),
    /// The API server refused or did not answer.
    #[error("the API server: {0}")]
    Api(#[from] kube::Error),
    /// An HTTP request of ours failed.
    #[error("HTTP: {0}")]
    Http(#[from] http::Error),
    /// A file or /proc.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A request to a proxy failed.
    #[error("the proxy: {0}")]
    Proxy(String),
    /// A task of ours ended.
    #[error("a task of the benchmark ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}

//! Why a measurement could not be made.

use http::StatusCode;

/// Why a measurement could not be made; each says what to look at.
#[derive(thiserror::Error, Debug)]
pub(crate) enum Error {
    #[error("cannot connect to {address} ({what}): {source}")]
    Connect { address: String, what: String, source: std::io::Error },
    #[error("the connection broke: {0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Request(String),
    #[error("expected 200, got {status}: {body}")]
    Status { status: StatusCode, body: String },
    #[error("the API server refused: {0}")]
    Api(#[from] kube::Error),
    #[error("the cluster is not as needed: {0}; hack/bench/run measures the one that hack/up brings up")]
    Cluster(String),
    #[error("waited {seconds} s for {what}; {state}")]
    Waited { what: String, seconds: u64, state: String },
    #[error("a file of the machine: {0}")]
    File(#[from] std::io::Error),
    #[error("cgroup: {0}; it takes root")]
    Cgroup(String),
    #[error("{program} does not run: {why}")]
    Program { program: String, why: String },
}

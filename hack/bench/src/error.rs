//! Why a measurement could not be made.

use http::StatusCode;

use crate::load::Target;

/// Why a measurement could not be made; each says what to look at.
#[derive(thiserror::Error, Debug)]
pub(crate) enum Error {
    #[error("cannot connect to {address} ({what}): {source}")]
    Connect { address: String, what: String, source: std::io::Error },
    #[error("the connection broke: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request could not be made: {0}")]
    Request(String),
    #[error("expected 200, got {status}: {body}")]
    Status { status: StatusCode, body: String },
    #[error("the API server refused: {0}")]
    Api(#[from] kube::Error),
    #[error("no cluster: {0}; bring one up with hack/up")]
    Cluster(String),
    #[error("waited {seconds} s for {what}; {state}")]
    Waited { what: String, seconds: u64, state: String },
    #[error("cannot write the results: {0}")]
    Results(#[from] std::io::Error),
    #[error("HAProxy does not run: {0}; is the package haproxy installed?")]
    Haproxy(String),
}

impl Error {
    pub(crate) fn connect(target: &Target, source: std::io::Error) -> Self {
        Self::Connect { address: target.address.to_string(), what: target.host.clone(), source }
    }
}

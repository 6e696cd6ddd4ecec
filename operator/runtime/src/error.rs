//! Why a process stops.

use std::path::PathBuf;

/// Why a process stops; each says what to do.
#[derive(thiserror::Error, Debug)]
pub(crate) enum Error {
    #[error("a cryptography provider is already installed in this process")]
    Cryptography,
    #[error("cannot start the asynchronous runtime: {0}")]
    Runtime(std::io::Error),
    #[error("cannot listen on port {port}: {source}")]
    Listen { port: u16, source: std::io::Error },
    #[error("cannot reach the API server with the configuration found: {0}")]
    Client(#[from] kube::Error),
    #[error("no configuration for the API server found, neither in the pod nor in KUBECONFIG: {0}")]
    Config(#[from] kube::config::InferConfigError),
    #[error("cannot read the order key {path}: {source}; the operator makes it, is it running?")]
    KeyFile { path: PathBuf, source: std::io::Error },
    #[error("the order key in {path} is of no use: {source}")]
    Key { path: PathBuf, source: muon_order::Refused },
    #[error(transparent)]
    Leadership(#[from] muon_reconcile::leadership::LeadershipError),
    #[error(
        "cannot open the store at {place}: {message}; is it a directory that uid 65532 may write, or a bucket of which the credentials are right?"
    )]
    Store { place: String, message: String },
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Forward(#[from] muon_reconcile::fetch::ForwardError),
    #[error(
        "traces cannot be exported to {endpoint:?}: {message}; OTEL_EXPORTER_OTLP_ENDPOINT names a collector that takes HTTP, such as http://collector:4318"
    )]
    Traces { endpoint: String, message: String },
    #[error("the operator stopped: {0}")]
    Operator(String),
    #[error(transparent)]
    Local(#[from] crate::local::LocalError),
}

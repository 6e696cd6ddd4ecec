//! The sidecar of every function pod: it brings one package into the pod and keeps watch over the runtime.
//!
//! ```text
//!   proxy ── POST /v1/load ──► agent ── GET blob (order as header) ──► store
//!                                │ verify digest, unpack confined into /userfunc/code
//!                                └── POST /v2/specialize (loopback) ──► runtime ◄── requests, straight from the proxy
//! ```
//!
//! # Guarantees
//!
//! - One pod takes one function's one revision, once, and only on an order signed by Muon's key and bound to the pod
//!   (in an own Deployment's pod: the order of the template).
//! - Callers at once are joined into one load and get the same answer; what is loaded already is answered `already`.
//! - A failure in the user's code is final for the pod (422); any other may be tried again.
//! - `/readyz` tells the truth: a pool pod is ready while its runtime answers, a pod with an accepted load only while
//!   that load is inside the runtime that runs now.
//! - A runtime that ended is loaded again when it is back, without anybody asking. A second end within the window
//!   (ten minutes) leaves the pod unready for good with `"crashed": true` in `/readyz` and `/v1/state`: it is to be replaced.
//!   So is a pod that somebody else loaded (`"foreign": true`).
//! - Nothing of an archive is ever written outside its directory, and every step of unpacking has a bound.
//!
//! # Assumptions
//!
//! The agent shares the network namespace with the runtime and is the only writer of the code directory. The runtime
//! does not mount the agent's own directory.

pub mod admission;
pub mod agent;
pub mod build;
pub mod client;
pub mod failure;
pub mod fetch;
pub mod incarnation;
pub mod keeper;
pub mod metrics;
pub mod record;
pub mod runtime;
pub mod server;
pub mod settings;
pub mod status;
pub mod unpack;
pub mod watch;

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;

pub use agent::Agent;
pub use settings::Settings;

/// Serves until `stop` is ready, then drains and returns. The caller owns the socket and the signal.
pub async fn run(listener: TcpListener, settings: Settings, stop: impl Future<Output = ()>) {
    let agent = Arc::new(Agent::start(settings));
    let watcher = tokio::spawn(watch::watch(agent.clone()));
    let keeper = tokio::spawn(keeper::keep(agent.clone()));
    server::serve(listener, agent, stop).await;
    watcher.abort();
    keeper.abort();
}

#[cfg(test)]
mod tests;

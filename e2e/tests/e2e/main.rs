//! The cluster rung: a real node, the Ingress controller in front, and clients who know nothing of Muon.
//!
//! Tests that kill or stop what all others need take the [`alone`] side of one lock, the others the [`together`] side.
#![allow(clippy::unwrap_used, clippy::panic)]

mod builds;
mod bursts;
mod cold;
mod compiled;
mod env;
mod foreign;
mod idle;
mod kept;
mod kills;
mod languages;
mod ownership;
mod pools;
mod reserves;
mod retries;
mod rolls;
mod runtime;
mod samples;
mod streams;
mod transport;
mod updates;
mod weights;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static CLUSTER: RwLock<()> = RwLock::const_new(());

/// The cluster, shared with other tests that disturb nothing.
async fn together() -> RwLockReadGuard<'static, ()> {
    CLUSTER.read().await
}

/// The cluster, with no other test running.
async fn alone() -> RwLockWriteGuard<'static, ()> {
    CLUSTER.write().await
}

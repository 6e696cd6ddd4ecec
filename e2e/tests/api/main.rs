//! The API rung: a real etcd and kube-apiserver, and what Muon's accounts and reconcilers do to them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod claims;
mod pool_pod;

//! The API rung: a real etcd and kube-apiserver, and what Muon's accounts and reconcilers do to them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod autoscalers;
mod builds;
mod children;
mod claims;
mod command;
mod conflicts;
mod env;
mod healing;
mod installation;
mod leadership;
mod pool_pod;
mod reserves;
mod resync;
mod scaling;
mod schedule;
mod sources;
mod store;

//! The data plane on loopback: real proxies, real sockets, pods whose agent and runtime are small servers, and a cluster
//! that is a map behind the claim trait.

// What only tests call fails loudly.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "proxy/cluster.rs"]
mod cluster;
#[path = "proxy/cold.rs"]
mod cold;
#[path = "proxy/failure.rs"]
mod failure;
#[path = "proxy/forward.rs"]
mod forward;
#[path = "proxy/leaving.rs"]
mod leaving;
#[path = "proxy/overload.rs"]
mod overload;
#[path = "proxy/pod.rs"]
mod pod;
#[path = "proxy/queue.rs"]
mod queue;
#[path = "proxy/record.rs"]
mod record;
#[path = "proxy/reserve.rs"]
mod reserve;
#[path = "proxy/retries.rs"]
mod retries;
#[path = "proxy/warm.rs"]
mod warm;
#[path = "proxy/watch.rs"]
mod watch;

//! The data plane: one request, routed, claimed for, loaded, forwarded, answered.
//!
//! ```text
//!   listener ─► request ─► target ─► served ────────► forward ─► body / upgrade
//!   (accept,    (one       (route,   (a slot in a      (pooled     (streams back, gives
//!    drain)      request)   choose)   pod, or wait)     link)       the slot back)
//!                                        │ no pod
//!                                        ▼
//!              supply (home proxy, reserved pod or claim) ─► load (agent)
//! ```
//!
//! A warm request takes the path above the arrow and meets nothing but memory and the pod: no task is spawned for it, its
//! connection to the pod is driven by the task that serves the client. Everything below is event-driven: requests
//! wait in a bounded queue per function, and each event (a pod, a load, a request that ended) hands out exactly
//! the room there is. The crate knows no Kubernetes client; a claim is the trait [`Claimer`].

mod access;
mod activity;
mod answer;
mod appender;
mod apply;
mod body;
mod call;
mod claim;
mod config;
mod crowd;
mod endpoint;
mod exemplars;
mod forward;
mod headers;
mod linger;
mod listener;
mod load;
mod metrics;
mod pace;
mod peer;
mod proxy;
mod random;
mod request;
mod reserve;
mod served;
mod share;
mod slots;
mod stall;
mod supply;
mod suspect;
mod target;
mod trace;
mod upgrade;
mod upload;
mod warm;

pub use access::AccessLog;
pub use access::invocation::Invocation;
pub use access::phases::{Cold, Part, Steps};
pub use appender::Appender;
pub use apply::Change;
pub use claim::{Claim, ClaimError, ClaimRequest, Claimer, ReserveRequest, Step};
pub use config::Config;
pub use exemplars::Exemplar;
pub use listener::Listeners;
pub use metrics::catalogue;
pub use peer::Peer;
pub use proxy::Proxy;

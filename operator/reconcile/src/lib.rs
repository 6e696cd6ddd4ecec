//! The reconcilers: observe, apply and report against the API server.
//!
//! ```text
//!   watches ──► cache (one store per kind) ◄── observe ─┐
//!      └──────► queues (who is concerned) ──► controller ┴► driver: observe → validate → build → apply → report
//!   proxies ──► board (watermarks, demand, idleness) ──► queues
//! ```
//!
//! What is decided is decided in `muon-plan`, which is pure; here it is looked up, written and said. One driver per
//! kind ([`environment`], [`package`], [`function`], [`http_trigger`]), beside them the loops that belong to no single
//! object: [`gateways`], [`scale`], [`proxies`], [`keeper`].

pub mod activity;
pub mod ages;
pub mod apply;
pub mod builds;
pub mod cache;
pub mod call;
pub mod claims;
pub mod contains;
pub mod context;
pub mod controller;
pub mod demand;
pub mod desk;
pub mod environment;
pub mod events;
pub mod fetch;
pub mod function;
pub mod gateways;
pub mod held;
pub mod http_trigger;
pub mod keeper;
pub mod leadership;
pub mod links;
pub mod metrics;
#[cfg(test)]
mod mock;
pub mod objects;
pub mod order_key;
pub mod package;
pub mod packed;
pub mod place;
pub mod proxies;
pub mod queue;
pub mod queues;
pub mod readable;
pub mod reference;
mod remote;
mod run;
pub mod scale;
pub mod settings;
pub mod shelf;
pub mod status;
pub mod store_client;
pub mod stuck;
pub mod trouble;
pub mod uids;
pub mod visit;
pub mod watch;
pub mod watches;
pub mod writes;

pub use muon_plan::builds::History;
pub use run::{OperatorError, run};
pub use settings::Settings;

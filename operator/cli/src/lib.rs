//! `muon`, the command: what a function's author, and whoever keeps a cluster, types.
//!
//! ```text
//!   flags ──► Session (client, namespace) ──► facts: objects of the API server      IO, one file a command
//!                                               └──► verdicts, tables, manifests    pure, held by golden files
//! ```
//!
//! A command is one variant of [`Command`], one file with its arguments and its `run`, and where it decides something
//! a pure module beside it. It holds no state of its own: whatever it does can be seen as YAML, and done by kubectl.

mod apply;
mod build;
mod call;
pub mod command;
pub mod completion;
pub mod connection;
mod delete;
mod deploy;
mod describe;
mod doctor;
mod dump;
mod environment;
pub mod failure;
mod get;
mod init;
pub mod kinds;
mod logs;
pub mod output;
pub mod project;
pub mod reference;
mod rollback;
mod route;
mod top;
mod tunnel;
mod wait;

#[cfg(test)]
mod golden;

pub use command::Command;
pub use connection::{Connection, Session};
pub use failure::Failure;
pub use output::Terminal;

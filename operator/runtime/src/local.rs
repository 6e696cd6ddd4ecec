//! The local loop: a project runs on the developer's machine, without a cluster and without Docker.
//!
//! ```text
//!   project ─ files, manifests ─► session ─► cluster (objects in memory) ─► proxy ─► routes on localhost
//!                                    │            ▲ claims
//!   saves (notify) ──────────────────┘            │
//!                                    └─► pool ─► pod = a runtime's process + its agent
//! ```
//!
//! Proxy and agents are those of a cluster, the same code with the same meanings; what is other is here alone: pods are
//! processes, the API server is a map, the store is memory. What reads a project, its routes, its variables and its recorded
//! requests is pure.

mod cluster;
pub(crate) mod flags;
mod folder;
mod language;
mod pod;
mod pool;
mod project;
mod recorded;
mod routes;
pub(crate) mod run;
mod saves;
mod session;
mod sources;
mod store;
mod terminal;
pub(crate) mod test;
mod values;

/// Why a command of the local loop ends; each says what to do.
#[derive(thiserror::Error, Debug)]
pub(crate) enum LocalError {
    #[error(transparent)]
    Session(#[from] session::SessionError),
    #[error(transparent)]
    Test(#[from] test::TestError),
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    #[error("cannot watch the project for saves: {0}; fs.inotify.max_user_watches bounds how many folders can be")]
    Watch(#[from] notify::Error),
}

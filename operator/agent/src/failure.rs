//! How a load can fail, and what each failure means to whoever asked.

use http::StatusCode;
use muon_crds::wire::{Component, Executed, Failure};
use serde::{Deserialize, Serialize};

/// A load that was refused or went wrong. Nothing of the user's request ran: a load only imports.
#[derive(thiserror::Error, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum LoadError {
    /// The request is not a `LoadRequest`.
    #[error("the body is not a load request: {0}")]
    RequestInvalid(String),
    /// The order is not one that this agent may take.
    #[error("{0}")]
    OrderRefused(String),
    /// Another function or revision was accepted before.
    #[error("this pod was given to function {function} at revision {revision}: a pod loads once")]
    AlreadyLoaded {
        /// UID of the function that has the pod.
        function: String,
        /// Its revision.
        revision: String,
    },
    /// The runtime had code inside that this agent never loaded.
    #[error("the runtime was loaded by somebody else before this order came: the pod must be deleted")]
    ForeignLoad,
    /// The pod is going away.
    #[error("this pod is draining: take another")]
    Draining,
    /// The load took longer than it was given.
    #[error("the load was not done within {milliseconds} ms, it was {doing}")]
    Deadline {
        /// The time it had.
        milliseconds: u64,
        /// What it was doing.
        doing: Doing,
    },
    /// The store does not have the archive.
    #[error("the store has no archive {0}: it is uploaded when its Package is reconciled")]
    ArchiveMissing(String),
    /// The store could not be reached, or answered with an error.
    #[error("{0}")]
    Store(String),
    /// What came is not what the order names.
    #[error("the store sent an archive with digest {got}, ordered is {ordered}")]
    DigestMismatch {
        /// The digest in the order.
        ordered: String,
        /// The digest of what came.
        got: String,
    },
    /// The archive breaks a rule or a bound.
    #[error("{message}")]
    ArchiveRefused {
        /// One CamelCase word for machines.
        reason: String,
        /// A sentence for people.
        message: String,
    },
    /// The agent's own disk failed.
    #[error("{0}")]
    Disk(String),
    /// The runtime does not listen.
    #[error("the runtime did not answer: {0}")]
    RuntimeUnreachable(String),
    /// The runtime could not import the code.
    #[error("{0}")]
    ImportFailed(String),
    /// The runtime knows the first contract only, which has no place for variables.
    #[error(
        "the runtime knows no /v2/specialize, so it cannot be given variables with the load: set runtime.envAtLoad of \
         its Environment to false"
    )]
    EnvNotTaken,
    /// Other variables than the revision asks for.
    #[error(
        "the load brings other variables than its revision asks for: the proxy that sent it may be older than the \
         operator and know of none"
    )]
    EnvDiffers,
    /// The runtime ended while it imported the code.
    #[error("the runtime ended while it imported the code (its process exited or ran out of memory): see its log")]
    RuntimeEnded,
    /// The runtime ended twice.
    #[error("the runtime ended {0} times since the load, see its log: the pod must be replaced")]
    RuntimeCrashed(usize),
}

/// What a load is doing.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Doing {
    /// Waiting for another caller's load.
    Waiting,
    /// Fetching the archive.
    Fetching,
    /// Unpacking it.
    Unpacking,
    /// Waiting for the runtime to import it.
    Importing,
}

impl std::fmt::Display for Doing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting for the load that another caller began",
            Self::Fetching => "fetching the archive from the store",
            Self::Unpacking => "unpacking the archive",
            Self::Importing => "waiting for the runtime to import the code",
        })
    }
}

impl LoadError {
    /// HTTP status, part to blame, and the word for machines.
    fn attributes(&self) -> (StatusCode, Component, &str) {
        match self {
            Self::RequestInvalid(_) => (StatusCode::BAD_REQUEST, Component::Agent, "RequestInvalid"),
            Self::OrderRefused(_) => (StatusCode::FORBIDDEN, Component::Agent, "OrderRefused"),
            Self::AlreadyLoaded { .. } => (StatusCode::CONFLICT, Component::Agent, "AlreadyLoaded"),
            Self::ForeignLoad => (StatusCode::CONFLICT, Component::Agent, "ForeignLoad"),
            Self::Draining => (StatusCode::SERVICE_UNAVAILABLE, Component::Agent, "Draining"),
            Self::Deadline { doing, .. } => (StatusCode::GATEWAY_TIMEOUT, doing.component(), "LoadDeadline"),
            Self::ArchiveMissing(_) => (StatusCode::BAD_GATEWAY, Component::Store, "BlobMissing"),
            Self::Store(_) => (StatusCode::BAD_GATEWAY, Component::Store, "StoreFailed"),
            Self::DigestMismatch { .. } => (StatusCode::BAD_GATEWAY, Component::Store, "DigestMismatch"),
            Self::ArchiveRefused { reason, .. } => (StatusCode::UNPROCESSABLE_ENTITY, Component::Agent, reason),
            Self::Disk(_) => (StatusCode::INSUFFICIENT_STORAGE, Component::Agent, "DiskFailed"),
            Self::RuntimeUnreachable(_) => (StatusCode::BAD_GATEWAY, Component::Runtime, "RuntimeUnreachable"),
            Self::ImportFailed(_) => (StatusCode::UNPROCESSABLE_ENTITY, Component::Runtime, "ImportFailed"),
            Self::EnvNotTaken => (StatusCode::UNPROCESSABLE_ENTITY, Component::Runtime, "EnvNotTaken"),
            Self::EnvDiffers => (StatusCode::SERVICE_UNAVAILABLE, Component::Agent, "EnvDiffers"),
            Self::RuntimeEnded => (StatusCode::BAD_GATEWAY, Component::Runtime, "RuntimeEnded"),
            Self::RuntimeCrashed(_) => (StatusCode::UNPROCESSABLE_ENTITY, Component::Runtime, "RuntimeCrashed"),
        }
    }

    /// HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        self.attributes().0
    }

    /// One CamelCase word for machines.
    pub fn reason(&self) -> &str {
        self.attributes().2
    }

    /// Whether this pod will never load: trying again with the same digest would end the same way.
    pub fn is_final(&self) -> bool {
        match self {
            Self::ArchiveRefused { .. }
            | Self::ImportFailed(_)
            | Self::EnvNotTaken
            | Self::RuntimeCrashed(_)
            | Self::ForeignLoad => true,
            Self::RequestInvalid(_)
            | Self::OrderRefused(_)
            | Self::AlreadyLoaded { .. }
            | Self::EnvDiffers
            | Self::Draining
            | Self::Deadline { .. }
            | Self::ArchiveMissing(_)
            | Self::Store(_)
            | Self::DigestMismatch { .. }
            | Self::Disk(_)
            | Self::RuntimeUnreachable(_)
            | Self::RuntimeEnded => false,
        }
    }

    /// The body of the answer.
    pub fn body(&self, request_id: Option<String>) -> Failure {
        let (_, component, reason) = self.attributes();
        let (reason, message) = (reason.to_owned(), self.to_string());
        Failure { component, reason, message, request_id, executed: Executed::No }
    }
}

impl Doing {
    fn component(self) -> Component {
        match self {
            Self::Fetching => Component::Store,
            Self::Waiting | Self::Unpacking => Component::Agent,
            Self::Importing => Component::Runtime,
        }
    }
}

//! Fetching what a Package's source names: an archive by its URL, an OCI artifact, a commit. Whatever the protocol, the
//! network is asked through the [`guard`] alone.

mod address;
mod archive;
mod forward;
mod git;
mod guard;
mod oci;
#[cfg(test)]
mod servers;
mod tree;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use forward::{Forward, ForwardError};
pub use git::{Checkout, GitLogin, Id, Revision, Wanted};
pub use guard::{Lookup, Rules, Session};
pub use oci::{Login, Reference, logins};
use tree::TreeError;

/// What fetching is bounded by, and where from.
#[derive(Clone)]
pub struct Fetcher {
    /// Where from.
    pub rules: Arc<Rules>,
    /// How names are resolved.
    pub lookup: Lookup,
    /// Bytes at most.
    pub max_bytes: u64,
    /// A whole fetch takes at most this.
    pub deadline: Duration,
}

/// Why a source was not fetched.
#[derive(thiserror::Error, Clone, Debug)]
pub enum FetchError {
    /// Not an `http://` or `https://` URL with a host.
    #[error("{0} is not an http:// or https:// URL with a host (and without a user in it)")]
    Url(String),
    /// A scheme that the installation does not allow.
    #[error("{scheme}:// is not allowed here: the operator's --source-schemes are {allowed}")]
    Scheme {
        /// Of the URL.
        scheme: String,
        /// What is.
        allowed: String,
    },
    /// A host that the installation does not allow.
    #[error(
        "nothing is fetched from {host} port {port} here: the operator's --source-hosts (or --internal-hosts) do not name it"
    )]
    Host {
        /// Of the URL.
        host: String,
        /// Of the URL.
        port: u16,
    },
    /// The host lies where no source comes from.
    #[error(
        "{host} is at {address}, an address inside the node or the cluster: nothing is fetched from there unless the operator's --internal-hosts name the host, and never from the node itself or the API server"
    )]
    Address {
        /// Host of the URL.
        host: String,
        /// What it was resolved to.
        address: IpAddr,
    },
    /// A redirect that is not followed.
    #[error(
        "{from} redirects to {to}: redirects stay on the same scheme, host and port, unless the operator's --redirect-hosts name where they lead"
    )]
    Redirect {
        /// Who redirects.
        from: String,
        /// Where to.
        to: String,
    },
    /// No connection, no name, no answer in time.
    #[error("cannot fetch from {host}: {message}")]
    Connection {
        /// Host of the URL.
        host: String,
        /// What the HTTP client said.
        message: String,
    },
    /// Anything but 200.
    #[error("{host} answered {status}: {body}")]
    Status {
        /// Host of the URL.
        host: String,
        /// Its status code.
        status: u16,
        /// The beginning of its body.
        body: String,
    },
    /// More than the bound.
    #[error("it is larger than {max} bytes, the installation's bound")]
    TooLarge {
        /// The bound.
        max: u64,
    },
    /// Not what was asked for.
    #[error("what came hashes to {found}, not to {expected}: the content behind the URL has changed")]
    Digest {
        /// What the Package says.
        expected: String,
        /// What came.
        found: String,
    },
    /// Not the name of an image.
    #[error("{0}")]
    Reference(String),
    /// The server does not have it.
    #[error("{0}")]
    Missing(String),
    /// What came is not what it should be.
    #[error("{0}")]
    Content(String),
    /// What came cannot be packed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The server wants credentials that it was not given, or other ones.
    #[error("{host} does not let us in: {message}")]
    Credentials {
        /// Who says so.
        host: String,
        /// What is missing.
        message: String,
    },
    /// It took longer than the bound.
    #[error("it did not come within {} s", .0.as_secs())]
    Deadline(Duration),
}

impl FetchError {
    /// Whether trying again without a change of the Package can help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Deadline(_) | Self::Missing(_) => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429 || *status == 404,
            _ => false,
        }
    }

    /// One CamelCase word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connection { .. } | Self::Deadline(_) => "FetchFailed",
            Self::Status { .. } if self.is_passing() => "FetchFailed",
            Self::Digest { .. } => "DigestMismatch",
            Self::TooLarge { .. } => "ArchiveTooLarge",
            Self::Address { .. } => "AddressRefused",
            Self::Scheme { .. } | Self::Host { .. } => "HostNotAllowed",
            Self::Redirect { .. } => "RedirectRefused",
            Self::Credentials { .. } => "CredentialsRefused",
            Self::Missing(_) => "RevisionMissing",
            Self::Content(_) | Self::Tree(_) => "SourceInvalid",
            Self::Url(_) | Self::Reference(_) | Self::Status { .. } => "FetchRefused",
        }
    }
}

impl Fetcher {
    /// Fetches the archive that `url` names; what comes back hashes to `digest`.
    pub async fn archive(&self, url: &str, digest: &str) -> Result<Bytes, FetchError> {
        self.in_time(archive::fetch(self, url, digest)).await
    }

    /// Fetches an OCI artifact or image by its digest, as one archive. The login is the one for its registry.
    pub async fn oci(&self, image: &str, logins: &[Login]) -> Result<Bytes, FetchError> {
        self.in_time(oci::fetch(self, image, logins)).await
    }

    /// Fetches the files of a commit.
    pub async fn git(&self, wanted: &Wanted, login: Option<&GitLogin>) -> Result<Checkout, FetchError> {
        self.in_time(git::fetch(self, wanted, login)).await
    }

    /// Bytes of a source that has to be unpacked and packed again: it is in memory twice.
    fn tree_bytes(&self) -> u64 {
        self.max_bytes / 2
    }

    async fn in_time<T>(&self, fetch: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
        tokio::time::timeout(self.deadline, fetch).await.unwrap_or(Err(FetchError::Deadline(self.deadline)))
    }

    fn session(&self) -> Result<Session, FetchError> {
        Session::new(&self.rules, &self.lookup)
    }
}

//! The package store, as the operator uses it: is it there, bring it there, and what of it is in use.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use muon_crds::names;
use muon_crds::wire::{Failure, LostReply, SweepReply, SweepRequest};
use muon_crds::words::header;
use muon_order::{Keep, Order, Put, Signer};
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;

/// Asking whether an archive is there takes at most this.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// Bringing an archive takes at most this.
const PUT_DEADLINE: Duration = Duration::from_secs(60);
/// Telling it what is in use takes at most this.
const KEEP_DEADLINE: Duration = Duration::from_secs(120);
/// An order for the store ends after this many seconds.
const ORDER_SECONDS: u64 = 300;

/// Why the store did not do it.
#[derive(thiserror::Error, Debug)]
pub enum StoreError {
    /// No connection, or no answer in time.
    #[error("the store cannot be reached at {base}: {source}")]
    Unreachable {
        /// Base URL of the store.
        base: String,
        /// What the HTTP client said.
        source: reqwest::Error,
    },
    /// The namespace stores as much as it may.
    #[error("{0}")]
    Quota(String),
    /// An answer that is not the expected one.
    #[error("the store answered {status} to {what} of {digest}: {body}")]
    Answer {
        /// What was asked.
        what: &'static str,
        /// Which archive.
        digest: String,
        /// Its status code.
        status: u16,
        /// The beginning of its body.
        body: String,
    },
}

/// Client of the store. Cheap to clone.
#[derive(Clone)]
pub struct StoreClient {
    http: reqwest::Client,
    base: String,
    signer: Arc<Signer>,
}

impl StoreClient {
    /// A client of the store at `base` (`http://host:port`).
    pub fn new(http: reqwest::Client, base: &str, signer: Arc<Signer>) -> Self {
        Self { http, base: base.trim_end_matches('/').to_owned(), signer }
    }

    /// The size of an archive that the store holds; none when it does not.
    pub async fn size(&self, namespace: &str, digest: &str) -> Result<Option<u64>, StoreError> {
        let request = self.http.head(self.url(digest)).timeout(HEAD_DEADLINE);
        let reply = self.send(request, namespace, digest).await?;
        match reply.status() {
            status if status.is_success() => {
                let length = reply.headers().get(reqwest::header::CONTENT_LENGTH);
                Ok(Some(length.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or_default()))
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer("HEAD", digest, reply).await),
        }
    }

    /// Brings the archive into the store, for a namespace, unless it is there. Whether it was written.
    pub async fn put(&self, namespace: &str, digest: &str, archive: Bytes) -> Result<bool, StoreError> {
        if self.size(namespace, digest).await?.is_some() {
            return Ok(false);
        }
        let request = self.http.put(self.url(digest)).timeout(PUT_DEADLINE).body(archive);
        let reply = self.send(request, namespace, digest).await?;
        match reply.status() {
            status if status.is_success() => Ok(true),
            StatusCode::INSUFFICIENT_STORAGE => Err(StoreError::Quota(message(&beginning(reply).await))),
            _ => Err(answer("PUT", digest, reply).await),
        }
    }

    /// Tells what is in use.
    pub async fn sweep(&self, request: &SweepRequest) -> Result<SweepReply, StoreError> {
        // Strings only: serialising cannot fail.
        self.keep("sweep", serde_json::to_vec(request).unwrap_or_default()).await
    }

    /// What the store could not give since the last time.
    pub async fn lost(&self) -> Result<LostReply, StoreError> {
        self.keep("lost", Vec::new()).await
    }

    async fn keep<R: DeserializeOwned>(&self, what: &'static str, body: Vec<u8>) -> Result<R, StoreError> {
        let digest = names::digest(&body);
        let order = Order::Keep(Keep { body: digest.clone(), until: now() + ORDER_SECONDS });
        let request = self.http.post(format!("{}/v1/{what}", self.base)).timeout(KEEP_DEADLINE).body(body);
        let reply = self.send_with(request, &order).await?;
        if !reply.status().is_success() {
            return Err(answer(what, &digest, reply).await);
        }
        let status = reply.status().as_u16();
        let body = reply.bytes().await.map_err(|source| self.unreachable(source))?;
        serde_json::from_slice(&body).map_err(|error| StoreError::Answer {
            what,
            digest,
            status,
            body: error.to_string(),
        })
    }

    /// The digest of what the build with this key came to; none when the store knows of none.
    pub async fn built(&self, namespace: &str, key: &str) -> Result<Option<String>, StoreError> {
        let request = self.http.get(format!("{}/v1/builds/{key}", self.base)).timeout(HEAD_DEADLINE);
        let reply = self.send(request, namespace, key).await?;
        match reply.status() {
            status if status.is_success() => {
                let digest = beginning(reply).await;
                Ok(names::is_digest(&digest).then_some(digest))
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer("GET of the build", key, reply).await),
        }
    }

    fn url(&self, digest: &str) -> String {
        format!("{}/v1/blobs/{digest}", self.base)
    }

    async fn send(
        &self,
        request: RequestBuilder,
        namespace: &str,
        digest: &str,
    ) -> Result<reqwest::Response, StoreError> {
        let until = now() + ORDER_SECONDS;
        let order = Order::Put(Put { namespace: namespace.to_owned(), digest: digest.to_owned(), until });
        self.send_with(request, &order).await
    }

    async fn send_with(&self, request: RequestBuilder, order: &Order) -> Result<reqwest::Response, StoreError> {
        let sent = request.header(header::ORDER, self.signer.sign(order)).send().await;
        sent.map_err(|source| self.unreachable(source))
    }

    fn unreachable(&self, source: reqwest::Error) -> StoreError {
        StoreError::Unreachable { base: self.base.clone(), source: source.without_url() }
    }
}

/// What a refusal of the store says to people.
fn message(body: &str) -> String {
    serde_json::from_str::<Failure>(body).map_or_else(|_| body.to_owned(), |failure| failure.message)
}

async fn answer(what: &'static str, digest: &str, reply: reqwest::Response) -> StoreError {
    let status = reply.status().as_u16();
    let body = beginning(reply).await;
    StoreError::Answer { what, digest: digest.to_owned(), status, body }
}

/// The first chunk of an error's body: enough to say what is wrong.
pub(crate) async fn beginning(mut reply: reqwest::Response) -> String {
    let chunk = reply.chunk().await.ok().flatten().unwrap_or_default();
    crate::status::cut(&String::from_utf8_lossy(&chunk), 512).to_owned()
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

//! The package store, as the operator uses it: is it there, and bring it there.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use muon_crds::words::header;
use muon_order::{Order, Put, Signer};
use reqwest::{RequestBuilder, StatusCode};

/// Asking whether an archive is there takes at most this.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// Bringing an archive takes at most this.
const PUT_DEADLINE: Duration = Duration::from_secs(60);
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
    pub async fn size(&self, digest: &str) -> Result<Option<u64>, StoreError> {
        let request = self.http.head(self.url(digest)).timeout(HEAD_DEADLINE);
        let reply = self.send(request, digest).await?;
        match reply.status() {
            status if status.is_success() => {
                let length = reply.headers().get(reqwest::header::CONTENT_LENGTH);
                Ok(Some(length.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or_default()))
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer("HEAD", digest, reply).await),
        }
    }

    /// Brings the archive into the store, unless it is there. Whether it was written.
    pub async fn put(&self, digest: &str, archive: Bytes) -> Result<bool, StoreError> {
        if self.size(digest).await?.is_some() {
            return Ok(false);
        }
        let request = self.http.put(self.url(digest)).timeout(PUT_DEADLINE).body(archive);
        let reply = self.send(request, digest).await?;
        match reply.status().is_success() {
            true => Ok(true),
            false => Err(answer("PUT", digest, reply).await),
        }
    }

    fn url(&self, digest: &str) -> String {
        format!("{}/v1/blobs/{digest}", self.base)
    }

    async fn send(&self, request: RequestBuilder, digest: &str) -> Result<reqwest::Response, StoreError> {
        let order = Order::Put(Put { digest: digest.to_owned(), until: now() + ORDER_SECONDS });
        let sent = request.header(header::ORDER, self.signer.sign(&order)).send().await;
        sent.map_err(|source| StoreError::Unreachable { base: self.base.clone(), source: source.without_url() })
    }
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

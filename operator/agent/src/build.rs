//! The two steps of a build's pod that are ours: bring the source, and bring the result into the store. Each runs once and
//! ends; what it says at last lies in the pod's status.

mod pack;
mod settings;

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use muon_crds::wire::{Failure, LoadRequest};
use muon_crds::{names, words};

use crate::client::{self, Connection};
use crate::failure::LoadError;
use crate::fetch;
use crate::unpack::{self, Limits, UnpackError};

pub use pack::{NotPacked, pack};
pub use settings::{Settings, SettingsError, Step};

/// Largest archive, as in [`crate::Settings`]: what is built is to be loaded.
pub const MAX_ARCHIVE: u64 = 64 << 20;
/// Unpacking takes at most this, and so does each call to the store.
const DEADLINE: Duration = Duration::from_secs(120);
/// The store is away for a moment while it is updated.
const TRIES: u32 = 5;
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// How much of the store's error answer is read.
const MAX_ERROR: usize = 4 << 10;
/// Where kubelet looks for a container's last words.
const LAST_WORDS: &str = "/dev/termination-log";
/// What is unpacked, and for how long it lies beside the source.
const STAGING: &str = ".fetched";

/// Why a step came to nothing.
#[derive(thiserror::Error, Debug)]
pub enum BuildError {
    /// The archive could not be had.
    #[error("{0}")]
    Fetch(#[from] LoadError),
    /// The archive breaks a rule or a bound.
    #[error("{0}")]
    Unpack(#[from] UnpackError),
    /// One plain file: there is no directory to build in.
    #[error(
        "the source is one plain file: a source to be built is a zip, tar, tar.gz or tar.zst archive, or files in the manifest"
    )]
    PlainFile,
    /// What was built cannot be a package.
    #[error("{0}")]
    Pack(#[from] NotPacked),
    /// The store could not be reached, or failed.
    #[error("the store at {store}: {message}")]
    Store {
        /// Its address.
        store: String,
        /// What happened.
        message: String,
    },
    /// The store says no, and will again.
    #[error("the store at {store} refuses: {message}")]
    Refused {
        /// Its address.
        store: String,
        /// What it said.
        message: String,
    },
    /// The disk failed.
    #[error("the volume of the build: {0}")]
    Disk(#[from] io::Error),
}

impl BuildError {
    /// Whether another try may end better: the fault is not in what is built.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Fetch(error) => !error.is_final(),
            Self::Unpack(error) => matches!(error, UnpackError::Disk(_)),
            Self::Pack(error) => matches!(error, NotPacked::Disk { .. }),
            Self::Store { .. } | Self::Disk(_) => true,
            Self::PlainFile | Self::Refused { .. } => false,
        }
    }
}

/// Does the step; gives the process's exit code.
pub async fn run(settings: &Settings) -> u8 {
    let done = match settings.step {
        Step::Fetch => fetch_source(settings).await,
        Step::Upload => upload(settings).await,
    };
    match done {
        Ok(said) => {
            tracing::info!(said, "done");
            0
        }
        Err(error) => {
            tracing::error!(%error, "failed");
            last_words(&error.to_string());
            if error.is_passing() { u8::try_from(words::EXIT_TRY_AGAIN).unwrap_or(1) } else { 1 }
        }
    }
}

/// Outside of a pod there is nobody to read them.
fn last_words(text: &str) {
    if let Ok(mut file) = std::fs::OpenOptions::new().write(true).truncate(true).open(LAST_WORDS) {
        let _ = file.write_all(text.as_bytes());
    }
}

/// The source as a directory at [`Settings::source`], which the builder may change as it likes.
async fn fetch_source(settings: &Settings) -> Result<String, BuildError> {
    let dir = settings.source.parent().unwrap_or(Path::new("/"));
    let staging = dir.join(STAGING);
    // What an earlier try of this container left.
    let _ = tokio::fs::remove_dir_all(&staging).await;
    let _ = tokio::fs::remove_dir_all(&settings.source).await;
    tokio::fs::create_dir_all(&staging).await?;
    let request = LoadRequest {
        order: settings.order.clone(),
        store: settings.store.clone(),
        entrypoint: String::new(),
        function: String::new(),
        namespace: String::new(),
        timeout_ms: 0,
        env: Vec::new(),
        trace: None,
    };
    let fetched = patiently(async || {
        let fetched = fetch::fetch(&request, &settings.digest, &staging, MAX_ARCHIVE).await;
        fetched.map_err(BuildError::from)
    });
    let archive = fetched.await?;
    let until = Instant::now() + DEADLINE;
    let unpacked = {
        let staging = staging.clone();
        let unpacking = move || unpack::unpack(archive, &staging, Limits::default(), until);
        tokio::task::spawn_blocking(unpacking).await.map_err(io::Error::other)??
    };
    if !tokio::fs::metadata(&unpacked).await?.is_dir() {
        return Err(BuildError::PlainFile);
    }
    tokio::fs::rename(&unpacked, &settings.source).await?;
    tokio::fs::remove_dir_all(&staging).await?;
    Ok(format!("the source {} is at {}", settings.digest, settings.source.display()))
}

/// What lies at [`Settings::deploy`] into the store, and then the word that this build came to it.
async fn upload(settings: &Settings) -> Result<String, BuildError> {
    let deploy = settings.deploy.clone();
    let packing = move || pack(&deploy, Limits::default(), MAX_ARCHIVE);
    let archive = Bytes::from(tokio::task::spawn_blocking(packing).await.map_err(io::Error::other)??);
    let digest = names::digest(&archive);
    let size = archive.len();
    put(settings, &format!("/v1/blobs/{digest}"), archive).await?;
    put(settings, &format!("/v1/builds/{}", settings.key), digest.clone().into()).await?;
    Ok(format!("the result {digest} has {size} bytes"))
}

async fn put(settings: &Settings, path: &str, body: Bytes) -> Result<(), BuildError> {
    patiently(async || {
        let failed = |message: String| BuildError::Store { store: settings.store.clone(), message };
        match tokio::time::timeout(DEADLINE, put_once(settings, path, body.clone())).await {
            Ok(put) => put,
            Err(_) => Err(failed(format!("no answer within {} s", DEADLINE.as_secs()))),
        }
    })
    .await
}

async fn put_once(settings: &Settings, path: &str, body: Bytes) -> Result<(), BuildError> {
    let store = || settings.store.clone();
    let failed = |error: &dyn std::fmt::Display| BuildError::Store { store: store(), message: error.to_string() };
    let (host, port) = client::authority(&settings.store)
        .ok_or_else(|| failed(&"the address must be http://host:port, inside the cluster"))?;
    let mut connection = Connection::open((host.as_str(), port)).await.map_err(|error| failed(&error))?;
    let host = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let request = Request::builder()
        .method(Method::PUT)
        .uri(path)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .header(words::header::ORDER, &settings.order)
        .body(Full::new(body))
        .map_err(|error| failed(&error))?;
    let answer = connection.send(request).await.map_err(|error| failed(&error))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let body = client::read_at_most(answer.into_body(), MAX_ERROR).await.unwrap_or_default();
    let said = serde_json::from_slice::<Failure>(&body).map(|failure| failure.message);
    let message = said.unwrap_or_else(|_| format!("it answered {status}"));
    // Of what it refuses, it takes another try of a body that broke off.
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Err(failed(&message)),
        // The namespace stores as much as it may.
        StatusCode::INSUFFICIENT_STORAGE => Err(BuildError::Refused { store: store(), message }),
        status if status.is_client_error() => Err(BuildError::Refused { store: store(), message }),
        _ => Err(failed(&message)),
    }
}

/// Tries a few times what may pass: a pod anew costs more.
async fn patiently<T>(mut what: impl AsyncFnMut() -> Result<T, BuildError>) -> Result<T, BuildError> {
    let mut pause = client::Backoff::new(PAUSE.0, PAUSE.1);
    for _ in 1..TRIES {
        match what().await {
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, "trying again");
                pause.pause().await;
            }
            other => return other,
        }
    }
    what().await
}

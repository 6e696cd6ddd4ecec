//! The blobs themselves: what is where, what is in memory, what is set aside.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt as _};
use prometheus::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::cache::Cache;
use crate::digest::{Digest, Hasher};
use crate::failure::StoreError;
use crate::metrics::Metrics;

/// Parts of uploads that were cut off stay behind only when the process died; none lives that long otherwise.
const STALE: Duration = Duration::from_secs(3600);
const PROBE: &str = "probe";

/// The store's bounds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one blob.
    pub blob: u64,
    /// Uploads at once; each holds up to two parts of [`Limits::part`] in memory.
    pub uploads: usize,
    /// Downloads at once of blobs that are not small.
    pub downloads: usize,
    /// How long a call waits for its turn.
    pub turn: Duration,
    /// How long a client may send nothing.
    pub stall: Duration,
    /// Bytes of verified small blobs in memory.
    pub cache: usize,
    /// Up to this size a blob is small: read whole before it is answered, and kept in memory.
    pub small: u64,
    /// Larger uploads go to the storage in parts of this size (S3 wants at least 5 MiB).
    pub part: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blob: 64 << 20,
            uploads: 8,
            downloads: 64,
            turn: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            cache: 32 << 20,
            small: 1 << 20,
            part: 5 << 20,
        }
    }
}

/// A content-addressed store. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    uploads: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
    cache: Arc<Mutex<Cache>>,
}

impl Store {
    /// In a directory, which is made when it is not there. What is written survives a power cut.
    pub fn local(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::local_with(path, Limits::default())
    }

    /// The same, with other bounds.
    pub fn local_with(path: impl AsRef<Path>, limits: Limits) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let unusable = |error| StoreError::Directory { path: path.to_owned(), error };
        std::fs::create_dir_all(path).map_err(unusable)?;
        sweep(path, SystemTime::now() - STALE).map_err(unusable)?;
        let objects = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        Ok(Self::new(Arc::new(objects), limits))
    }

    /// On any storage.
    pub fn new(objects: Arc<dyn ObjectStore>, limits: Limits) -> Self {
        Self {
            objects,
            limits,
            // The names and labels are constants, right or wrong at compile time; the tests make one.
            #[allow(clippy::expect_used)]
            metrics: Metrics::new().expect("the store's metrics are well-formed"),
            uploads: Arc::new(Semaphore::new(limits.uploads)),
            downloads: Arc::new(Semaphore::new(limits.downloads)),
            cache: Arc::new(Mutex::new(Cache::new(limits.cache))),
        }
    }

    /// Adds the store's metrics to what the process exposes.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        self.metrics.register(registry)
    }

    /// Whether the storage takes and gives: writes a few bytes and reads them.
    pub async fn ready(&self) -> Result<(), StoreError> {
        let probe = object_store::path::Path::from(PROBE);
        self.objects.put(&probe, PROBE.into()).await?;
        let read = self.objects.get(&probe).await?.bytes().await?;
        if read == PROBE { Ok(()) } else { Err(StoreError::Probe) }
    }

    /// The size of a blob that is there.
    pub async fn size(&self, digest: &Digest) -> Result<u64, StoreError> {
        match self.objects.head(&digest.path()).await {
            Ok(meta) => Ok(meta.size),
            Err(error) => Err(missing(digest, error)),
        }
    }

    /// Removes a blob; one that is not there is fine.
    pub async fn delete(&self, digest: &Digest) -> Result<(), StoreError> {
        self.cache().remove(digest);
        match self.objects.delete(&digest.path()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a blob is there and whole. A damaged one is set aside.
    pub(crate) async fn holds(&self, digest: &Digest) -> Result<bool, StoreError> {
        let mut content = match self.objects.get(&digest.path()).await {
            Ok(found) => found.into_stream(),
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let mut hash = Hasher::default();
        while let Some(chunk) = content.next().await {
            hash.update(&chunk?);
        }
        let whole = hash.finish() == *digest;
        if !whole {
            self.set_aside(digest).await;
        }
        Ok(whole)
    }

    /// Takes a damaged blob out of the way, so that it is missing from now on and can be uploaded again.
    pub(crate) async fn set_aside(&self, digest: &Digest) {
        self.metrics.corrupt.inc();
        self.cache().remove(digest);
        match self.objects.rename(&digest.path(), &digest.quarantine()).await {
            Ok(()) => tracing::error!(%digest, "a blob was damaged in storage; it is set aside in quarantine/"),
            Err(error) => tracing::error!(%digest, %error, "a blob is damaged in storage and cannot be set aside"),
        }
    }

    /// The blobs in memory.
    pub(crate) fn cache(&self) -> MutexGuard<'_, Cache> {
        // Nothing in the cache panics half-way; what a poisoned lock guards is sound.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for leave to upload.
    pub(crate) async fn upload_turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        turn(&self.uploads, self.limits.turn, "uploads").await
    }

    /// Waits for leave to download.
    pub(crate) async fn download_turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        turn(&self.downloads, self.limits.turn, "downloads").await
    }
}

/// Tells a blob that is not there from storage that fails.
pub(crate) fn missing(digest: &Digest, error: object_store::Error) -> StoreError {
    match error {
        object_store::Error::NotFound { .. } => StoreError::Missing(digest.clone()),
        error => error.into(),
    }
}

async fn turn(
    semaphore: &Arc<Semaphore>,
    patience: Duration,
    what: &'static str,
) -> Result<OwnedSemaphorePermit, StoreError> {
    match timeout(patience, semaphore.clone().acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(StoreError::Busy(what)),
    }
}

/// Removes parts of uploads that a killed process left: files whose name has a `#`, untouched since `before`.
fn sweep(root: &Path, before: SystemTime) -> std::io::Result<()> {
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() && entry.file_name().to_string_lossy().contains('#') {
                remove_stale(entry.path(), before)?;
            }
        }
    }
    Ok(())
}

fn remove_stale(path: PathBuf, before: SystemTime) -> std::io::Result<()> {
    if path.metadata()?.modified()? < before {
        std::fs::remove_file(&path)?;
        tracing::info!(path = %path.display(), "removed what an upload left behind");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_remains_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = dir.path().join("blobs/sha256/ab");
        std::fs::create_dir_all(&blobs).unwrap();
        for name in ["blob", "blob#1"] {
            std::fs::write(blobs.join(name), "x").unwrap();
        }
        sweep(dir.path(), SystemTime::now() - STALE).unwrap();
        assert!(blobs.join("blob#1").exists());
        sweep(dir.path(), SystemTime::now() + STALE).unwrap();
        assert!(blobs.join("blob").exists() && !blobs.join("blob#1").exists());
    }
}

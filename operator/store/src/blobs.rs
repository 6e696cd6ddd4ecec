//! The blobs themselves: what is where, what is in memory, what is set aside.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt as _};
use prometheus::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::builds::Index;
use crate::cache::Cache;
use crate::digest::{BLOBS, Hasher, Name};
use crate::failure::StoreError;
use crate::ledger::{Ledger, Quotas};
use crate::metrics::Metrics;
use crate::sweep::Sweeping;

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

/// What a store is told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Bounds of calls.
    pub limits: Limits,
    /// Bounds of namespaces.
    pub quotas: Quotas,
    /// How garbage is collected.
    pub sweeping: Sweeping,
}

/// A content-addressed store. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) ledger: Ledger,
    pub(crate) index: Index,
    pub(crate) sweeping: Sweeping,
    /// Tells this run of the store from others.
    pub(crate) instance: Arc<str>,
    uploads: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
    cache: Arc<Mutex<Cache>>,
}

impl Store {
    /// In a directory, which is made when it is not there. What is written survives a power cut.
    pub async fn local(path: impl AsRef<Path>, settings: Settings) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let unusable = |error| StoreError::Directory { path: path.to_owned(), error };
        std::fs::create_dir_all(path).map_err(unusable)?;
        sweep(path, SystemTime::now() - STALE).map_err(unusable)?;
        let objects = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        Self::open(Arc::new(objects), settings).await
    }

    /// On any storage that no other process writes to: what lies in it is counted now.
    pub async fn open(objects: Arc<dyn ObjectStore>, settings: Settings) -> Result<Self, StoreError> {
        let Settings { limits, quotas, sweeping } = settings;
        let store = Self {
            objects,
            limits,
            ledger: Ledger::new(quotas),
            index: Index::default(),
            sweeping,
            instance: instance().into(),
            // The names and labels are constants, right or wrong at compile time; the tests make one.
            #[allow(clippy::expect_used)]
            metrics: Metrics::new().expect("the store's metrics are well-formed"),
            uploads: Arc::new(Semaphore::new(limits.uploads)),
            downloads: Arc::new(Semaphore::new(limits.downloads)),
            cache: Arc::new(Mutex::new(Cache::new(limits.cache))),
        };
        let mut lying = store.objects.list(Some(&BLOBS.into()));
        while let Some(meta) = lying.try_next().await? {
            if let Some(name) = Name::at(&meta.location) {
                store.ledger.found(&name, meta.size);
            }
        }
        drop(lying);
        store.show_total();
        Ok(store)
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

    /// The size of a blob that is there, and means to stay: its grace period begins anew.
    pub async fn size(&self, name: &Name) -> Result<u64, StoreError> {
        self.ledger.touch(name).ok_or_else(|| StoreError::Missing(name.clone()))?;
        match self.objects.head(&name.path()).await {
            Ok(meta) => Ok(meta.size),
            Err(error) => Err(self.missing(name, error)),
        }
    }

    /// Removes a blob; one that is not there is fine.
    pub async fn delete(&self, name: &Name) -> Result<(), StoreError> {
        let _going = self.ledger.depart(name).ok_or(StoreError::Busy("changes of this blob"))?;
        self.cache().remove(&name.digest);
        match self.objects.delete(&name.path()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a blob is there and whole. A damaged one is set aside.
    pub(crate) async fn holds(&self, name: &Name) -> Result<bool, StoreError> {
        let mut content = match self.objects.get(&name.path()).await {
            Ok(found) => found.into_stream(),
            Err(object_store::Error::NotFound { .. }) => {
                self.ledger.remove(name);
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let mut hash = Hasher::default();
        while let Some(chunk) = content.next().await {
            hash.update(&chunk?);
        }
        let whole = hash.finish() == name.digest;
        if !whole {
            self.set_aside(name).await;
        }
        Ok(whole)
    }

    /// Takes a damaged blob out of the way, so that it is missing from now on and can be uploaded again.
    pub(crate) async fn set_aside(&self, name: &Name) {
        self.metrics.corrupt.inc();
        self.ledger.remove(name);
        self.ledger.lost(name, true);
        self.cache().remove(&name.digest);
        match self.objects.rename(&name.path(), &name.quarantine()).await {
            Ok(()) => tracing::error!(%name, "a blob was damaged in storage; it is set aside in quarantine/"),
            Err(error) => tracing::error!(%name, %error, "a blob is damaged in storage and cannot be set aside"),
        }
    }

    /// Tells a blob that is not there, though it should be, from storage that fails.
    pub(crate) fn missing(&self, name: &Name, error: object_store::Error) -> StoreError {
        match error {
            object_store::Error::NotFound { .. } => {
                self.ledger.remove(name);
                StoreError::Missing(name.clone())
            }
            error => error.into(),
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

/// The time of the start: no two runs on one storage have the same.
fn instance() -> String {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
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

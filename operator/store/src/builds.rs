//! What builds came to: one small object for each, from all that decides the result to the result's digest.
//!
//! An entry is worth as much as the archive that it names. With every sweep those go whose archive went: what they know
//! is that a build was made once, and it has to be made again anyway.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use tokio::sync::Mutex;

use crate::blobs::Store;
use crate::digest::{BUILDS, Digest, Name};
use crate::failure::StoreError;

/// Entries that are read from the storage in one sweep. What was read once is remembered; the rest has its turn with the next.
const READ: usize = 1000;

/// What entries say, by key, as far as a sweep has read them or they were written by this process; of one that cannot be
/// read, nothing. Who writes or deletes an entry holds the lock: none is deleted for what it said before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index(Arc<Mutex<HashMap<Name, Option<Digest>>>>);

impl Store {
    /// The digest of what the build with this key came to. Whether that archive is still here is another question.
    pub async fn recall(&self, key: &Name) -> Result<Digest, StoreError> {
        // One that cannot be read is one that is not there: the build is made again and writes it anew.
        self.entry(key).await?.ok_or_else(|| StoreError::Missing(key.clone()))
    }

    async fn entry(&self, key: &Name) -> Result<Option<Digest>, StoreError> {
        let text = match self.objects.get(&key.build()).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(std::str::from_utf8(&text).ok().and_then(|text| Digest::parse(text).ok()))
    }

    /// Writes down what the build with this key came to, when that archive is here. A later word counts: a build is only
    /// made again when its result was lost.
    pub async fn remember_build(&self, key: &Name, result: &Digest) -> Result<(), StoreError> {
        let mut index = self.index.0.lock().await;
        self.size(&Name { namespace: key.namespace.clone(), digest: result.clone() }).await?;
        self.objects.put(&key.build(), result.as_str().to_owned().into()).await?;
        index.insert(key.clone(), Some(result.clone()));
        Ok(())
    }

    /// Forgets the builds whose results are here no more; running dry, only counts and says them. Tells how many.
    pub async fn forget_builds(&self) -> Result<u64, StoreError> {
        let listed: Vec<_> = self.objects.list(Some(&BUILDS.into())).map_ok(|meta| meta.location).try_collect().await?;
        let keys: Vec<Name> = listed.iter().filter_map(Name::of_build).collect();
        let (mut room, mut forgotten) = (READ, 0);
        for key in &keys {
            let mut index = self.index.0.lock().await;
            let result = match index.get(key) {
                Some(result) => result.clone(),
                None if room == 0 => continue,
                None => {
                    room -= 1;
                    let result = self.entry(key).await?;
                    index.insert(key.clone(), result.clone());
                    result
                }
            };
            let result = result.map(|digest| Name { namespace: key.namespace.clone(), digest });
            if result.is_some_and(|result| self.ledger.has(&result)) {
                continue;
            }
            forgotten += 1;
            if self.sweeping.dry {
                tracing::info!(build = %key, "its result is gone; remembered, as this runs dry");
                continue;
            }
            index.remove(key);
            match self.objects.delete(&key.build()).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => self.metrics.forgotten.inc(),
                Err(error) => return Err(error.into()),
            }
        }
        let left = keys.len() - if self.sweeping.dry { 0 } else { usize::try_from(forgotten).unwrap_or_default() };
        self.metrics.builds.set(i64::try_from(left).unwrap_or(i64::MAX));
        Ok(forgotten)
    }
}

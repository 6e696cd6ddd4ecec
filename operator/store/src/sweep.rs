//! Garbage: what nothing has referred to for the grace period is deleted. And rot: with every sweep the blobs that have
//! not been looked at for longest are compared with their digests.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use muon_crds::wire::{Lost, SweepReply, SweepRequest};
use object_store::{ObjectStore as _, ObjectStoreExt as _};

use crate::blobs::Store;
use crate::digest::QUARANTINE;
use crate::failure::StoreError;

/// Bytes that are looked at per sweep.
const SCRUB: u64 = 64 << 20;

/// How garbage is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweeping {
    /// How long a blob must have been out of use. A restart of the store begins it anew.
    pub grace: Duration,
    /// Only count and say what would go.
    pub dry: bool,
}

impl Default for Sweeping {
    fn default() -> Self {
        Self { grace: Duration::from_secs(3600), dry: false }
    }
}

impl Store {
    /// Deletes what is not in use, and has not been for the grace period.
    pub async fn sweep(&self, request: &SweepRequest) -> Result<SweepReply, StoreError> {
        let Sweeping { grace, dry } = self.sweeping;
        let (unused, missing) = self.ledger.compare(&request.live, grace);
        let mut reply = SweepReply { waiting: unused.waiting, missing, ..SweepReply::default() };
        for (name, size) in unused.over {
            if dry {
                tracing::info!(namespace = name.namespace, digest = %name.digest, size, "out of use; kept, as this runs dry");
            } else {
                let Some(_going) = self.ledger.depart(&name) else { continue };
                self.cache().remove(&name.digest);
                match self.objects.delete(&name.path()).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => {
                        // It lies there still, and counts.
                        self.ledger.found(&name, size);
                        return Err(error.into());
                    }
                }
                tracing::info!(namespace = name.namespace, digest = %name.digest, size, "deleted: it was out of use");
                self.metrics.swept.inc();
                self.metrics.swept_bytes.inc_by(size);
            }
            reply.swept += 1;
            reply.swept_bytes += size;
        }
        if !dry {
            self.forget_damaged().await?;
        }
        self.metrics.unused.set(i64::try_from(reply.waiting + if dry { reply.swept } else { 0 }).unwrap_or(i64::MAX));
        self.show_total();
        Ok(reply)
    }

    /// What was set aside has been said, and is of no more use.
    async fn forget_damaged(&self) -> Result<(), StoreError> {
        let damaged = self.objects.list(Some(&QUARANTINE.into())).map_ok(|meta| meta.location).boxed();
        self.objects.delete_stream(damaged).try_for_each(|_| async { Ok(()) }).await.or_else(|error| match error {
            object_store::Error::NotFound { .. } => Ok(()),
            error => Err(error.into()),
        })
    }

    /// Looks at the blobs that have not been looked at for longest. Those that are damaged are set aside.
    pub async fn scrub(&self) {
        for name in self.ledger.stalest(SCRUB) {
            let Ok(_turn) = self.download_turn().await else { return };
            if let Err(error) = self.holds(&name).await {
                tracing::warn!(%name, %error, "a blob could not be compared with its digest");
            }
        }
    }

    /// What could not be given since the last time that somebody asked.
    pub fn take_lost(&self) -> Vec<Lost> {
        self.ledger.take_lost()
    }

    /// Sets the gauges of what is held.
    pub(crate) fn show_total(&self) {
        let total = self.ledger.total();
        self.metrics.blobs.set(i64::try_from(total.blobs).unwrap_or(i64::MAX));
        self.metrics.stored.set(i64::try_from(total.bytes).unwrap_or(i64::MAX));
    }
}

//! Reading a blob: never is a whole blob answered that is not what its name says.

use std::io;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt as _};
use object_store::ObjectStoreExt as _;
use tokio::sync::OwnedSemaphorePermit;

use crate::blobs::Store;
use crate::digest::{Digest, Hasher, Name};
use crate::failure::StoreError;

impl Store {
    /// A blob's size and content. A small one has been verified when this returns; a large one breaks off before its
    /// last bytes if it turns out to be damaged.
    pub async fn get(&self, name: &Name) -> Result<(u64, Body), StoreError> {
        if !self.ledger.has(name) {
            return Err(StoreError::Missing(name.clone()));
        }
        let digest = &name.digest;
        if let Some(bytes) = self.cache().get(digest) {
            self.metrics.cache.with_label_values(&["hit"]).inc();
            return Ok((bytes.len() as u64, bytes.into()));
        }
        let found = self.objects.get(&name.path()).await.map_err(|error| self.missing(name, error))?;
        let size = found.meta.size;
        if size > self.limits.small {
            let permit = self.download_turn().await?;
            return Ok((size, Body::from_stream(self.verified(name, found.into_stream(), permit))));
        }
        self.metrics.cache.with_label_values(&["miss"]).inc();
        let (bytes, got) = read_whole(found.into_stream(), size).await?;
        if got != *digest {
            self.set_aside(name).await;
            return Err(StoreError::Corrupt(name.clone()));
        }
        self.remember(digest, &bytes);
        Ok((size, bytes.into()))
    }

    /// Keeps a verified blob in memory, if it is small.
    pub(crate) fn remember(&self, digest: &Digest, bytes: &Bytes) {
        if bytes.len() as u64 <= self.limits.small {
            let mut cache = self.cache();
            cache.insert(digest, bytes);
            self.metrics.cached.set(cache.used() as i64);
        }
    }

    /// The stream, one chunk behind the storage: the last chunk follows only when the digest is right.
    fn verified(
        &self,
        name: &Name,
        content: BoxStream<'static, object_store::Result<Bytes>>,
        permit: OwnedSemaphorePermit,
    ) -> BoxStream<'static, io::Result<Bytes>> {
        let reading = Reading {
            store: self.clone(),
            name: name.clone(),
            content,
            hash: Hasher::default(),
            held: Bytes::new(),
            _permit: permit,
        };
        stream::try_unfold(Some(reading), |reading| async {
            match reading {
                Some(reading) => reading.next().await,
                None => Ok(None),
            }
        })
        .boxed()
    }
}

struct Reading {
    store: Store,
    name: Name,
    content: BoxStream<'static, object_store::Result<Bytes>>,
    hash: Hasher,
    held: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl Reading {
    /// The chunk that was held, and the reading of those that follow, if any.
    async fn next(mut self) -> io::Result<Option<(Bytes, Option<Self>)>> {
        while let Some(chunk) = self.content.next().await {
            let chunk = chunk.map_err(io::Error::other)?;
            self.hash.update(&chunk);
            let held = std::mem::replace(&mut self.held, chunk);
            if !held.is_empty() {
                return Ok(Some((held, Some(self))));
            }
        }
        let got = std::mem::take(&mut self.hash).finish();
        if got != self.name.digest {
            self.store.set_aside(&self.name).await;
            return Err(io::Error::other(StoreError::Corrupt(self.name)));
        }
        Ok(Some((self.held, None)))
    }
}

async fn read_whole(
    mut content: BoxStream<'static, object_store::Result<Bytes>>,
    size: u64,
) -> Result<(Bytes, Digest), StoreError> {
    let mut bytes = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0));
    let mut hash = Hasher::default();
    while let Some(chunk) = content.next().await {
        let chunk = chunk?;
        hash.update(&chunk);
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes.freeze(), hash.finish()))
}

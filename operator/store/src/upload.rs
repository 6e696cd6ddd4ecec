//! Writing a blob: hashed while it comes, visible only when it is whole and right.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use object_store::{MultipartUpload, ObjectStoreExt as _};
use tokio::time::timeout;

use crate::blobs::Store;
use crate::digest::{Hasher, Name};
use crate::failure::StoreError;
use crate::ledger::Coming;

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Now,
    /// It was there, whole; the body was thrown away.
    Before,
}

impl Store {
    /// Stores a body under the digest that it must have. `length`: of the body, if that is known beforehand.
    pub async fn put(&self, name: &Name, body: Body, length: Option<u64>) -> Result<Written, StoreError> {
        let written = self.put_counted(name, body, length).await;
        if matches!(written, Err(StoreError::Quota { .. })) {
            self.metrics.over_quota.inc();
        }
        self.show_total();
        written
    }

    async fn put_counted(&self, name: &Name, body: Body, length: Option<u64>) -> Result<Written, StoreError> {
        let _turn = self.upload_turn().await?;
        let mut coming = self.ledger.begin(name, length.unwrap_or_default())?;
        if self.ledger.has(name) && self.holds(name).await? {
            self.drain(body).await?;
            self.ledger.touch(name);
            return Ok(Written::Before);
        }
        let mut upload = None;
        let received = self.receive(name, body, &mut upload, &mut coming).await;
        let (rest, size) = match received {
            Ok(received) => received,
            Err(error) => {
                if let Some(mut upload) = upload {
                    // The storage may also clean up by itself; the error that matters is the first.
                    let _ = upload.abort().await;
                }
                return Err(error);
            }
        };
        match upload {
            None => {
                self.objects.put(&name.path(), rest.clone().into()).await?;
                self.remember(&name.digest, &rest);
            }
            Some(mut upload) => {
                if !rest.is_empty() {
                    upload.put_part(rest.into()).await?;
                }
                upload.complete().await?;
            }
        }
        coming.arrived(size);
        Ok(Written::Now)
    }

    /// Reads the body to its end. What is over a part goes to `upload`, which is begun only then; the rest is returned,
    /// with the size of the whole, when its digest is right.
    async fn receive(
        &self,
        name: &Name,
        body: Body,
        upload: &mut Option<Box<dyn MultipartUpload>>,
        coming: &mut Coming,
    ) -> Result<(Bytes, u64), StoreError> {
        let mut body = Incoming::new(self, body);
        let mut hash = Hasher::default();
        let mut part = BytesMut::new();
        while let Some(chunk) = body.next().await? {
            coming.reserve(body.size)?;
            hash.update(&chunk);
            part.extend_from_slice(&chunk);
            if part.len() >= self.limits.part {
                let upload = match upload {
                    Some(upload) => upload,
                    None => upload.insert(self.objects.put_multipart(&name.path()).await?),
                };
                // All parts but the last are of one size: some storages want it so.
                upload.put_part(part.split_to(self.limits.part).freeze().into()).await?;
            }
        }
        let got = hash.finish();
        if got != name.digest {
            return Err(StoreError::DigestMismatch { said: name.digest.clone(), got });
        }
        Ok((part.freeze(), body.size))
    }

    /// Takes a body that is not needed: a client that is still sending would not read the answer.
    async fn drain(&self, body: Body) -> Result<(), StoreError> {
        let mut body = Incoming::new(self, body);
        while body.next().await?.is_some() {}
        Ok(())
    }
}

/// A body, with its bounds.
struct Incoming<'a> {
    store: &'a Store,
    body: Body,
    size: u64,
}

impl<'a> Incoming<'a> {
    fn new(store: &'a Store, body: Body) -> Self {
        Self { store, body, size: 0 }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let limits = &self.store.limits;
        loop {
            let frame =
                timeout(limits.stall, self.body.frame()).await.map_err(|_| StoreError::Stalled(limits.stall))?;
            let Some(frame) = frame else { return Ok(None) };
            let Ok(data) = frame.map_err(|error| StoreError::Body(error.to_string()))?.into_data() else { continue };
            self.size += data.len() as u64;
            if self.size > limits.blob {
                return Err(StoreError::TooLarge(limits.blob));
            }
            self.store.metrics.bytes.with_label_values(&["in"]).inc_by(data.len() as u64);
            return Ok(Some(data));
        }
    }
}

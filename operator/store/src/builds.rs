//! What builds came to: one small object for each, from all that decides the result to the result's digest.

use object_store::ObjectStoreExt as _;

use crate::blobs::Store;
use crate::digest::{Digest, Name};
use crate::failure::StoreError;

impl Store {
    /// The digest of what the build with this key came to. Whether that archive is still here is another question.
    pub async fn recall(&self, key: &Name) -> Result<Digest, StoreError> {
        let missing = || StoreError::Missing(key.clone());
        let text = match self.objects.get(&key.build()).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Err(missing()),
            Err(error) => return Err(error.into()),
        };
        // One that cannot be read is one that is not there: the build is made again and writes it anew.
        std::str::from_utf8(&text).ok().and_then(|text| Digest::parse(text).ok()).ok_or_else(missing)
    }

    /// Writes down what the build with this key came to, when that archive is here. A later word counts: a build is only
    /// made again when its result was lost.
    pub async fn remember_build(&self, key: &Name, result: &Digest) -> Result<(), StoreError> {
        self.size(&Name { namespace: key.namespace.clone(), digest: result.clone() }).await?;
        self.objects.put(&key.build(), result.as_str().to_owned().into()).await?;
        Ok(())
    }
}

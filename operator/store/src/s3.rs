//! An S3 bucket as the storage: the same blobs, under the same names.
//!
//! The bucket, and within it the prefix, belong to this one store. Credentials come from the environment, as everywhere
//! with S3 (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, or a web identity).

use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};

use crate::blobs::{Settings, Store};
use crate::failure::StoreError;

/// Which bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// URL of the server; none: that of the cloud whose protocol it is.
    pub endpoint: Option<String>,
    /// Region; none: the environment's, or the protocol's first.
    pub region: Option<String>,
    /// What all names in the bucket begin with.
    pub prefix: Option<String>,
}

impl Store {
    /// In a bucket, of which all that lies in it is counted now.
    pub async fn s3(bucket: &Bucket, settings: Settings) -> Result<Self, StoreError> {
        Self::in_bucket(AmazonS3Builder::from_env(), bucket, settings).await
    }

    pub(crate) async fn in_bucket(
        builder: AmazonS3Builder,
        bucket: &Bucket,
        settings: Settings,
    ) -> Result<Self, StoreError> {
        let mut builder = builder.with_bucket_name(&bucket.name).with_retry(RetryConfig {
            // A caller waits; and it asks again.
            max_retries: 3,
            retry_timeout: settings.limits.turn,
            ..RetryConfig::default()
        });
        if let Some(endpoint) = &bucket.endpoint {
            // Whoever writes http:// means it.
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(region) = &bucket.region {
            builder = builder.with_region(region);
        }
        let objects = builder.build()?;
        let objects: Arc<dyn ObjectStore> = match &bucket.prefix {
            Some(prefix) => Arc::new(PrefixStore::new(objects, prefix.as_str())),
            None => Arc::new(objects),
        };
        Self::open(objects, settings).await
    }
}

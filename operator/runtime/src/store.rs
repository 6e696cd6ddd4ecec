//! `muon store`: blobs by digest.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use muon_order::Verifier;
use muon_store::{Bucket, Quotas, Settings, Store, Sweeping};

use crate::admin;
use crate::error::Error;
use crate::flags::StoreFlags;
use crate::serving::{self, Bounds};
use crate::shutdown::Shutdown;

/// Of agents and operators, at once: each fetches one archive, and those that are not small take turns anyway.
const CONNECTIONS: usize = 1024;

/// Serves until the signal to stop.
pub(crate) async fn run(flags: StoreFlags) -> Result<(), Error> {
    let shutdown = Shutdown::on_signal().map_err(Error::Runtime)?;
    let verifier = verifier(&flags.order_dir)?;
    let store = open(&flags).await?;
    let registry = admin::registry();
    store.register(&registry)?;
    let blobs = admin::listen(flags.port).await?;
    let probes = admin::listen(flags.identity.admin_port).await?;
    let ready: admin::Ready = {
        let store = store.clone();
        Arc::new(move || {
            let store = store.clone();
            async move { store.ready().await.map_err(|error| error.to_string()) }.boxed()
        })
    };
    tracing::info!(port = flags.port, place = place(&flags), "the store serves");
    let router = muon_store::router(store, verifier);
    tokio::join!(
        serving::serve(blobs, router, Bounds::of(CONNECTIONS), shutdown.clone().requested()),
        admin::serve(probes, registry, ready, shutdown.requested())
    );
    Ok(())
}

/// In a bucket, or in a directory.
async fn open(flags: &StoreFlags) -> Result<Store, Error> {
    let opened = match &flags.s3_bucket {
        Some(name) => {
            let bucket = Bucket {
                name: name.clone(),
                endpoint: flags.s3_endpoint.clone(),
                region: flags.s3_region.clone(),
                prefix: flags.s3_prefix.clone(),
            };
            Store::s3(&bucket, settings(flags)).await
        }
        None => Store::local(&flags.dir, settings(flags)).await,
    };
    opened.map_err(|error| Error::Store { place: place(flags), message: error.to_string() })
}

fn place(flags: &StoreFlags) -> String {
    match &flags.s3_bucket {
        Some(bucket) => format!("s3://{bucket}"),
        None => flags.dir.display().to_string(),
    }
}

fn settings(flags: &StoreFlags) -> Settings {
    let each = (flags.quota_bytes > 0).then_some(flags.quota_bytes);
    Settings {
        quotas: Quotas { each, of: flags.quota_of.iter().cloned().collect() },
        sweeping: Sweeping { grace: Duration::from_secs(flags.grace_seconds), dry: flags.sweep_dry_run },
        ..Settings::default()
    }
}

fn verifier(dir: &Path) -> Result<Verifier, Error> {
    let path = dir.join("public");
    let public = std::fs::read_to_string(&path).map_err(|source| Error::KeyFile { path: path.clone(), source })?;
    Verifier::from_public(&public).map_err(|source| Error::Key { path, source })
}

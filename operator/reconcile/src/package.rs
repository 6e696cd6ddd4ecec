//! The Package driver: code into the store, under its digest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kube::{Api, ResourceExt as _};
use muon_crds::package::Source;
use muon_crds::{ConditionType, Package, condition, names};
use muon_plan::Invalid;
use muon_plan::package::{Content, Observed, Progress, Resources, Stored, build, report, validate};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::builds;
use crate::call::call;
use crate::context::{Context, now};
use crate::controller::Action;
use crate::fetch::FetchError;
use crate::place::namespace_of;
use crate::remote;
use crate::store_client::StoreError;
use crate::trouble::{Again, Trouble};

/// How often the store is asked whether it still has an archive.
pub(crate) const VERIFY: Duration = Duration::from_secs(600);
/// Archives that are fetched at once: each may be as large as the bound.
const FETCHES: u32 = 2;
/// A Package whose fetch has to wait for others' is looked at again after this time.
const QUEUE: Duration = Duration::from_secs(1);
/// What a server gives that is not what the Package says may be put right there.
const REFUSED: Duration = Duration::from_secs(300);
/// More digests than this are not remembered as verified.
const MAX_VERIFIED: usize = 100_000;

/// Archives on their way into the store, and those that were found there lately.
pub struct Archives {
    fetches: Semaphore,
    /// When the store was asked last; none: it must be asked.
    verified: Mutex<HashMap<u128, Option<Instant>>>,
}

impl Default for Archives {
    fn default() -> Self {
        Self { fetches: Semaphore::new(FETCHES as usize), verified: Mutex::default() }
    }
}

impl Archives {
    /// Whether the store was asked lately. Of an archive of which this process knows nothing yet, the status is taken
    /// at its word until its turn comes: after a restart the store must not be asked for all of them at once.
    pub(crate) fn is_verified(&self, namespace: &str, digest: &str) -> bool {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MAX_VERIFIED {
            verified.clear();
        }
        let asked = verified.entry(short(namespace, digest)).or_insert_with(|| Some(Instant::now()));
        asked.is_some_and(|asked| asked.elapsed() < VERIFY / 2)
    }

    pub(crate) fn verify(&self, namespace: &str, digest: &str) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.insert(short(namespace, digest), Some(Instant::now()));
    }

    /// The store may no longer have it: it is asked at the next visit.
    pub fn doubt(&self, namespace: &str, digest: &str) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.insert(short(namespace, digest), None);
    }
}

/// Enough to tell the archives of all namespaces apart.
fn short(namespace: &str, digest: &str) -> u128 {
    let whole: [u8; 32] =
        Sha256::new().chain_update(namespace).chain_update("/").chain_update(digest).finalize().into();
    whole.iter().take(16).fold(0, |short, byte| short << 8 | u128::from(*byte))
}

/// One visit.
pub async fn reconcile(object: Arc<Package>, context: Arc<Context>) -> Result<Action, Trouble> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let object = match is_thin(&object) && !is_kept(&object, &context).await? {
        true => whole(&object, &context).await?,
        false => object,
    };
    let environment = builds::environment(&object, &context).map(|environment| environment.as_ref().clone());
    let observed = Observed { object: object.as_ref().clone(), environment };
    let mut progress = Progress::default();
    let outcome = match stored(&object).filter(|_| is_thin(&object)) {
        Some(stored) => Ok(stored),
        None => match validate(&observed) {
            Ok(valid) => bring(&observed, build(&valid), &mut progress, &context).await,
            Err(invalid) => Err(invalid.into()),
        },
    };
    let said = report(&observed, &progress, outcome.as_ref().map_err(|trouble| &trouble.invalid), &now());
    context.package.reporting.settle(object.as_ref(), &said, outcome.as_ref().err()).await?;
    outcome.map(|_| Action::await_change())
}

/// Leaves the files out of a Package whose archive is in the store, as its status says of this very generation: they are
/// most of what there is of it, and nobody looks at them again while the store has the archive. Those that we
/// made of a Function's own source stay whole: they are compared with that.
pub fn thin(object: &mut Package) {
    if stored(object).is_some() && object.owner_references().is_empty() && object.spec.build.is_none() {
        object.spec.source.files = None;
    }
}

/// Whether the files were left out: the API server admits no Package without a source.
fn is_thin(object: &Package) -> bool {
    object.spec.source == Source::default()
}

/// What the status says of this generation's archive.
fn stored(object: &Package) -> Option<Stored> {
    let status = object.status.as_ref()?;
    let current = status.observed_generation.is_some() && status.observed_generation == object.metadata.generation;
    known(object, status.digest.as_deref()?).filter(|_| current)
}

/// Whether the store still has the archive; it is asked now and then only.
async fn is_kept(object: &Package, context: &Context) -> Result<bool, Trouble> {
    let Some(Stored { digest, .. }) = stored(object) else { return Ok(false) };
    let namespace = namespace_of(object);
    if context.archives.is_verified(&namespace, &digest) {
        return Ok(true);
    }
    let kept = context.store.size(&namespace, &digest).await?.is_some();
    if kept {
        context.archives.verify(&namespace, &digest);
    }
    Ok(kept)
}

/// The Package with its files, from the API server.
async fn whole(object: &Package, context: &Context) -> Result<Arc<Package>, Trouble> {
    let api: Api<Package> = Api::namespaced(context.client.clone(), &namespace_of(object));
    Ok(Arc::new(call("read a Package whose archive the store has lost", api.get(&object.name_any())).await?))
}

/// The source into the store, and where it has to be built, what is built of it.
async fn bring(
    observed: &Observed,
    resources: Resources,
    progress: &mut Progress,
    context: &Context,
) -> Result<Stored, Trouble> {
    let object = &observed.object;
    let source = apply(object, resources, progress, context).await?;
    progress.source = Some(source.clone());
    match object.spec.build {
        Some(_) => builds::apply(observed, &source, progress, context).await,
        None => builds::tidy(object, None, context).await.map(|()| source),
    }
}

/// Has the archive be in the store. What it holds already is not written again.
async fn apply(
    object: &Package,
    resources: Resources,
    progress: &mut Progress,
    context: &Context,
) -> Result<Stored, Trouble> {
    let Resources { digest, content } = resources;
    let namespace = namespace_of(object);
    let stored = |digest: String, size: u64| {
        context.archives.verify(&namespace, &digest);
        Stored { digest, size_bytes: i64::try_from(size).unwrap_or(i64::MAX) }
    };
    if let Some(digest) = digest.clone() {
        if let Some(stored) = known(object, &digest).filter(|_| context.archives.is_verified(&namespace, &digest)) {
            return Ok(stored);
        }
        if let Some(size) = context.store.size(&namespace, &digest).await? {
            return Ok(stored(digest, size));
        }
    }
    let archive = match content {
        Content::Bytes(bytes) => Bytes::from(bytes),
        Content::Url(url) => {
            let _turn = turn(1, context)?;
            context.settings.fetcher().archive(&url, digest.as_deref().unwrap_or_default()).await?
        }
        Content::Remote(remote) => {
            // It is in memory several times over.
            let _turn = turn(FETCHES, context)?;
            let (archive, origin) = remote::fetch(&namespace, &remote, context).await?;
            progress.origin = Some(origin);
            archive
        }
    };
    let digest = names::digest(&archive);
    let size = archive.len() as u64;
    context.store.put(&namespace, &digest, archive).await?;
    Ok(stored(digest, size))
}

/// What the status says of this very archive.
fn known(object: &Package, digest: &str) -> Option<Stored> {
    let status = object.status.as_ref()?;
    let is_stored = condition::is_true(&status.conditions, ConditionType::Stored);
    // Of what is built, the status tells the source apart from the result.
    let of_source = if object.spec.build.is_some() { &status.source_digest } else { &status.digest };
    let same = of_source.as_deref() == Some(digest);
    (is_stored && same).then(|| Stored { digest: digest.to_owned(), size_bytes: status.size_bytes.unwrap_or_default() })
}

/// Leave to fetch.
fn turn(weight: u32, context: &Context) -> Result<SemaphorePermit<'_>, Trouble> {
    context.archives.fetches.try_acquire_many(weight).map_err(|_| {
        let message = "other archives are being fetched; this one's turn comes";
        Trouble::waiting(ConditionType::Stored, "Fetching", message, QUEUE)
    })
}

impl From<FetchError> for Trouble {
    fn from(error: FetchError) -> Self {
        let (reason, message) = (error.reason(), error.to_string());
        match error.is_passing() {
            true => Self { invalid: Invalid::waiting(ConditionType::Stored, reason, message), again: Again::Backoff },
            false => {
                Self { invalid: Invalid::stalled(ConditionType::Stored, reason, message), again: Again::After(REFUSED) }
            }
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        if let StoreError::Quota(message) = error {
            // What is deleted elsewhere in the namespace makes room.
            let invalid = Invalid::stalled(ConditionType::Stored, "QuotaExceeded", message);
            return Self { invalid, again: Again::After(REFUSED) };
        }
        let invalid = Invalid::waiting(ConditionType::Stored, "StoreUnavailable", error.to_string());
        Self { invalid, again: Again::Backoff }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(generation: i64, observed: i64, stored: &str, owners: serde_json::Value) -> Package {
        serde_json::from_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Package",
            "metadata": {"name": "hello", "namespace": "demo", "generation": generation, "ownerReferences": owners},
            "spec": {"environment": "python", "source": {"files": {"main.py": "x"}}},
            "status": {
                "observedGeneration": observed, "digest": "sha256:00", "sizeBytes": 7,
                "conditions": [{
                    "type": "Stored", "status": stored, "reason": "Stored", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn files_are_left_out_only_once_the_store_has_them() {
        let owner = json!([{"apiVersion": "muon.dev/v1alpha1", "kind": "Function", "name": "f", "uid": "u"}]);
        for (mut object, expected) in [
            (package(2, 2, "True", json!([])), true),
            (package(3, 2, "True", json!([])), false),
            (package(2, 2, "False", json!([])), false),
            (package(2, 2, "True", owner), false),
        ] {
            thin(&mut object);
            assert_eq!(is_thin(&object), expected, "{object:?}");
        }
        let mut object = package(1, 1, "True", json!([]));
        thin(&mut object);
        assert_eq!(stored(&object), Some(Stored { digest: "sha256:00".to_owned(), size_bytes: 7 }));
    }
}

//! Running a driver: which object next, how many at once, and when again after a failure.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::Resource;
use kube::runtime::controller::{Action, Config, Error, applier};
use kube::runtime::reflector::{Lookup, ObjectRef, Store};
use tracing::{debug, info, warn};

use crate::context::Context;
use crate::queue::Queue;
use crate::trouble::{Again, Trouble};

/// Without any change, every object is looked at again after this time, and up to as much later.
const RESYNC: Duration = Duration::from_secs(1200);
/// First and longest pause after failures.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));
/// A pause after a lost race: the watch brings the newer object within it.
const RACE: Duration = Duration::from_millis(100);

/// How a driver is run.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Objects at once.
    pub concurrency: u16,
    /// How long changes are gathered before an object is looked at.
    pub debounce: Duration,
}

/// Objects whose last visits failed, and how often.
struct Failures<K: Lookup<DynamicType = ()> + 'static>(Mutex<HashMap<ObjectRef<K>, u32>>);

impl<K: Lookup<DynamicType = ()> + 'static> Failures<K> {
    fn map(&self) -> MutexGuard<'_, HashMap<ObjectRef<K>, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, object: ObjectRef<K>) -> u32 {
        let mut failures = self.map();
        let count = failures.entry(object).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

/// Looks at whatever the queue holds. Ends only when it is dropped.
pub async fn run<K, F, Fut>(context: Arc<Context>, queue: Queue<K>, store: Store<K>, pace: Pace, reconcile: F)
where
    K: Resource<DynamicType = ()> + Lookup<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    F: Fn(Arc<K>, Arc<Context>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<Action, Trouble>> + Send + 'static,
{
    let kind = <K as Resource>::kind(&()).into_owned();
    let failures = Arc::new(Failures::<K>(Mutex::new(HashMap::new())));
    let visit = {
        let (kind, failures) = (kind.clone(), Arc::clone(&failures));
        move |object: Arc<K>, context: Arc<Context>| {
            let (kind, failures, reconcile) = (kind.clone(), Arc::clone(&failures), reconcile.clone());
            Box::pin(async move {
                let (started, reference) = (Instant::now(), ObjectRef::from_obj(object.as_ref()));
                let result = reconcile(object, Arc::clone(&context)).await;
                let outcome = result.as_ref().map_or_else(Trouble::outcome, |_| "ok");
                context.metrics.reconciled(&kind, outcome, started.elapsed());
                if result.is_ok() {
                    failures.map().remove(&reference);
                }
                result
            })
        }
    };
    let policy = {
        let failures = Arc::clone(&failures);
        move |object: Arc<K>, trouble: &Trouble, _: Arc<Context>| {
            let reference = ObjectRef::from_obj(object.as_ref());
            match trouble.again {
                Again::AtOnce => Action::requeue(RACE),
                Again::Backoff => Action::requeue(backoff(failures.count(reference))),
                Again::After(time) => Action::requeue(time),
                Again::OnChange => resync(object.as_ref()),
            }
        }
    };
    let config = Config::default().concurrency(pace.concurrency).debounce(pace.debounce);
    let mut visits = std::pin::pin!(applier(visit, policy, context, store, queue.stream(), config));
    while let Some(visited) = visits.next().await {
        match visited {
            Ok((object, _)) => debug!(%object, "looked at"),
            Err(Error::ReconcilerFailed(trouble, object)) => match trouble.again {
                Again::AtOnce => debug!(%object, %trouble, "it moved; looking again"),
                Again::Backoff => warn!(%object, %trouble, "trying again"),
                Again::After(_) | Again::OnChange => info!(%object, %trouble, "not in place yet"),
            },
            Err(Error::ObjectNotFound(object)) => debug!(%object, "gone before it was looked at"),
            Err(error) => warn!(kind, %error, "the controller stumbled"),
        }
    }
}

/// When an object is looked at though nothing changed: not all at the same time.
pub fn resync<K: Resource>(object: &K) -> Action {
    let mut hasher = DefaultHasher::new();
    object.meta().uid.hash(&mut hasher);
    Action::requeue(RESYNC + Duration::from_secs(hasher.finish() % RESYNC.as_secs()))
}

fn backoff(failures: u32) -> Duration {
    let (first, longest) = BACKOFF;
    first.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16))).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!(backoff(1), BACKOFF.0);
        assert_eq!(backoff(2), BACKOFF.0 * 2);
        assert_eq!(backoff(u32::MAX), BACKOFF.1);
    }
}

//! Running a driver: which object next, how many at once, and when again after a failure.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use kube::Resource;
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use crate::context::Context;
use crate::desk::Desk;
use crate::objects::{Objects, Stored};
use crate::queue::Queue;
use crate::reference::ObjectRef;
use crate::trouble::{Again, Trouble};
use crate::visit::{self, Visit};

/// Without any change, every object is looked at again after this time.
const RESYNC: Duration = Duration::from_secs(1800);
/// The objects are looked at in turns of this length: a part of them in each, so that they never come together, and
/// no object needs an alarm of its own.
const TURN: Duration = Duration::from_secs(10);
/// First and longest pause after failures.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));
/// A pause after a lost race: the watch brings the newer object within it.
const RACE: Duration = Duration::from_millis(100);

/// When an object is looked at again after a visit that ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action(Option<Duration>);

impl Action {
    /// When something changes, or its turn comes.
    pub const fn await_change() -> Self {
        Self(None)
    }

    /// After this time, or when something changes before.
    pub const fn requeue(after: Duration) -> Self {
        Self(Some(after))
    }
}

/// How a driver is run.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Objects at once.
    pub concurrency: u16,
    /// How long changes are gathered before an object is looked at.
    pub debounce: Duration,
    /// After which time every object is looked at though nothing changed.
    pub resync: Duration,
}

impl Pace {
    /// So many at once, without a pause.
    pub const fn of(concurrency: u16) -> Self {
        Self { concurrency, debounce: Duration::ZERO, resync: RESYNC }
    }
}

/// Looks at whatever the queue holds. Ends only when it is dropped.
pub async fn run<K, F, Fut>(context: Arc<Context>, queue: Queue<K>, objects: Objects<K>, pace: Pace, reconcile: F)
where
    K: Stored,
    F: Fn(Arc<K>, Arc<Context>) -> Fut,
    Fut: Future<Output = Result<Action, Trouble>>,
{
    let kind = K::kind(&()).into_owned();
    let mut failures: HashMap<ObjectRef<K>, u32> = HashMap::new();
    let mut desk = Desk::default();
    let mut visits = FuturesUnordered::new();
    let mut turns = tokio::time::interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = 0u64;
    loop {
        desk.come_due(Instant::now());
        while visits.len() < usize::from(pace.concurrency.max(1))
            && let Some(name) = desk.take()
        {
            let Some(object) = objects.get(&name) else {
                debug!(kind, object = %name, "gone before it was looked at");
                failures.remove(&name);
                desk.done(name, None, Instant::now());
                continue;
            };
            let (visit, started) = (reconcile(object, Arc::clone(&context)), Instant::now());
            visits.push(async move { (name, visit.await, started.elapsed()) });
        }
        let due = desk.next_due().map(tokio::time::Instant::from_std);
        tokio::select! {
            Some((name, result, took)) = visits.next() => {
                let outcome = result.as_ref().map_or_else(Trouble::outcome, |_| "ok");
                context.metrics.reconciled(&kind, outcome, took);
                visit::tell(context.settings.visits.as_ref(), &context.metrics, || Visit {
                    kind: kind.clone(),
                    namespace: name.namespace().to_owned(),
                    name: name.name().to_owned(),
                    started: SystemTime::now().checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH),
                    took,
                    outcome,
                });
                let after = match result {
                    Ok(Action(after)) => {
                        failures.remove(&name);
                        after
                    }
                    Err(trouble) => after(&kind, &name, &trouble, &mut failures),
                };
                desk.done(name, after, Instant::now());
                // Visits that write nothing never wait: others must have their turn all the same.
                tokio::task::yield_now().await;
            }
            pushed = queue.taken() => {
                let then = Instant::now() + pace.debounce;
                for name in pushed {
                    match pace.debounce.is_zero() {
                        true => desk.push(name),
                        false => desk.push_at(name, then),
                    }
                }
            }
            () = async { tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)).await }, if due.is_some() => {}
            _ = turns.tick() => {
                objects.each_name(|name| {
                    if is_its_turn(name, turn, pace.resync) {
                        desk.push(name.clone());
                    }
                });
                turn += 1;
            }
        }
    }
}

/// When an object is looked at again after a visit that ended early.
fn after<K: Resource>(
    kind: &str,
    object: &ObjectRef<K>,
    trouble: &Trouble,
    failures: &mut HashMap<ObjectRef<K>, u32>,
) -> Option<Duration> {
    match trouble.again {
        Again::AtOnce => {
            debug!(kind, %object, %trouble, "it moved; looking again");
            Some(RACE)
        }
        Again::Backoff => {
            warn!(kind, %object, %trouble, "trying again");
            let count = failures.entry(object.clone()).or_default();
            *count = count.saturating_add(1);
            Some(backoff(*count))
        }
        Again::After(time) => {
            info!(kind, %object, %trouble, "not in place yet");
            Some(time)
        }
        Again::OnChange => {
            info!(kind, %object, %trouble, "not in place yet");
            None
        }
    }
}

/// Whether the object is looked at in this turn: each in one of the turns that `resync` has.
fn is_its_turn<K>(name: &ObjectRef<K>, turn: u64, resync: Duration) -> bool {
    let turns = (resync.as_secs() / TURN.as_secs()).max(1);
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    // The first turn is at the beginning, when everything is looked at anyway.
    hasher.finish() % turns == turn % turns && turn > 0
}

fn backoff(failures: u32) -> Duration {
    let (first, longest) = BACKOFF;
    first.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16))).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muon_crds::Function;

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!(backoff(1), BACKOFF.0);
        assert_eq!(backoff(2), BACKOFF.0 * 2);
        assert_eq!(backoff(u32::MAX), BACKOFF.1);
    }

    #[test]
    fn everything_has_its_turn_once_and_never_all_together() {
        let names: Vec<ObjectRef<Function>> =
            (0..1000).map(|number| ObjectRef::new(&format!("fn-{number}")).within("demo")).collect();
        let turns = RESYNC.as_secs() / TURN.as_secs();
        let in_turn = |turn| names.iter().filter(|name| is_its_turn(name, turn, RESYNC)).count();
        let all: Vec<usize> = (1..=turns).map(in_turn).collect();
        assert_eq!(all.iter().sum::<usize>(), names.len());
        assert!(all.iter().all(|count| *count < names.len() / 10), "{all:?}");
    }
}

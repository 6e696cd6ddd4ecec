//! Pods set aside ahead of requests, so that a cold one waits for no write: the reserved pod is loaded at once, and its
//! claim is written behind the answer. What is to be done about each pod, [`ledger`] says.

pub(crate) mod ledger;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muon_crds::{Mode, Serving};
use muon_routes::{Function, Meant, Pod, PodIndex, Table};
use tokio::sync::{Notify, oneshot};

use crate::claim::{Claim, ClaimError, ClaimRequest, ReserveRequest, Step};
use crate::load::epoch;
use crate::proxy::Proxy;
use crate::reserve::ledger::{Ledger, Outcome, Seen, Terms};
use crate::served::Served;
use crate::supply::{Held, fits};

const TERMS: Terms = Terms { lease: 300, least: 60, grace: 30 };
/// How often leases are looked at when nothing happens.
const TICK: Duration = Duration::from_secs(5);
/// What happens within this time is looked at together, out of the way of the request that made it happen.
const TOGETHER: Duration = Duration::from_millis(50);
/// The claim of a taken pod waits for the first answer, but no longer than this: meanwhile its pool does not replace it.
const ANSWER: Duration = Duration::from_secs(1);

/// What this proxy has reserved.
#[derive(Debug)]
pub(crate) struct Reserves {
    ledger: Mutex<Ledger>,
    look: Notify,
}

impl Reserves {
    pub(crate) fn new(name: &str) -> Self {
        Self { ledger: Mutex::new(Ledger::new(name, TERMS)), look: Notify::new() }
    }

    /// Something has changed that reservations depend on.
    pub(crate) fn look_again(&self) {
        self.look.notify_one();
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// Reserves, gives back and retires, as long as the proxy lives.
    pub(crate) async fn keep_reserves(self: Arc<Self>) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.reserves.look.notified() => tokio::time::sleep(TOGETHER).await,
            }
            if self.complete.get().is_some() {
                self.look_after_reserves();
            }
        }
    }

    /// At shutdown: reserves nothing more, and makes free what waits for a function.
    pub(crate) fn give_back(self: &Arc<Self>) {
        self.reserves.ledger().close();
        self.look_after_reserves();
    }

    fn look_after_reserves(self: &Arc<Self>) {
        let pools: Vec<Vec<Arc<Pod>>> =
            self.with_index(|index| index.pools().map(|pool| pool.into_iter().cloned().collect()).collect());
        let table = self.table.load();
        let mut ledger = self.reserves.ledger();
        let find = |uid: &str| pools.iter().flatten().find(|pod| *pod.uid == *uid);
        ledger.forget(|uid| find(uid).and_then(|pod| pod.reserved.as_ref()));
        for mut pool in pools.iter().map(|pool| pool.iter().collect::<Vec<_>>()) {
            // Proxies that reserve from one pool at once so keep out of each other's way.
            pool.sort_by_key(|pod| (!self.is_mine(&pod.uid), pod.ready_since));
            let Some(first) = pool.first() else { continue };
            let seats = if is_used(&table, first) { self.seats(first, &pool) } else { 0 };
            let steps = ledger.next(&self.seen(&pool), seats, epoch());
            for (uid, step) in steps {
                if let Some(pod) = pool.iter().find(|pod| *pod.uid == *uid) {
                    self.start_step(Arc::clone(pod), step);
                }
            }
        }
    }

    fn seen<'a>(&self, pool: &[&'a Arc<Pod>]) -> Vec<Seen<'a>> {
        let up = pool.iter().filter(|pod| pod.is_up());
        let newest = up.max_by_key(|pod| pod.ready_since).and_then(|pod| pod.pool.as_ref());
        let taken = self.taken();
        let seen = pool.iter().map(|pod| Seen {
            uid: &pod.uid,
            reserved: pod.reserved.as_ref(),
            open: pod.is_free() && taken.allows(pod),
            // A pool of another template replaces it: it must not be held up.
            old: pod.pool.as_ref() != newest,
            heir: self.is_mine(&pod.uid),
        });
        seen.collect()
    }

    /// How many of these pods of an Environment are for this proxy to reserve.
    fn seats(&self, of: &Pod, pool: &[&Arc<Pod>]) -> usize {
        let generic = pool.iter().filter(|pod| pod.is_up() && pod.function.is_none()).count();
        let proxies = self.shared.proxies.load(Ordering::Relaxed).max(1) as usize;
        let position = self.shared.position.load(Ordering::Relaxed) as usize;
        // Not the same proxy first everywhere.
        let turn = muon_routes::score(&of.environment, &of.namespace) as usize % proxies;
        ledger::seats(generic, (position + turn) % proxies, proxies, self.shared.config.reserve)
    }

    /// Makes the patch of a step in a task of its own. A pod that is being reserved is claimed by nobody here.
    fn start_step(self: &Arc<Self>, pod: Arc<Pod>, step: Step) {
        let proxy = Arc::clone(self);
        let held = matches!(step, Step::Reserve(_)).then(|| Held::new(self, &pod));
        self.shared.tasks.spawn(async move {
            let outcome = proxy.make_step(&pod, &step).await;
            drop(held);
            proxy.reserves.ledger().end(&pod.uid, &step, outcome);
            if outcome == Outcome::Done {
                // Somebody may be waiting for a pod.
                proxy.freed.notify_waiters();
            }
        });
    }

    async fn make_step(self: &Arc<Self>, pod: &Pod, step: &Step) -> Outcome {
        let request = ReserveRequest {
            namespace: pod.namespace.to_string(),
            pod: pod.name.to_string(),
            pod_uid: pod.uid.to_string(),
            step: step.clone(),
        };
        let metrics = &self.shared.metrics;
        let version = match self.patch(self.claimer.reserve(request)).await {
            Ok(Claim::Won { resource_version }) => resource_version,
            Ok(Claim::Lost) => return Outcome::Failed,
            Err(error) => {
                metrics.reserve_failed.inc();
                tracing::warn!(pod = &*pod.name, ?step, why = error.message, "a reservation could not be changed");
                return Outcome::Failed;
            }
        };
        let after = match step {
            Step::Reserve(reserved) => {
                metrics.reserved.inc();
                Some(reserved.clone())
            }
            Step::Return(_) => {
                metrics.reserve_returned.inc();
                None
            }
            Step::Retire(reserved) => {
                metrics.reserve_retired.inc();
                tracing::info!(
                    pod = &*pod.name,
                    by = &*reserved.by,
                    "a reserved pod that nobody answers for is replaced"
                );
                return Outcome::Done;
            }
        };
        self.with_pods(|index, _| index.reserved(&pod.uid, after, version).into_iter().collect());
        Outcome::Done
    }

    /// Takes a reserved pod for the function, if there is one, without asking anybody: it is the function's from now on,
    /// and its claim follows.
    pub(crate) fn take_reserved(
        self: &Arc<Self>,
        served: &Arc<Served>,
        function: &Arc<Function>,
        serving: &Serving,
    ) -> bool {
        let pods: Vec<Arc<Pod>> = self.with_index(|index| {
            let reserved =
                |pod: &&Arc<Pod>| pod.reserved.is_some() && pod.function.is_none() && pod.is_up() && fits(pod, serving);
            index.pool(function.namespace(), &serving.environment).filter(reserved).cloned().collect()
        });
        let now = epoch();
        let taken = {
            let mut ledger = self.reserves.ledger();
            pods.into_iter().find_map(|pod| ledger.take(&pod.uid, now).map(|reserved| (pod, reserved)))
        };
        let Some((pod, reserved)) = taken else { return false };
        let meant = Meant {
            function: function.name().into(),
            function_uid: function.uid.clone(),
            revision: serving.revision.as_str().into(),
        };
        let entered = self.with_pods(|index, _| index.take(&pod.uid, meant).into_iter().collect());
        if !entered {
            // The watch has just told that it is another's.
            self.reserves.ledger().settled(&pod.uid);
            return false;
        }
        self.shared.metrics.reserve_taken.inc();
        let (tell, answered) = oneshot::channel();
        served.lock().answered.push(tell);
        let request = ClaimRequest::new(function, serving, &pod, Some(reserved));
        let proxy = Arc::clone(self);
        self.shared.tasks.spawn(async move {
            // Whether it was told, or nobody is left to tell it, or the time is over: all the same.
            drop(tokio::time::timeout(ANSWER, answered).await);
            proxy.settle(request).await;
        });
        true
    }

    /// Claims a pod that has been taken, until it is known how that ended.
    async fn settle(self: &Arc<Self>, request: ClaimRequest) {
        let metrics = &self.shared.metrics;
        let uid = &*request.pod_uid;
        let mut backoff = Duration::from_millis(50);
        loop {
            match self.patch(self.claimer.claim(request.clone())).await {
                Ok(Claim::Won { resource_version }) => {
                    metrics.claims_won.inc();
                    let ClaimRequest { function, function_uid, revision, .. } = &request;
                    let claimed =
                        |index: &mut PodIndex| index.claimed(uid, function, function_uid, revision, resource_version);
                    self.with_pods(|index, _| claimed(index).into_iter().collect());
                    break;
                }
                Ok(Claim::Lost) => metrics.claims_lost.inc(),
                Err(ClaimError { message, retry }) => {
                    metrics.claims_failed.inc();
                    tracing::warn!(
                        function = request.function,
                        pod = request.pod,
                        message,
                        "claim of a reserved pod failed"
                    );
                    if retry {
                        tokio::time::sleep(backoff).await;
                        backoff = (backoff * 2).min(Duration::from_secs(1));
                        continue;
                    }
                }
            }
            // What is inside is the function's still, but the pod is not: it gets no more requests.
            self.with_pods(|index, _| index.release(uid).into_iter().collect());
            break;
        }
        self.reserves.ledger().settled(uid);
        self.reserves.look_again();
    }
}

/// Whether any function starts from the pod's Environment.
fn is_used(table: &Table, pod: &Pod) -> bool {
    table.each_function().any(|function| {
        let starts = |serving: &Serving| serving.mode == Mode::Pool && *serving.environment == *pod.environment;
        function.namespace() == &*pod.namespace && function.serving.as_ref().is_some_and(starts)
    })
}

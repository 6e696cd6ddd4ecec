//! Pods for a function: asked of its home proxy, which alone claims for it while it lives.
//!
//! The home answers from what it knows, joins those who ask at once, and claims only while the function has fewer pods than
//! both the asker holds to be enough and the Function allows. Who cannot reach the home does the same itself: a
//! surplus claim costs a pod, not a request. What it has reserved ahead comes first: that pod needs no write before it is used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use http::StatusCode;
use muon_crds::function::Serving;
use muon_crds::wire::{Failure, PodReply, PodRequest};
use muon_crds::words::State;
use muon_routes::{Function, Pod};

use crate::call::{self, CallError};
use crate::claim::{Claim, ClaimError, ClaimRequest};
use crate::load::epoch;
use crate::peer::Peer;
use crate::proxy::Proxy;
use crate::served::{Inner, Served};

/// How long one asking lasts; whoever still needs a pod then asks again. A home proxy whose node is gone without a word
/// is waited for no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pods that are known to be gone which a home proxy may give one after the other.
const STALE: usize = 4;
/// How long a claim goes on, whoever asked for it: a pool that is dry may have a pod by then.
const CLAIMING: Duration = Duration::from_secs(10);
/// How long a claim may take.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(10);
/// A pod younger than this is claimed last: other proxies may not have seen it.
const YOUNG: i64 = 2;

/// Free pods that this proxy leaves alone: being claimed, or lost to somebody whose claim the watch has not told yet.
#[derive(Debug, Default)]
pub(crate) struct Taken(HashMap<Box<str>, Option<u64>>);

impl Taken {
    pub(crate) fn allows(&self, pod: &Pod) -> bool {
        match self.0.get(&pod.uid) {
            None => true,
            Some(None) => false,
            Some(Some(lost_at)) => pod.version > *lost_at,
        }
    }

    /// The pod is gone or no longer free.
    pub(crate) fn forget(&mut self, uid: &str) {
        if let Some(Some(_)) = self.0.get(uid) {
            self.0.remove(uid);
        }
    }
}

/// Why no pod came.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoPod {
    /// Within the time.
    #[error("no free pod of Environment {0} within the time: raise its pool, or look at its pods")]
    Dry(String),
    /// The claims failed.
    #[error("{0}")]
    Claim(String),
    /// It is another revision now, here or there.
    #[error("revision {0} is not served here")]
    Revision(String),
    /// The function has all pods that it may.
    #[error("the function has all the pods that it may have")]
    Most,
}

impl Proxy {
    /// Asks for a pod in a task of its own: a client that goes away does not stop a claim halfway.
    pub(crate) fn start_asking(self: &Arc<Self>, served: &Arc<Served>, inner: &Inner, pods: u32) {
        let (proxy, served, function) = (Arc::clone(self), Arc::clone(served), Arc::clone(&inner.function));
        let epoch = inner.epoch;
        let mut known: Vec<String> = inner.slots.iter().map(|slot| slot.pod.uid.to_string()).collect();
        // Pods that are of no use here may seem so to the home: they come on top.
        let mut pods = pods + inner.slots.all() - inner.slots.good(Instant::now()).min(inner.slots.all());
        tokio::spawn(async move {
            let started = Instant::now();
            let mut outcome = proxy.ask(&served, &function, pods, &known).await;
            for _ in 0..STALE {
                let Ok(given) = &outcome else { break };
                if served.lock().slots.iter().any(|slot| *slot.pod.uid == **given) {
                    break;
                }
                // Given by a home whose watch lags: here it is known to be gone.
                known.push(given.clone());
                pods += 1;
                outcome = proxy.ask(&served, &function, pods, &known).await;
            }
            proxy.shared.metrics.cold_claim.observe(started.elapsed().as_secs_f64());
            let mut inner = served.lock();
            if inner.epoch != epoch {
                return;
            }
            inner.asking -= 1;
            match outcome {
                Ok(_) => inner.no_pod = None,
                Err(no_pod) => inner.no_pod = Some(no_pod.to_string()),
            }
            // What failed is tried again by the tick, not at once.
            if inner.no_pod.is_none() {
                served.pump(&mut inner);
            }
        });
    }

    /// The UID of a pod that is not among the known ones.
    async fn ask(
        self: &Arc<Self>,
        served: &Arc<Served>,
        function: &Arc<Function>,
        pods: u32,
        known: &[String],
    ) -> Result<String, NoPod> {
        let Some(serving) = &function.serving else { return Err(NoPod::Revision("none".to_owned())) };
        let request = PodRequest {
            function: function.name().to_owned(),
            namespace: function.namespace().to_owned(),
            function_uid: function.uid.to_string(),
            revision: serving.revision.clone(),
            pods,
            known: known.to_vec(),
            timeout_ms: PATIENCE.as_millis() as u64,
        };
        if let Some(home) = self.home(&function.uid) {
            match self.ask_home(&home, &request).await {
                Ok(reply) => {
                    self.shared.metrics.peer_asked.inc();
                    let given = reply.uid.clone();
                    self.told(function, reply);
                    return Ok(given);
                }
                // It is alive and has none to give; only where it knows another revision is it better not to wait for it.
                Err(CallError::Status(_, status, body)) if status != StatusCode::CONFLICT => {
                    self.shared.metrics.peer_asked.inc();
                    let failure: Option<Failure> = serde_json::from_slice(&body).ok();
                    return Err(NoPod::Claim(failure.map_or_else(|| status.to_string(), |failure| failure.message)));
                }
                Err(error) => {
                    self.shared.metrics.peer_unreachable.inc();
                    tracing::warn!(function = function.key(), home = home.name, %error, "the home proxy gave no pod");
                }
            }
        }
        self.provide(served, &request, PATIENCE).await.map(|reply| reply.uid)
    }

    async fn ask_home(&self, home: &Peer, request: &PodRequest) -> Result<PodReply, CallError> {
        let order = self.peer_order();
        let config = &self.shared.config;
        let timeout = PATIENCE + Duration::from_secs(1);
        let connect = config.connect_timeout.min(Duration::from_millis(500));
        call::post(home.address(config.peer_port), "/v1/pod", request, Some(&order), connect, timeout).await
    }

    /// Enters a pod that the home proxy gave, ahead of the watch.
    fn told(self: &Arc<Self>, function: &Function, reply: PodReply) {
        let Some(serving) = &function.serving else { return };
        let Ok(ip) = reply.ip.parse() else { return };
        let pod = Pod {
            uid: reply.uid.into(),
            namespace: function.namespace().into(),
            name: reply.name.into(),
            ip: Some(ip),
            port: reply.port,
            takes_env: false,
            environment: serving.environment.as_str().into(),
            state: Some(State::Claimed),
            function: Some(function.name().into()),
            function_uid: Some(function.uid.clone()),
            revision: Some(serving.revision.as_str().into()),
            pool: None,
            reserved: reply.reserved,
            own: false,
            ready: true,
            ready_since: None,
            deleting: false,
            version: reply.resource_version,
        };
        self.with_pods(|index, _| index.told(pod).into_iter().collect());
    }

    /// As the home: a pod that the asker does not know, there already or claimed now.
    pub(crate) async fn provide(
        self: &Arc<Self>,
        served: &Arc<Served>,
        request: &PodRequest,
        timeout: Duration,
    ) -> Result<PodReply, NoPod> {
        let started = Instant::now();
        let deadline = tokio::time::Instant::now() + timeout;
        let mut changed = served.changed.subscribe();
        loop {
            {
                let mut inner = served.lock();
                let now = Instant::now();
                let serving = inner.serving().filter(|serving| serving.revision == request.revision);
                // A watch that is a moment behind catches up; that is a change like any other.
                if let Some(most) = serving.map(|serving| serving.max.max(1).unsigned_abs()) {
                    if let Some(slot) = inner.slots.another(&request.known, now) {
                        return Ok(reply(&slot.pod, started.elapsed()));
                    }
                    let all = inner.slots.all() + inner.claiming;
                    let good = inner.slots.good(now) + inner.claiming;
                    if good < request.pods && all < most {
                        inner.claiming += 1;
                        inner.no_pod = None;
                        self.start_claim(served, &inner);
                    } else if inner.claiming == 0 && all >= most && request.known.len() as u32 >= most {
                        return Err(NoPod::Most);
                    }
                }
            }
            match tokio::time::timeout_at(deadline, changed.changed()).await {
                Ok(Ok(())) => {}
                _ => {
                    let inner = served.lock();
                    let serving = inner.serving().filter(|serving| serving.revision == request.revision);
                    return Err(match (serving, &inner.no_pod) {
                        (None, _) => NoPod::Revision(request.revision.clone()),
                        (_, Some(why)) => NoPod::Claim(why.clone()),
                        (Some(serving), None) => NoPod::Dry(serving.environment.clone()),
                    });
                }
            }
        }
    }

    fn start_claim(self: &Arc<Self>, served: &Arc<Served>, inner: &Inner) {
        let (proxy, served, function) = (Arc::clone(self), Arc::clone(served), Arc::clone(&inner.function));
        let epoch = inner.epoch;
        tokio::spawn(async move {
            let outcome = tokio::time::timeout(CLAIMING, proxy.claim(&served, &function)).await;
            let mut inner = served.lock();
            if inner.epoch != epoch {
                return;
            }
            inner.claiming -= 1;
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(no_pod)) => inner.no_pod = Some(no_pod.to_string()),
                Err(_) if inner.no_pod.is_none() => {
                    let environment = function.serving.as_ref().map(|serving| serving.environment.clone());
                    inner.no_pod = Some(NoPod::Dry(environment.unwrap_or_default()).to_string());
                }
                Err(_) => {}
            }
            drop(inner);
            served.changed.send_replace(());
        });
    }

    /// Claims one free pod: several tries where others are faster, and waiting for the next one where there is none.
    async fn claim(self: &Arc<Self>, served: &Arc<Served>, function: &Arc<Function>) -> Result<(), NoPod> {
        let serving = function.serving.as_ref().ok_or_else(|| NoPod::Revision("none".to_owned()))?;
        let metrics = &self.shared.metrics;
        let mut backoff = Duration::from_millis(50);
        let mut dry = false;
        loop {
            if served.lock().serving().is_none_or(|now| now.revision != serving.revision) {
                return Err(NoPod::Revision(serving.revision.clone()));
            }
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on no pod that becomes free is missed.
            freed.as_mut().enable();
            if self.take_reserved(served, function, serving) {
                return Ok(());
            }
            let Some(pod) = self.pick(function.namespace(), serving) else {
                if !std::mem::replace(&mut dry, true) {
                    metrics.pool_dry.inc();
                    served.lock().no_pod = Some(NoPod::Dry(serving.environment.clone()).to_string());
                }
                freed.await;
                continue;
            };
            let mut held = Held::new(self, &pod);
            let request = ClaimRequest::new(function, serving, &pod, None);
            match self.patch(self.claimer.claim(request)).await {
                Ok(Claim::Won { resource_version }) => {
                    metrics.claims_won.inc();
                    let entered = self.with_pods(|index, _| {
                        index
                            .claimed(&pod.uid, function.name(), &function.uid, &serving.revision, resource_version)
                            .into_iter()
                            .collect()
                    });
                    let is_there = self.with_index(|index| index.get(&pod.uid).is_some_and(|pod| pod.is_claimed()));
                    if entered || is_there {
                        return Ok(());
                    }
                    // It went away while it was being claimed.
                }
                Ok(Claim::Lost) => {
                    metrics.claims_lost.inc();
                    held.lost_at = Some(pod.version);
                }
                Err(error) => {
                    metrics.claims_failed.inc();
                    let message = error.to_string();
                    tracing::warn!(function = function.key(), pod = &*pod.name, %message, "claim failed");
                    served.lock().no_pod = Some(message.clone());
                    if !error.retry {
                        return Err(NoPod::Claim(message));
                    }
                    drop(held);
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    /// Waits for a patch, within its time.
    pub(crate) async fn patch(&self, patch: BoxFuture<'_, Result<Claim, ClaimError>>) -> Result<Claim, ClaimError> {
        tokio::time::timeout(CLAIM_TIMEOUT, patch).await.unwrap_or_else(|_| Err(ClaimError::late()))
    }

    /// The free pod to claim next: not a very young one, one that is this proxy's by hash, the oldest. Variables ask
    /// for one that takes them: while a pool is renewed, pods of an earlier kind are there as well.
    fn pick(&self, namespace: &str, serving: &Serving) -> Option<Arc<Pod>> {
        let now = epoch() as i64;
        let free: Vec<Arc<Pod>> =
            self.with_index(|index| index.free(namespace, &serving.environment).cloned().collect());
        let mut taken = self.taken();
        let best = free.into_iter().filter(|pod| fits(pod, serving) && taken.allows(pod)).min_by_key(|pod| {
            let young = pod.ready_since.is_none_or(|since| since > now - YOUNG);
            // Proxies that claim from one pool at once so keep out of each other's way.
            (young, !self.is_mine(&pod.uid), pod.ready_since, pod.uid.clone())
        })?;
        taken.0.insert(best.uid.clone(), None);
        Some(best)
    }
}

/// Whether the function can start in it.
pub(crate) fn fits(pod: &Pod, serving: &Serving) -> bool {
    pod.takes_env || serving.env.is_empty()
}

/// A free pod being claimed or reserved: nobody else here may begin to. Dropped, others may, also when that is cut short.
pub(crate) struct Held {
    proxy: Arc<Proxy>,
    uid: Box<str>,
    lost_at: Option<u64>,
}

impl Held {
    pub(crate) fn new(proxy: &Arc<Proxy>, pod: &Pod) -> Self {
        proxy.taken().0.insert(pod.uid.clone(), None);
        Self { proxy: Arc::clone(proxy), uid: pod.uid.clone(), lost_at: None }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.proxy.taken();
        match self.lost_at {
            Some(version) => {
                taken.0.insert(self.uid.clone(), Some(version));
            }
            None => {
                taken.0.remove(&self.uid);
                drop(taken);
                // Another function may be waiting for just this pod.
                self.proxy.freed.notify_waiters();
            }
        }
    }
}

fn reply(pod: &Pod, took: Duration) -> PodReply {
    PodReply {
        name: pod.name.to_string(),
        uid: pod.uid.to_string(),
        ip: pod.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        port: pod.port,
        resource_version: pod.version,
        claim_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        reserved: pod.reserved.clone(),
    }
}

//! One function as this proxy serves it: its pods, its queue, and what to do next.
//!
//! Everything that happens (a request comes or ends, a pod appears or goes, a load ends) ends in [`Served::pump`], which
//! hands out the room there is, first come first served, and starts what is missing: loads, and asking for pods.
//! One lock per function; nothing waits while it is held.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::HeaderValue;
use muon_crds::{Mode, Serving};
use muon_routes::{Function, Pod};
use tokio::sync::{oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::access::Books;
use crate::answer::Refusal;
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::load::Cause;
use crate::metrics::{Metrics, Start};
use crate::proxy::Proxy;
use crate::share::share;
use crate::slots::{Load, Slots};
use crate::trace::Context;

/// What all functions of one proxy share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    /// Where requests are told when they are over.
    pub(crate) books: Arc<Books>,
    /// Requests that wait, in all functions.
    pub(crate) queued: AtomicUsize,
    /// Ready proxies, this one counted in: each gives a pod its share of the function's concurrency.
    pub(crate) proxies: AtomicU32,
    /// This proxy's place among them, in the order of their names.
    pub(crate) position: AtomicU32,
    /// All that must end before the process may: connections, tunnels.
    pub(crate) tasks: TaskTracker,
    /// Grows when the operator should look.
    pub(crate) sequence: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn bump(&self) {
        self.sequence.send_modify(|sequence| *sequence += 1);
    }
}

/// One function.
pub(crate) struct Served {
    pub(crate) uid: Box<str>,
    pub(crate) name_header: HeaderValue,
    pub(crate) namespace_header: HeaderValue,
    pub(crate) shared: Arc<Shared>,
    pub(crate) proxy: Weak<Proxy>,
    /// Whose turn it is to have the places that are left when the concurrency is divided: not the same proxy's for all.
    turn: u32,
    inner: Mutex<Inner>,
    /// Told whenever pods or claims change; who provides pods to others waits for it.
    pub(crate) changed: watch::Sender<()>,
}

pub(crate) struct Inner {
    pub(crate) function: Arc<Function>,
    pub(crate) slots: Slots,
    queue: BTreeMap<u64, Waiter>,
    next: u64,
    /// Grows with each revision: what was begun for another one does not count for this one.
    pub(crate) epoch: u64,
    /// Pods that were asked of the home proxy and have not come.
    pub(crate) asking: u32,
    /// Since when a pod has been asked for that has not come.
    asked: Option<Instant>,
    /// Claims that this proxy, as the home, is making.
    pub(crate) claiming: u32,
    /// Requests that ended, ever.
    finished: u64,
    /// Loads that ended well, ever.
    loads: u64,
    last_end: Option<Instant>,
    ticking: bool,
    /// Pods that the queue was last found to need.
    scaled: u32,
    pub(crate) failure: Option<CodeFailure>,
    /// The queue was empty since the last look at it.
    emptied: bool,
    /// Why no pod came, to be told when a deadline passes.
    pub(crate) no_pod: Option<String>,
    /// Told when a request has ended: claims of reserved pods wait for it.
    pub(crate) answered: Vec<oneshot::Sender<()>>,
}

/// A load that failed in the user's code.
#[derive(Clone, Debug)]
pub(crate) struct CodeFailure {
    pub(crate) revision: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) refusal: Refusal,
    pub(crate) times: u32,
    pub(crate) until: Instant,
}

struct Waiter {
    sender: oneshot::Sender<Result<Lease, Refusal>>,
    trace: Context,
}

/// A place in a pod. Dropped, it is the next one's.
pub(crate) struct Lease {
    served: Arc<Served>,
    endpoint: Arc<Endpoint>,
    held: bool,
}

/// What a request gets when it asks for a place.
pub(crate) enum Admission {
    Place(Lease),
    /// What it met: no pod at all, loaded ones, or, `None`, pods of which this proxy does not know yet whether they are.
    Wait(Waiting, Start),
    Refused(Refusal),
}

/// A request in the queue. Dropped, it is not any more.
pub(crate) struct Waiting {
    served: Arc<Served>,
    number: u64,
    pub(crate) place: oneshot::Receiver<Result<Lease, Refusal>>,
}

impl Lease {
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    pub(crate) fn served(&self) -> &Arc<Served> {
        &self.served
    }

    pub(crate) fn config(&self) -> &Config {
        &self.served.shared.config
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.held {
            self.served.release(&self.endpoint);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.served.give_up(self.number);
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Served {
    pub(crate) fn new(function: Arc<Function>, shared: Arc<Shared>, proxy: Weak<Proxy>) -> Self {
        let header = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
        Self {
            turn: (muon_routes::score(&function.uid, "") >> 32) as u32,
            uid: function.uid.clone(),
            name_header: header(function.name()),
            namespace_header: header(function.namespace()),
            shared,
            proxy,
            inner: Mutex::new(Inner {
                function,
                slots: Slots::default(),
                queue: BTreeMap::new(),
                next: 0,
                epoch: 0,
                asking: 0,
                asked: None,
                claiming: 0,
                finished: 0,
                loads: 0,
                last_end: None,
                ticking: false,
                scaled: 0,
                failure: None,
                emptied: false,
                no_pod: None,
                answered: Vec::new(),
            }),
            changed: watch::Sender::new(()),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in a pod now, or in the queue.
    pub(crate) fn admit(self: &Arc<Self>, trace: &Context) -> Admission {
        let now = Instant::now();
        let mut inner = self.lock();
        let room = self.room(&inner);
        if inner.queue.is_empty()
            && let Some(endpoint) = inner.slots.choose(room, now)
        {
            return Admission::Place(self.enter(endpoint));
        }
        if let Some(refusal) = inner.remembered_failure(now) {
            return Admission::Refused(refusal);
        }
        let config = &self.shared.config;
        let total = self.shared.queued.fetch_add(1, Ordering::Relaxed);
        // Fair between functions: one may have no more waiting than places are left for all. Whoever floods the proxy
        // so leaves as many places as it takes, and somebody new finds one however many flood it.
        let left = config.queue_total.saturating_sub(total);
        if inner.queue.len() >= config.queue_per_function.min(left) {
            self.shared.queued.fetch_sub(1, Ordering::Relaxed);
            let whose = if left <= inner.queue.len() { "of this proxy" } else { "of this function" };
            return Admission::Refused(Refusal::unavailable(
                "QueueFull",
                format!("the queue {whose} is full: raise scaling.max or concurrency, or call less often"),
            ));
        }
        self.shared.metrics.queued.inc();
        let start = match (inner.slots.good(now), inner.slots.ready(now)) {
            (0, _) => Start::Cold,
            (_, 0) => Start::None,
            _ => Start::Warm,
        };
        let (sender, place) = oneshot::channel();
        let number = inner.next;
        inner.next += 1;
        inner.queue.insert(number, Waiter { sender, trace: trace.clone() });
        self.pump(&mut inner);
        Admission::Wait(Waiting { served: Arc::clone(self), number, place }, start)
    }

    fn enter(self: &Arc<Self>, endpoint: &Arc<Endpoint>) -> Lease {
        endpoint.enter();
        Lease { served: Arc::clone(self), endpoint: Arc::clone(endpoint), held: true }
    }

    fn release(self: &Arc<Self>, endpoint: &Endpoint) {
        let now = Instant::now();
        let mut inner = self.lock();
        endpoint.leave(now);
        inner.finished += 1;
        inner.last_end = Some(now);
        for waiting in inner.answered.drain(..) {
            // It may have given up meanwhile.
            waiting.send(()).ok();
        }
        if !inner.queue.is_empty() {
            self.pump(&mut inner);
        }
    }

    fn give_up(&self, number: u64) {
        if self.lock().queue.remove(&number).is_some() {
            self.dequeued();
        }
    }

    fn dequeued(&self) {
        self.shared.queued.fetch_sub(1, Ordering::Relaxed);
        self.shared.metrics.queued.dec();
    }

    /// Requests that this proxy may have in one pod: its share of the concurrency, so that all proxies together keep it.
    fn room(&self, inner: &Inner) -> u32 {
        let concurrency = inner.serving().map_or(1, |serving| serving.concurrency.max(1)).unsigned_abs();
        let (proxies, position) = (&self.shared.proxies, &self.shared.position);
        share(concurrency, proxies.load(Ordering::Relaxed), position.load(Ordering::Relaxed), self.turn)
    }

    /// Hands out room and starts what is missing.
    pub(crate) fn pump(self: &Arc<Self>, inner: &mut Inner) {
        let now = Instant::now();
        let room = self.room(inner);
        while let Some(entry) = inner.queue.first_entry() {
            let Some(endpoint) = inner.slots.choose(room, now) else { break };
            let lease = self.enter(endpoint);
            let Waiter { sender, .. } = entry.remove();
            self.dequeued();
            if let Err(Ok(mut lease)) = sender.send(Ok(lease)) {
                // It has just given up. Its lease must not come back here through the lock that we hold.
                lease.held = false;
                lease.endpoint.leave(now);
            }
        }
        if inner.queue.is_empty() {
            (inner.scaled, inner.asked) = (0, None);
            inner.emptied = true;
            return;
        }
        let (Some(proxy), Some(mode)) = (self.proxy.upgrade(), inner.serving().map(|serving| serving.mode)) else {
            return;
        };
        for endpoint in inner.slots.start_loads(inner.queue.len(), room, now) {
            let asked = inner.asked.take();
            let cause = inner.queue.values().next().map(|first| Cause { asked, trace: first.trace.clone() });
            proxy.start_load(self, &inner.function, endpoint, cause);
        }
        if cfg!(feature = "weakened") {
            // A pod for each request that waits: what hack/bench must catch.
            let wanted = u32::try_from(inner.queue.len()).unwrap_or(u32::MAX);
            self.ask(inner, &proxy, mode, wanted, now);
        } else if inner.slots.good(now) == 0 && inner.asking == 0 {
            self.ask(inner, &proxy, mode, 1, now);
        }
        if !inner.ticking {
            inner.ticking = true;
            tokio::spawn(Arc::clone(self).tick());
        }
    }

    /// Sees to it that there will be `wanted` pods.
    fn ask(self: &Arc<Self>, inner: &mut Inner, proxy: &Arc<Proxy>, mode: Mode, wanted: u32, now: Instant) {
        let most = inner.serving().map_or(1, |serving| serving.max.max(1)).unsigned_abs();
        let wanted = wanted.min(most);
        if inner.scaled < wanted {
            inner.scaled = wanted;
            self.shared.bump();
        }
        inner.asked.get_or_insert(now);
        if mode == Mode::Deployment {
            // The operator scales it; what is wanted stands in the activity.
            return;
        }
        let missing = wanted.saturating_sub(inner.slots.good(now) + inner.asking);
        // Pods that are down still count: the function never holds more than its bound.
        for _ in 0..missing.min(most.saturating_sub(inner.slots.all() + inner.asking)) {
            inner.asking += 1;
            proxy.start_asking(self, inner, wanted);
        }
    }

    /// While requests wait: tries again what failed, and asks for more pods when the queue is longer than what the
    /// pods get done in one `patience`, or has not been empty all through one.
    async fn tick(self: Arc<Self>) {
        let mut before = {
            let mut inner = self.lock();
            inner.emptied = false;
            inner.progress()
        };
        loop {
            tokio::time::sleep(self.shared.config.patience).await;
            let mut inner = self.lock();
            if inner.queue.is_empty() {
                inner.ticking = false;
                return;
            }
            let now = Instant::now();
            let (finished, loads) = std::mem::replace(&mut before, inner.progress());
            let done = inner.finished - finished;
            let lasting = !std::mem::replace(&mut inner.emptied, false);
            // Only a time that began after the last load shows what the pods can do.
            let settled =
                inner.loads == loads && inner.slots.ready(now) > 0 && !inner.slots.loading() && inner.asking == 0;
            if settled && (lasting || inner.queue.len() as u64 > done) {
                let demand = inner.queue.len() as u32 + inner.slots.in_flight();
                let wanted = demand.div_ceil(self.room(&inner));
                if let (Some(proxy), Some(mode)) = (self.proxy.upgrade(), inner.serving().map(|serving| serving.mode)) {
                    self.shared.metrics.scaled.inc();
                    self.ask(&mut inner, &proxy, mode, wanted, now);
                }
            }
            self.pump(&mut inner);
        }
    }

    /// Answers all that wait.
    pub(crate) fn refuse_all(&self, inner: &mut Inner, refusal: &Refusal) {
        while let Some((_, Waiter { sender, .. })) = inner.queue.pop_first() {
            self.dequeued();
            // One that has just given up needs no answer.
            sender.send(Err(refusal.clone())).ok();
        }
    }

    /// The function, or what is served of it, has changed; `pods` are all that carry its name.
    pub(crate) fn update<'a>(self: &Arc<Self>, function: Arc<Function>, pods: impl Iterator<Item = &'a Arc<Pod>>) {
        let mut inner = self.lock();
        let revision = |function: &Function| function.serving.as_ref().map(|serving| serving.revision.clone());
        if revision(&inner.function) != revision(&function) {
            inner.slots.clear();
            inner.epoch += 1;
            (inner.asking, inner.claiming, inner.scaled, inner.asked) = (0, 0, 0, None);
            inner.failure = None;
            inner.no_pod = None;
        }
        inner.function = function;
        self.take_pods(inner, pods);
    }

    /// The function's pods have changed; `pods` are all that carry its name.
    pub(crate) fn refresh<'a>(self: &Arc<Self>, pods: impl Iterator<Item = &'a Arc<Pod>>) {
        self.take_pods(self.lock(), pods);
    }

    fn take_pods<'a>(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>, pods: impl Iterator<Item = &'a Arc<Pod>>) {
        let current: Vec<Arc<Pod>> = {
            let revision = inner.serving().map(|serving| serving.revision.as_str());
            let mine = |pod: &Pod| pod.function_uid.as_ref().is_none_or(|uid| *uid == self.uid);
            pods.filter(|pod| pod.is_claimed() && pod.revision.as_deref() == revision && mine(pod)).cloned().collect()
        };
        inner.slots.refresh(current);
        self.pump(&mut inner);
        self.warm(&mut inner);
        drop(inner);
        self.changed.send_replace(());
    }

    /// Leaves a pod out that could not be reached.
    pub(crate) fn eject(self: &Arc<Self>, uid: &str) {
        self.shared.metrics.ejections.inc();
        let mut inner = self.lock();
        inner.slots.put_out(uid, self.shared.config.ejection, Instant::now());
        self.pump(&mut inner);
    }

    /// Why a request waited in vain.
    pub(crate) fn overdue(&self, waited: Duration) -> Refusal {
        let inner = self.lock();
        let seconds = waited.as_secs_f32();
        match inner.slots.ready(Instant::now()) {
            0 => {
                let why = inner.no_pod.as_deref().unwrap_or("no pod of it became ready in time");
                Refusal::unavailable("NoPod", format!("waited {seconds:.1} s for a pod: {why}"))
            }
            pods => Refusal::unavailable(
                "DeadlineExceeded",
                format!(
                    "waited {seconds:.1} s for a place in one of {pods} busy pods: raise scaling.max or concurrency"
                ),
            ),
        }
    }
}

impl Inner {
    pub(crate) fn serving(&self) -> Option<&Serving> {
        self.function.serving.as_ref()
    }

    pub(crate) fn queued(&self) -> u32 {
        self.queue.len() as u32
    }

    /// A pod is loaded: what it adds shows from now on.
    pub(crate) fn loaded(&mut self, pod_uid: &str) {
        if self.slots.loaded(pod_uid) {
            self.loads += 1;
            self.failure = None;
        }
    }

    fn progress(&self) -> (u64, u64) {
        (self.finished, self.loads)
    }

    pub(crate) fn last_end(&self) -> Option<Instant> {
        self.last_end
    }

    /// Pods that it would take to serve all that is here.
    pub(crate) fn wanted(&self, room: u32) -> u32 {
        let busy = self.slots.in_flight().div_ceil(room.max(1));
        if self.queue.is_empty() { busy } else { busy.max(self.scaled).max(1) }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.slots.in_flight() == 0
    }

    /// What is answered at once because loading it has just failed in the user's code.
    fn remembered_failure(&self, now: Instant) -> Option<Refusal> {
        let failure = self.failure.as_ref().filter(|_| self.slots.good(now) == 0)?;
        let most = self.serving().map_or(1, |serving| serving.max.max(1)).unsigned_abs();
        let full = self.slots.all() >= most && self.slots.iter().all(|slot| slot.load == Load::Broken);
        (failure.until > now || full).then(|| failure.refusal.clone())
    }
}

impl Served {
    pub(crate) fn wanted(&self, inner: &Inner) -> u32 {
        inner.wanted(self.room(inner))
    }
}

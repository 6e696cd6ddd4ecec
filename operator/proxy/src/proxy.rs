//! The proxy as a whole: what it holds, and what its process asks of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use muon_crds::wire::Watermarks;
use muon_order::{Order, Signer, Verifier};
use muon_routes::{Book, ClusterName, Function, PodIndex, Table};
use prometheus::Registry;
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

use crate::access::{Books, Log};
use crate::claim::Claimer;
use crate::config::Config;
use crate::exemplars::Exemplar;
use crate::load::epoch;
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::reserve::Reserves;
use crate::served::{Served, Shared};
use crate::supply::Taken;
use crate::trace::Policy;

/// The data plane of one process. Made once, fed by watches, served on sockets that its caller owns.
pub struct Proxy {
    pub(crate) shared: Arc<Shared>,
    pub(crate) signer: Signer,
    pub(crate) verifier: Verifier,
    pub(crate) claimer: Arc<dyn Claimer>,
    pub(crate) book: Mutex<Book>,
    /// What requests are routed by; replaced whole.
    pub(crate) table: ArcSwap<Table>,
    pub(crate) pods: Mutex<PodIndex>,
    taken: Mutex<Taken>,
    pub(crate) reserves: Reserves,
    /// Told when a pod becomes free to be claimed.
    pub(crate) freed: Notify,
    /// Functions that were called here, by UID.
    served: RwLock<HashMap<Box<str>, Arc<Served>>>,
    /// Ready proxies, this one among them.
    /// Base URL of the store, as agents are told it.
    pub(crate) store: ArcSwap<String>,
    peers: ArcSwap<Vec<Peer>>,
    peer_order: Mutex<Option<(u64, String)>>,
    pub(crate) seen: Mutex<Watermarks>,
    /// Since when all lists are complete.
    pub(crate) complete: OnceLock<Instant>,
    pub(crate) draining: AtomicBool,
    this: Weak<Proxy>,
}

impl Proxy {
    /// A proxy that knows nothing yet. Its metrics are registered with `registry`.
    pub fn new(
        config: Config,
        signer: Signer,
        claimer: Arc<dyn Claimer>,
        registry: &Registry,
    ) -> prometheus::Result<Arc<Self>> {
        let metrics = Arc::new(Metrics::register(registry)?);
        let cluster = ClusterName::new(&config.cluster_domain);
        let book = Book::new(cluster);
        let this = Peer { name: config.name.clone(), uid: String::new(), ip: [0, 0, 0, 0].into(), port: None };
        Ok(Arc::new_cyclic(|weak| Self {
            verifier: signer.verifier(),
            signer,
            claimer,
            table: ArcSwap::from_pointee(book.table()),
            book: Mutex::new(book),
            pods: Mutex::default(),
            taken: Mutex::default(),
            reserves: Reserves::new(&config.name),
            freed: Notify::new(),
            served: RwLock::default(),
            peers: ArcSwap::from_pointee(vec![this]),
            peer_order: Mutex::default(),
            store: ArcSwap::from_pointee(config.store.clone()),
            seen: Mutex::default(),
            complete: OnceLock::new(),
            draining: AtomicBool::new(false),
            shared: Arc::new(Shared {
                books: Arc::new(Books {
                    metrics: Arc::clone(&metrics),
                    log: Log::new(config.access_log, config.log.as_ref()),
                    policy: Policy::new(config.trace_ratio, config.traces.is_some()),
                    traces: config.traces.clone(),
                }),
                config,
                metrics,
                queued: AtomicUsize::new(0),
                proxies: AtomicU32::new(1),
                position: AtomicU32::new(0),
                tasks: TaskTracker::new(),
                sequence: watch::Sender::new(1),
            }),
            this: Weak::clone(weak),
        }))
    }

    /// Examples of requests, by the buckets of the histogram that they fell into.
    pub fn exemplars(&self) -> Vec<Exemplar> {
        self.shared.metrics.exemplars()
    }

    /// Whether requests should be sent here: all lists were complete once, and it is not shutting down.
    pub fn ready(&self) -> bool {
        self.complete.get().is_some() && !self.draining.load(Ordering::Relaxed)
    }

    /// The store under another base URL from now on. With an address in it the agents ask no DNS inside a cold start.
    pub fn set_store(&self, url: String) {
        self.store.store(Arc::new(url));
    }

    /// The ready proxies of this installation; this one may be among them or not.
    pub fn set_peers(&self, mut peers: Vec<Peer>) {
        let name = &self.shared.config.name;
        if !peers.iter().any(|peer| peer.name == *name) {
            peers.push(Peer { name: name.clone(), uid: String::new(), ip: [0, 0, 0, 0].into(), port: None });
        }
        peers.sort_by(|one, other| one.name.cmp(&other.name));
        peers.dedup_by(|one, other| one.name == other.name);
        let position = peers.iter().position(|peer| peer.name == *name).unwrap_or_default();
        self.shared.proxies.store(peers.len() as u32, Ordering::Relaxed);
        self.shared.position.store(position as u32, Ordering::Relaxed);
        self.peers.store(Arc::new(peers));
        if let Some(proxy) = self.this.upgrade() {
            proxy.adopt_all();
        }
    }

    /// The home proxy of a function; none when it is this one.
    pub(crate) fn home(&self, function_uid: &str) -> Option<Peer> {
        if cfg!(feature = "weakened") {
            return None;
        }
        let peers = self.peers.load();
        let home = muon_routes::home(function_uid, &peers, |peer| &peer.name)?;
        (home.name != self.shared.config.name).then(|| home.clone())
    }

    /// Whether this proxy is the first one to claim the pod.
    pub(crate) fn is_mine(&self, pod_uid: &str) -> bool {
        self.home(pod_uid).is_none()
    }

    pub(crate) fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An order that lets us speak to a peer; signed anew before half of its life is over.
    pub(crate) fn peer_order(&self) -> String {
        let now = epoch();
        let life = self.shared.config.order_life.as_secs();
        let mut order = self.peer_order.lock().unwrap_or_else(PoisonError::into_inner);
        match &*order {
            Some((until, token)) if *until > now + life / 2 => token.clone(),
            _ => {
                let until = now + life;
                let from = self.shared.config.name.clone();
                let token = self.signer.sign(&Order::Peer(muon_order::Peer { from, until }));
                *order = Some((until, token.clone()));
                token
            }
        }
    }

    /// The function, if it was called here.
    pub(crate) fn known(&self, uid: &str) -> Option<Arc<Served>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    /// The function; from now on it is kept up to date.
    pub(crate) fn serve_function(self: &Arc<Self>, function: &Arc<Function>) -> Arc<Served> {
        if let Some(served) = self.known(&function.uid) {
            return served;
        }
        let served = {
            let mut all = self.served.write().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Served::new(Arc::clone(function), Arc::clone(&self.shared), Weak::clone(&self.this)));
            Arc::clone(all.entry(function.uid.clone()).or_insert_with(new))
        };
        // A change may have come between the reader's table and the entry: what is published now is newer than both.
        let _book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = self.table.load().function(function.key()).filter(|latest| latest.uid == function.uid).cloned();
        self.update(&served, latest.unwrap_or_else(|| Arc::clone(function)));
        served
    }

    pub(crate) fn forget(&self, uid: &str) {
        let gone = self.served.write().unwrap_or_else(PoisonError::into_inner).remove(uid);
        if let Some(served) = gone {
            let mut inner = served.lock();
            let refusal = crate::answer::Refusal::unavailable(
                "FunctionDeleted",
                "the Function was deleted while the request waited",
            );
            served.refuse_all(&mut inner, &refusal);
            inner.slots.clear();
        }
    }

    pub(crate) fn all_served(&self) -> Vec<Arc<Served>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Closes connections to pods that have lain unused for too long, as long as the proxy lives.
    pub(crate) async fn prune(self: Arc<Self>) {
        let longest = self.shared.config.pool_idle;
        let mut every = tokio::time::interval(longest.max(Duration::from_millis(100)));
        loop {
            every.tick().await;
            for served in self.all_served() {
                let inner = served.lock();
                for (endpoint, _) in inner.slots.endpoints() {
                    endpoint.prune(longest);
                }
            }
        }
    }
}

//! What a cluster is to a proxy: pods, functions and routes, told as watches would, and claims, decided here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1;
use muon_crds::words::{self, State as Life};
use muon_crds::{Function, HTTPTrigger};
use muon_proxy::{Change, Claim, ClaimError, ClaimRequest, Claimer, Proxy, ReserveRequest};
use muon_routes::Event;
use serde_json::json;
use tokio::sync::watch;

use super::pod::Pod;
use super::routes::NAMESPACE;
use super::terminal::{Terminal, Tone};

/// The objects of this process. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    proxy: OnceLock<Arc<Proxy>>,
    terminal: Terminal,
    /// Grows whenever a pod comes, goes or changes.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    version: u64,
    pods: BTreeMap<String, Held>,
    functions: BTreeMap<String, Told>,
}

struct Held {
    pod: Arc<Pod>,
    /// Whose spare it is.
    pool: String,
    stage: Stage,
}

/// Where a pod stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Free,
    /// In our own hands; the proxy knows nothing of it.
    Taken,
    Claimed {
        function: String,
        revision: String,
    },
    /// Not to be used any more, and about to end.
    Leaving,
}

struct Told {
    object: Function,
    /// Where the code lies that it is made of.
    origin: PathBuf,
}

impl Cluster {
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            proxy: OnceLock::new(),
            terminal,
            changed: watch::Sender::new(0),
        }))
    }

    /// The proxy that is told from now on; it learns that nothing is there yet.
    pub(crate) fn feed(&self, proxy: Arc<Proxy>) {
        let lists = [
            Change::Pod(Event::Relist),
            Change::Pod(Event::Listed),
            Change::Function(Event::Relist),
            Change::Function(Event::Listed),
            Change::Trigger(Event::Relist),
            Change::Trigger(Event::Listed),
        ];
        proxy.apply(lists);
        // It is fed once.
        self.0.proxy.set(proxy).ok();
    }

    /// Follows what becomes of the pods.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the proxy, in the order of the lock.
    fn tell(&self, state: &mut State, changes: impl IntoIterator<Item = Change>) {
        if let Some(proxy) = self.0.proxy.get() {
            proxy.apply(changes);
        }
        state.version += 1;
        self.0.changed.send_replace(state.version);
    }

    /// Pods of a pool that wait for code.
    pub(crate) fn free(&self, pool: &str) -> usize {
        self.lock().pods.values().filter(|held| held.pool == pool && held.stage == Stage::Free).count()
    }

    /// A pod whose runtime is up: it is `free`, or in the hands of whoever started it.
    pub(crate) fn add(&self, pool: &str, pod: Arc<Pod>, free: bool) {
        let mut state = self.lock();
        let stage = if free { Stage::Free } else { Stage::Taken };
        let held = Held { pod: Arc::clone(&pod), pool: pool.to_owned(), stage };
        let change = free.then(|| Change::Pod(Event::Apply(object(&held, state.version))));
        state.pods.insert(pod.uid.clone(), held);
        self.tell(&mut state, change);
        drop(state);
        let cluster = self.clone();
        tokio::spawn(async move {
            let how = pod.ended().await;
            cluster.ended(&pod.uid, &how);
        });
    }

    /// Takes a free pod out of the proxy's reach.
    pub(crate) fn take(&self, pool: &str) -> Option<Arc<Pod>> {
        let mut state = self.lock();
        let version = state.version;
        let held = state.pods.values_mut().find(|held| held.pool == pool && held.stage == Stage::Free)?;
        let gone = Change::Pod(Event::Delete(object(held, version)));
        held.stage = Stage::Taken;
        let pod = Arc::clone(&held.pod);
        self.tell(&mut state, [gone]);
        Some(pod)
    }

    /// From now on this is what is served of the function, by this pod if there is one. Returns the pods that served it before.
    pub(crate) fn serve(&self, function: Function, origin: PathBuf, pod: Option<&Pod>) -> Vec<Arc<Pod>> {
        let name = function.metadata.name.clone().unwrap_or_default();
        let serving = function.status.as_ref().and_then(|status| status.serving.as_ref());
        let revision = serving.map(|serving| serving.revision.clone()).unwrap_or_default();
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        let function = stored(function, version);
        let mut changes = vec![Change::Function(Event::Apply(function.clone().into()))];
        let mut before = Vec::new();
        for held in state.pods.values_mut() {
            match &held.stage {
                Stage::Taken if pod.is_some_and(|pod| pod.uid == held.pod.uid) => {
                    held.stage = Stage::Claimed { function: name.clone(), revision: revision.clone() };
                    changes.push(Change::Pod(Event::Apply(object(held, version))));
                }
                Stage::Claimed { function, .. } if *function == name => {
                    before.push(Arc::clone(&held.pod));
                    held.stage = Stage::Leaving;
                }
                _ => {}
            }
        }
        state.functions.insert(name, Told { object: function, origin });
        self.tell(&mut state, changes);
        before
    }

    /// What a function's manifest says beside its code: labels, weight, bounds. The same changes nothing.
    pub(crate) fn update(&self, function: Function) {
        let mut state = self.lock();
        state.version += 1;
        let function = stored(function, state.version);
        let Some(told) = state.functions.get_mut(function.metadata.name.as_deref().unwrap_or_default()) else { return };
        told.object = function.clone();
        self.tell(&mut state, [Change::Function(Event::Apply(function.into()))]);
    }

    /// The function is no more. Returns the pods that served it.
    pub(crate) fn remove(&self, name: &str) -> Vec<Arc<Pod>> {
        let mut state = self.lock();
        let Some(told) = state.functions.remove(name) else { return Vec::new() };
        let mut before = Vec::new();
        for held in state.pods.values_mut() {
            if matches!(&held.stage, Stage::Claimed { function, .. } if function == name) {
                before.push(Arc::clone(&held.pod));
                held.stage = Stage::Leaving;
            }
        }
        self.tell(&mut state, [Change::Function(Event::Delete(told.object.into()))]);
        before
    }

    /// All routes there are.
    pub(crate) fn route(&self, triggers: Vec<HTTPTrigger>) {
        let mut state = self.lock();
        let mut changes = vec![Change::Trigger(Event::Relist)];
        changes.extend(triggers.into_iter().map(|trigger| Change::Trigger(Event::Apply(trigger.into()))));
        changes.push(Change::Trigger(Event::Listed));
        self.tell(&mut state, changes);
    }

    /// All pods, at the end.
    pub(crate) fn pods(&self) -> Vec<Arc<Pod>> {
        let mut state = self.lock();
        let mut all = Vec::new();
        for held in state.pods.values_mut() {
            held.stage = Stage::Leaving;
            all.push(Arc::clone(&held.pod));
        }
        all
    }

    /// A process is over, asked to or not.
    fn ended(&self, uid: &str, how: &str) {
        let mut state = self.lock();
        let version = state.version;
        let Some(held) = state.pods.remove(uid) else { return };
        self.tell(&mut state, [Change::Pod(Event::Delete(object(&held, version)))]);
        drop(state);
        if let Stage::Claimed { function, .. } = held.stage {
            let text = format!("{function}: its process {how}; the next request starts another one");
            self.0.terminal.say(Tone::Error, &text);
        }
    }

    fn claim(&self, request: &ClaimRequest) -> Claim {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        let origin = state.functions.get(&request.function).map(|told| told.origin.clone()).unwrap_or_default();
        let Some(held) = state.pods.get_mut(&request.pod_uid).filter(|held| held.stage == Stage::Free) else {
            return Claim::Lost;
        };
        held.stage = Stage::Claimed { function: request.function.clone(), revision: request.revision.clone() };
        held.pod.speaks_for(&request.function, &origin);
        let change = Change::Pod(Event::Apply(object(held, version)));
        self.tell(&mut state, [change]);
        Claim::Won { resource_version: version }
    }
}

impl Claimer for Cluster {
    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claim, ClaimError>> {
        async move { Ok(self.claim(&request)) }.boxed()
    }

    /// Nothing is reserved here: a claim costs nothing.
    fn reserve(&self, _: ReserveRequest) -> BoxFuture<'_, Result<Claim, ClaimError>> {
        async move { Ok(Claim::Lost) }.boxed()
    }
}

/// A Function as an API server would give it back.
fn stored(mut function: Function, version: u64) -> Function {
    function.metadata.namespace = Some(NAMESPACE.to_owned());
    function.metadata.uid = function.metadata.name.as_deref().map(uid);
    function.metadata.resource_version = Some(version.to_string());
    function
}

fn uid(function: &str) -> String {
    format!("function-{function}")
}

/// The pod as a watch would tell it.
fn object(held: &Held, version: u64) -> v1::Pod {
    let pod = &held.pod;
    let mut labels = json!({words::ENVIRONMENT: held.pool, words::STATE: Life::Free.as_str()});
    let mut annotations = json!({words::RUNTIME_PORT: pod.port.to_string(), words::ENV_AT_LOAD: "true"});
    if let Stage::Claimed { function, revision } = &held.stage {
        labels[words::STATE] = json!(Life::Claimed.as_str());
        labels[words::FUNCTION] = json!(function);
        labels[words::REVISION] = json!(revision);
        annotations[words::FUNCTION_UID] = json!(uid(function));
    }
    let object = json!({
        "metadata": {
            "name": pod.uid, "namespace": NAMESPACE, "uid": pod.uid, "resourceVersion": version.to_string(),
            "labels": labels, "annotations": annotations,
        },
        "status": {
            "podIP": pod.ip.to_string(),
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}],
        },
    });
    // Made of texts, in the form of the API: it always reads.
    serde_json::from_value(object).unwrap_or_default()
}

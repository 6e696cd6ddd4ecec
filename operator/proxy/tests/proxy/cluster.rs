//! A cluster: objects in a map, told to every proxy as watches would; claims as the API server decides them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1;
use muon_crds::wire::{Failure, Reserved};
use muon_crds::words;
use muon_crds::{Function, HTTPTrigger};
use muon_order::Signer;
use muon_proxy::{
    Change, Claim, ClaimError, ClaimRequest, Claimer, Config, Listeners, Peer, Proxy, ReserveRequest, Step,
};
use muon_routes::Event;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::pod::{AGENT_PORT, Pod, RUNTIME_PORT};

/// A shared world.
pub struct Cluster {
    state: Mutex<State>,
    pub claims: Mutex<Vec<ClaimRequest>>,
    pub reserves: Mutex<Vec<ReserveRequest>>,
    /// Answers that claims get before the cluster decides, in order.
    pub claim_errors: Mutex<Vec<Result<Claim, ClaimError>>>,
    /// One permit per claim that may be answered.
    pub claim_gate: Semaphore,
    /// Whether a claim is told to the watches.
    pub tell_claims: AtomicBool,
    this: Weak<Cluster>,
}

#[derive(Default)]
struct State {
    version: u64,
    pods: BTreeMap<String, Value>,
    functions: BTreeMap<String, Value>,
    proxies: Vec<Arc<Proxy>>,
}

/// A proxy and its ports.
pub struct Node {
    pub proxy: Arc<Proxy>,
    pub gateway: SocketAddr,
    pub ingress: SocketAddr,
    pub functions: SocketAddr,
    pub peer: Peer,
    pub registry: prometheus::Registry,
    stop: Option<oneshot::Sender<()>>,
    pub serving: JoinHandle<()>,
}

impl Node {
    pub fn stop(&mut self) {
        self.stop.take().unwrap().send(()).ok();
    }

    /// The sum of a counter's values that carry this label value.
    pub fn counted(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let metrics = family.get_metric().iter();
        metrics
            .filter(|metric| metric.get_label().iter().any(|pair| pair.value() == label))
            .map(|metric| metric.get_counter().get_value())
            .sum()
    }
}

pub fn config(name: &str) -> Config {
    // What is reserved is written ahead of requests: most tests count what requests write.
    Config {
        agent_port: AGENT_PORT,
        reserve: 0,
        drain_delay: Duration::ZERO,
        ..Config::new(name, "http://store.test:8080")
    }
}

impl Cluster {
    pub fn new() -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            state: Mutex::default(),
            claims: Mutex::default(),
            reserves: Mutex::default(),
            claim_errors: Mutex::default(),
            claim_gate: Semaphore::new(Semaphore::MAX_PERMITS),
            tell_claims: AtomicBool::new(true),
            this: this.clone(),
        })
    }

    pub async fn proxy(self: &Arc<Self>, name: &str) -> Node {
        self.proxy_with(config(name)).await
    }

    /// A proxy that has listed everything there is.
    pub async fn proxy_with(self: &Arc<Self>, config: Config) -> Node {
        let signer = Signer::from_seed(&[7; 32]).unwrap();
        let registry = prometheus::Registry::new();
        let name = config.name.clone();
        let proxy = Proxy::new(config, signer, Arc::new(ClusterClaimer(Arc::clone(self))), &registry).unwrap();
        let bind = || async { TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap() };
        let listeners =
            Listeners { gateway: bind().await, ingress: bind().await, functions: bind().await, peer: bind().await };
        let (gateway, ingress) = (listeners.gateway.local_addr().unwrap(), listeners.ingress.local_addr().unwrap());
        let functions = listeners.functions.local_addr().unwrap();
        let port = listeners.peer.local_addr().unwrap().port();
        let peer = Peer { name, uid: String::new(), ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: Some(port) };
        let mut changes =
            vec![Change::Pod(Event::Relist), Change::Function(Event::Relist), Change::Trigger(Event::Relist)];
        let mut state = self.state.lock().unwrap();
        changes.extend(state.pods.values().map(|pod| Change::Pod(Event::Apply(object(pod)))));
        changes.extend(
            state
                .functions
                .values()
                .map(|function| Change::Function(Event::Apply(object::<Function>(function).into()))),
        );
        changes.extend([Change::Pod(Event::Listed), Change::Function(Event::Listed), Change::Trigger(Event::Listed)]);
        proxy.apply(changes);
        state.proxies.push(Arc::clone(&proxy));
        drop(state);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(Arc::clone(&proxy).serve(listeners, async {
            stopped.await.ok();
        }));
        Node { proxy, gateway, ingress, functions, peer, registry, stop: Some(stop), serving }
    }

    fn version(state: &mut State) -> u64 {
        state.version += 1;
        state.version
    }

    /// Tells every proxy.
    pub fn tell(&self, change: impl Fn() -> Change) {
        let proxies = self.state.lock().unwrap().proxies.clone();
        for proxy in proxies {
            proxy.apply([change()]);
        }
    }

    /// A function of the Environment `test` in the namespace `demo`; `serving` overrides what is usual.
    pub fn function(&self, name: &str, serving: Value) -> u64 {
        self.function_with(name, json!({}), serving)
    }

    pub fn function_with(&self, name: &str, metadata: Value, serving: Value) -> u64 {
        let version = Self::version(&mut self.state.lock().unwrap());
        let mut function = json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Function",
            "metadata": {"name": name, "namespace": "demo", "uid": format!("uid-{name}"), "resourceVersion": version.to_string()},
            "spec": {"environment": "test", "package": "p"},
            "status": {"serving": {
                "revision": "r1", "digest": "sha256:00", "mode": "Pool", "environment": "test", "entrypoint": "main",
                "concurrency": 10, "timeoutSeconds": 20, "max": 10,
            }},
        });
        merge(&mut function["status"]["serving"], serving);
        merge(&mut function["metadata"], metadata);
        self.state.lock().unwrap().functions.insert(name.to_owned(), function.clone());
        self.tell(|| Change::Function(Event::Apply(object::<Function>(&function).into())));
        version
    }

    pub fn trigger(&self, name: &str, spec: Value) {
        let version = Self::version(&mut self.state.lock().unwrap());
        let trigger = json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger",
            "metadata": {"name": name, "namespace": "demo", "resourceVersion": version.to_string(), "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": spec,
        });
        self.tell(|| Change::Trigger(Event::Apply(object::<HTTPTrigger>(&trigger).into())));
    }

    /// A free pod that has been ready for long.
    pub async fn free_pod(&self, name: &str) -> Arc<Pod> {
        let pod = Pod::start(name).await;
        self.put_pod(&pod, json!({"muon.dev/state": "free"}));
        pod
    }

    /// A pod that serves a revision of a function.
    pub async fn own_pod(&self, name: &str, function: &str, revision: &str) -> Arc<Pod> {
        let pod = Pod::start(name).await;
        self.put_pod(
            &pod,
            json!({"muon.dev/state": "claimed", "muon.dev/function": function, "muon.dev/revision": revision}),
        );
        pod
    }

    /// A pod that kubelet has started and does not hold ready yet.
    pub fn starting_pod(&self, pod: &Pod, function: &str, revision: &str) {
        let labels = json!({"muon.dev/state": "claimed", "muon.dev/function": function, "muon.dev/revision": revision});
        self.put(pod, labels, "False");
    }

    pub fn put_pod(&self, pod: &Pod, labels: Value) {
        self.put(pod, labels, "True");
    }

    fn put(&self, pod: &Pod, labels: Value, ready: &str) {
        let version = Self::version(&mut self.state.lock().unwrap());
        let mut object_ = json!({
            "metadata": {
                "name": pod.name, "namespace": "demo", "uid": format!("uid-{}", pod.name), "resourceVersion": version.to_string(),
                "labels": {"muon.dev/environment": "test"},
                "annotations": {"muon.dev/runtime-port": RUNTIME_PORT.to_string()},
            },
            "status": {
                "podIP": pod.ip.to_string(),
                "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            },
        });
        merge(&mut object_["metadata"]["labels"], labels);
        self.state.lock().unwrap().pods.insert(format!("uid-{}", pod.name), object_.clone());
        self.tell(|| Change::Pod(Event::Apply(object::<v1::Pod>(&object_))));
    }

    pub fn label_pod(&self, name: &str, labels: Value) -> u64 {
        let changed = {
            let mut state = self.state.lock().unwrap();
            let version = Self::version(&mut state);
            let pod = state.pods.get_mut(&format!("uid-{name}")).unwrap();
            merge(&mut pod["metadata"]["labels"], labels);
            pod["metadata"]["resourceVersion"] = json!(version.to_string());
            pod.clone()
        };
        self.tell(|| Change::Pod(Event::Apply(object::<v1::Pod>(&changed))));
        changed["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
    }

    /// Told with the pod's next change.
    pub fn annotate_pod(&self, name: &str, annotations: Value) {
        let mut state = self.state.lock().unwrap();
        merge(&mut state.pods.get_mut(&format!("uid-{name}")).unwrap()["metadata"]["annotations"], annotations);
    }

    pub fn claims(&self) -> usize {
        self.claims.lock().unwrap().len()
    }

    async fn decide(&self, request: ClaimRequest) -> Result<Claim, ClaimError> {
        self.claims.lock().unwrap().push(request.clone());
        self.claim_gate.acquire().await.unwrap().forget();
        let ready = {
            let mut errors = self.claim_errors.lock().unwrap();
            (!errors.is_empty()).then(|| errors.remove(0))
        };
        if let Some(answer) = ready {
            return answer;
        }
        let (pod, version) = {
            let mut state = self.state.lock().unwrap();
            let version = Self::version(&mut state);
            let Some(pod) = state.pods.get_mut(&request.pod_uid) else { return Ok(Claim::Lost) };
            if !is(pod, request.reserved.as_ref()) {
                return Ok(Claim::Lost);
            }
            set_reserved(pod, "claimed", None);
            merge(
                &mut pod["metadata"]["labels"],
                json!({"muon.dev/function": request.function, "muon.dev/revision": request.revision}),
            );
            pod["metadata"]["annotations"]["muon.dev/function-uid"] = json!(request.function_uid);
            pod["metadata"]["resourceVersion"] = json!(version.to_string());
            (pod.clone(), version)
        };
        if self.tell_claims.load(Ordering::SeqCst) {
            self.tell(|| Change::Pod(Event::Apply(object::<v1::Pod>(&pod))));
        }
        Ok(Claim::Won { resource_version: version })
    }
}

impl Cluster {
    fn change(&self, request: ReserveRequest) -> Result<Claim, ClaimError> {
        self.reserves.lock().unwrap().push(request.clone());
        let (pod, version) = {
            let mut state = self.state.lock().unwrap();
            let version = Self::version(&mut state);
            let Some(pod) = state.pods.get_mut(&request.pod_uid) else { return Ok(Claim::Lost) };
            let (from, name, to) = match &request.step {
                Step::Reserve(reserved) => (None, "reserved", Some(reserved)),
                Step::Return(reserved) => (Some(reserved), "free", None),
                Step::Retire(reserved) => (Some(reserved), "retiring", Some(reserved)),
            };
            if !is(pod, from) {
                return Ok(Claim::Lost);
            }
            set_reserved(pod, name, to);
            pod["metadata"]["resourceVersion"] = json!(version.to_string());
            (pod.clone(), version)
        };
        self.tell(|| Change::Pod(Event::Apply(object::<v1::Pod>(&pod))));
        Ok(Claim::Won { resource_version: version })
    }

    /// The pod's state label.
    pub fn state_of(&self, name: &str) -> String {
        let state = self.state.lock().unwrap();
        state.pods[&format!("uid-{name}")]["metadata"]["labels"]["muon.dev/state"].as_str().unwrap().to_owned()
    }
}

/// Whether the pod is reserved like that, or free.
fn is(pod: &Value, reserved: Option<&Reserved>) -> bool {
    let labels = &pod["metadata"]["labels"];
    match reserved {
        None => labels["muon.dev/state"] == "free",
        Some(reserved) => {
            labels["muon.dev/state"] == "reserved"
                && labels[words::RESERVED_BY] == *reserved.by
                && labels[words::RESERVED_UNTIL].as_str() == Some(&*reserved.until.to_string())
        }
    }
}

fn set_reserved(pod: &mut Value, state: &str, reserved: Option<&Reserved>) {
    let labels = pod["metadata"]["labels"].as_object_mut().unwrap();
    labels.insert(words::STATE.into(), state.into());
    for (key, value) in [
        (words::RESERVED_BY, reserved.map(|reserved| reserved.by.to_string())),
        (words::RESERVED_UNTIL, reserved.map(|reserved| reserved.until.to_string())),
    ] {
        match value {
            Some(value) => labels.insert(key.into(), value.into()),
            None => labels.remove(key),
        };
    }
}

struct ClusterClaimer(Arc<Cluster>);

impl Claimer for ClusterClaimer {
    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claim, ClaimError>> {
        let cluster = self.0.this.upgrade().unwrap();
        Box::pin(async move { cluster.decide(request).await })
    }

    fn reserve(&self, request: ReserveRequest) -> BoxFuture<'_, Result<Claim, ClaimError>> {
        let cluster = self.0.this.upgrade().unwrap();
        Box::pin(async move { cluster.change(request) })
    }
}

pub fn object<K: serde::de::DeserializeOwned>(value: &Value) -> K {
    serde_json::from_value(value.clone()).unwrap()
}

fn merge(base: &mut Value, over: Value) {
    for (key, value) in over.as_object().unwrap() {
        base[key] = value.clone();
    }
}

/// A whole answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn failure(&self) -> Failure {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }
}

/// Sends one request on a connection of its own.
pub async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Response<Incoming> {
    try_send(address, request).await.unwrap()
}

pub async fn try_send<B>(address: SocketAddr, request: Request<B>) -> Result<Response<Incoming>, hyper::Error>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await
}

pub fn get(host: &str, path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", host).body(Full::default()).unwrap()
}

pub async fn call(address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    read(send(address, request).await).await
}

pub async fn read(response: Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

/// Waits until a thing is so; tests end by their own time limit otherwise.
pub async fn until(what: &str, so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("not so in time: {what}"));
}

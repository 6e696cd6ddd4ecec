//! An installation without a node: the operator in this process under its own account's rights, a real store, and a
//! proxy that says whatever a test has it say. One for the whole test binary.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use muon_crds::wire::{Activity, Watermarks};
use muon_crds::{Environment, words};
use muon_e2e::control_plane::{ControlPlane, install_tls};
use muon_e2e::manifest::parse;
use muon_e2e::space::Space;
use muon_order::{Order, Signer};
use muon_reconcile::Settings;
use muon_reconcile::fetch::Rules;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Where Muon itself runs.
const SYSTEM: &str = "muon-system";
const OPERATOR: &str = "system:serviceaccount:muon-system:muon-operator";
const SEED: [u8; 32] = [7; 32];
/// A proxy answers a long poll within this time even if nothing happens.
const LONG_POLL: Duration = Duration::from_secs(10);

static SHARED: OnceLock<Installation> = OnceLock::new();

/// What the tests hold of it.
pub struct Installation {
    says: watch::Sender<Activity>,
    settings: Settings,
    kept: Kept,
}

/// The store, and the directory that it keeps its files in.
#[derive(Clone)]
pub struct Kept {
    /// The store.
    pub store: muon_store::Store,
    /// Its directory.
    pub path: PathBuf,
}

impl Installation {
    /// The running installation; started by the first caller.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(|| {
            let plane = ControlPlane::shared();
            // A proxy that is ahead of everybody: it has seen whatever is asked of it.
            let seen = Watermarks { functions: u64::MAX, triggers: u64::MAX, pods: u64::MAX };
            let (says, said) = watch::channel(Activity {
                proxy: "proxy-0".to_owned(),
                seq: 1,
                up_ms: 3_600_000,
                seen,
                ..Activity::default()
            });
            let (started, wait) = std::sync::mpsc::channel();
            // It lives as long as the process, on a thread that belongs to no test.
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
                runtime.expect("a runtime").block_on(run(plane, said, started));
            });
            let (settings, kept) = wait.recv().expect("the installation starts");
            Self { says, settings, kept }
        })
    }

    /// Where the archives are.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Starts one more operator, as after a restart: it knows nothing. It runs as long as the test does; what it counts.
    pub fn another_operator(&self) -> prometheus::Registry {
        let registry = prometheus::Registry::new();
        let settings = Settings { instance: "operator-2".to_owned(), ..self.settings.clone() };
        tokio::spawn(operate(ControlPlane::shared().client_as(OPERATOR), settings, registry.clone()));
        registry
    }

    /// The store's address, and an order to it.
    pub fn store(&self, order: &Order) -> (String, String) {
        let signer = Signer::from_seed(&SEED).expect("a seed of 32 bytes");
        (self.settings.store_url.clone(), signer.sign(order))
    }

    /// Changes what the proxy says, which the operator learns at once.
    pub fn proxy_says(&self, change: impl FnOnce(&mut Activity)) {
        self.says.send_modify(|activity| {
            change(activity);
            activity.seq += 1;
        });
    }
}

async fn run(
    plane: &'static ControlPlane,
    said: watch::Receiver<Activity>,
    started: std::sync::mpsc::Sender<(Settings, Kept)>,
) {
    install_tls();
    let admin = plane.client();
    let address = own_address();
    let signer = Signer::from_seed(&SEED).expect("a seed of 32 bytes");
    keep_key(&admin).await;

    let files = tempfile::tempdir().expect("a temporary directory");
    let store = muon_store::Store::local(files.path(), muon_store::Settings::default());
    let store = store.await.expect("a store in a directory");
    let store_port = serve(address, muon_store::router(store.clone(), signer.verifier())).await;
    let proxy = Router::new().route("/v1/activity", get(activity)).with_state(said);
    let peer_port = serve(address, proxy).await;
    make_proxy(&admin, address).await;

    let mut settings =
        Settings::new(SYSTEM, "operator-0", "muon/agent:test", &format!("http://{address}:{store_port}"));
    settings.peer_port = peer_port;
    // Tests have registries on this machine.
    let here = vec![address.to_string()];
    settings.rules = Rules { internal: here.clone(), plain: here, ..Rules::default() };
    // Two of them at once, with no lease between them: everything must be right all the same.
    for instance in ["operator-0", "operator-1"] {
        let settings = Settings { instance: instance.to_owned(), ..settings.clone() };
        tokio::spawn(operate(plane.client_as(OPERATOR), settings, prometheus::Registry::new()));
    }
    started.send((settings, Kept { store, path: files.path().to_owned() })).expect("somebody waits");
    std::future::pending::<()>().await;
}

async fn operate(client: Client, settings: Settings, registry: prometheus::Registry) {
    // It leads, and so does the other one.
    let (_leads, leader) = watch::channel(true);
    let ended = muon_reconcile::run(client, settings, leader, &registry, std::future::pending()).await;
    panic!("an operator ended: {ended:?}");
}

/// The key is there before the operators are, so that the store can be told it.
async fn keep_key(admin: &Client) {
    let secret: Secret = parse(json!({
        "metadata": {"name": words::ORDER_KEY},
        "data": {"seed": k8s_openapi::ByteString(SEED.to_vec())},
    }));
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), SYSTEM);
    secrets.create(&PostParams::default(), &secret).await.expect("the order key");
}

#[derive(Deserialize)]
struct Asked {
    seen: u64,
}

async fn activity(State(mut said): State<watch::Receiver<Activity>>, Query(asked): Query<Asked>) -> Json<Activity> {
    let news = said.wait_for(|activity| activity.seq > asked.seen);
    let _ = tokio::time::timeout(LONG_POLL, news).await;
    Json(said.borrow().clone())
}

/// An address of this machine that an EndpointSlice may hold, which a loopback address is not. Nothing is sent.
pub fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.connect("192.0.2.1:9").expect("a route to anywhere");
    socket.local_addr().expect("it is bound").ip()
}

pub async fn serve(address: IpAddr, router: Router) -> u16 {
    let listener = tokio::net::TcpListener::bind(SocketAddr::new(address, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

/// A pod as the proxy's Deployment makes them, with the status that kubelet would give it.
async fn make_proxy(admin: &Client, address: IpAddr) {
    let pods: Api<Pod> = Api::namespaced(admin.clone(), SYSTEM);
    let pod: Pod = parse(json!({
        "metadata": {
            "name": "proxy-0",
            "labels": {words::APP_COMPONENT: "proxy", words::APP_PART_OF: words::MUON},
        },
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "proxy", "image": "muon/muon:test",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    }));
    pods.create(&PostParams::default(), &pod).await.expect("a pod");
    let status = json!({"status": {
        "phase": "Running", "podIP": address.to_string(), "podIPs": [{"ip": address.to_string()}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    pods.patch_status("proxy-0", &PatchParams::default(), &Patch::Merge(status)).await.expect("a running pod");
}

/// A namespace of a test's own, in which the operators work.
pub fn space(name: &str) -> Space {
    Installation::shared();
    let plane = ControlPlane::shared();
    plane.kubectl_ok(&["create", "namespace", name], "");
    plane.kubectl_ok(&["label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted"], "");
    Space { client: plane.client(), namespace: name.to_owned() }
}

/// An Environment whose pool may be empty: no controller here would fill it.
pub async fn environment(space: &Space) {
    space
        .apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "python"},
            "spec": {"runtime": {"image": "muon/python:3.11"}, "pool": {"min": 0, "max": 3}},
        }))
        .await;
    space.ready::<Environment>("python").await;
}

/// A Function with its code inline; `more` is put over its spec.
pub fn function(name: &str, more: Value) -> Value {
    let mut spec = json!({"environment": "python", "source": {"files": {"main.py": "def main(): pass"}}});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({"apiVersion": "muon.dev/v1alpha1", "kind": "Function", "metadata": {"name": name}, "spec": spec})
}

/// A route of the Function.
pub fn trigger(name: &str, function: &str, more: Value) -> Value {
    let mut spec = json!({"path": format!("/{name}"), "function": {"name": function}});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({"apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": {"name": name}, "spec": spec})
}

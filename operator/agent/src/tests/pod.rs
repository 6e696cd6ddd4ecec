//! One pod: agent, runtime and store on loopback, and someone who signs orders.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use muon_crds::names;
use muon_crds::wire::{LoadReport, LoadRequest};
use muon_order::{Load, Order, Signer};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::fakes::{Import, Runtime, Server, Store};
use crate::agent::Agent;
use crate::failure::LoadError;
use crate::settings::Settings;
use crate::status::Status;
use crate::{keeper, watch};

pub const POD: &str = "pod-1";

pub struct Pod {
    pub agent: Arc<Agent>,
    pub runtime: Runtime,
    pub server: Option<Server>,
    pub store: Store,
    pub store_address: String,
    pub digest: String,
    pub dir: tempfile::TempDir,
    port: u16,
    tasks: Vec<JoinHandle<()>>,
    _store_server: Server,
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

pub fn signer() -> Signer {
    Signer::from_seed(&[3; 32]).unwrap()
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

impl Pod {
    /// A pool's pod.
    pub async fn new(import: Import) -> Self {
        Self::with(Runtime::new(import), |_, _| {}).await
    }

    /// Whose settings are changed first.
    pub async fn with(runtime: Runtime, change: impl FnOnce(&mut Settings, LoadRequest)) -> Self {
        let server = runtime.start(0).await;
        let store = Store::default();
        let store_server = store.start().await;
        let dir = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(4);
        header.set_mode(0o644);
        archive.append_data(&mut header, "main.py", &b"code"[..]).unwrap();
        let archive = archive.into_inner().unwrap();
        let digest = names::digest(&archive);
        store.blobs.lock().unwrap().insert(digest.clone(), archive.into());
        let port = server.port;
        let mut settings = settings(dir.path(), port);
        let store_address = format!("http://127.0.0.1:{}", store_server.port);
        let template = Load { pod_uid: None, until: None, ..load(&digest) };
        change(&mut settings, request(&store_address, &Order::Load(template)));
        let agent = Arc::new(Agent::start(settings));
        let tasks = vec![tokio::spawn(watch::watch(agent.clone())), tokio::spawn(keeper::keep(agent.clone()))];
        Self {
            agent,
            runtime,
            server: Some(server),
            store,
            store_address,
            digest,
            dir,
            port,
            tasks,
            _store_server: store_server,
        }
    }

    /// The usual load for this pod.
    pub fn order(&self) -> Load {
        load(&self.digest)
    }

    pub fn request(&self, load: Load) -> LoadRequest {
        request(&self.store_address, &Order::Load(load))
    }

    pub async fn load(&self) -> Result<LoadReport, LoadError> {
        self.agent.load(self.request(self.order())).await
    }

    /// Puts another package in the store and loads that.
    pub async fn load_archive(&mut self, archive: Vec<u8>) -> Result<LoadReport, LoadError> {
        self.digest = names::digest(&archive);
        self.store.blobs.lock().unwrap().insert(self.digest.clone(), Bytes::from(archive));
        self.load().await
    }

    /// Waits until the status is so.
    #[track_caller]
    pub fn until(&self, what: impl Fn(&Status) -> bool) -> impl Future<Output = ()> {
        let mut status = self.agent.watch();
        let caller = std::panic::Location::caller();
        async move {
            let reached = timeout(Duration::from_secs(20), status.wait_for(|status| what(status))).await;
            if reached.is_err() {
                panic!("{caller}: never reached, it is {:?}", self.agent.watch().borrow());
            }
        }
    }

    pub async fn until_ready(&self) {
        self.until(|status| status.readiness(true).is_ok()).await;
    }

    /// Why the pod is not ready; empty when it is.
    pub fn readiness(&self) -> String {
        self.agent.watch().borrow().readiness(true).err().unwrap_or_default().to_owned()
    }

    /// The runtime's process ends.
    pub async fn crash(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    /// It is back.
    pub async fn restart(&mut self) {
        self.server = Some(self.runtime.start(self.port).await);
    }

    /// The agent's process ends, and another one takes its place.
    pub fn replace_agent(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.agent = Arc::new(Agent::start(self.agent.settings.clone()));
        self.tasks =
            vec![tokio::spawn(watch::watch(self.agent.clone())), tokio::spawn(keeper::keep(self.agent.clone()))];
    }
}

fn settings(dir: &Path, port: u16) -> Settings {
    let key = signer().public();
    let (code, agent) = (dir.join("userfunc/code"), dir.join("agent"));
    std::fs::create_dir_all(&code).unwrap();
    std::fs::create_dir(&agent).unwrap();
    Settings::read(|name| match name {
        "MUON_PUBLIC_KEY" => Some(key.clone()),
        "MUON_POD_UID" => Some(POD.into()),
        "MUON_RUNTIME_PORT" => Some(port.to_string()),
        "MUON_CODE_DIR" => Some(code.display().to_string()),
        "MUON_AGENT_DIR" => Some(agent.display().to_string()),
        "MUON_DRAIN_GRACE_MS" => Some("1".into()),
        _ => None,
    })
    .unwrap()
}

fn load(digest: &str) -> Load {
    Load {
        pod_uid: Some(POD.into()),
        namespace: "default".into(),
        function_uid: "function-1".into(),
        revision: "r1".into(),
        digest: digest.into(),
        until: Some(now() + 60),
    }
}

fn request(store: &str, order: &Order) -> LoadRequest {
    LoadRequest {
        order: signer().sign(order),
        store: store.into(),
        entrypoint: "main.main".into(),
        function: "hello".into(),
        namespace: "default".into(),
        timeout_ms: 20_000,
        env: Vec::new(),
        trace: None,
    }
}

//! The control plane of the run: a real etcd and kube-apiserver, and our own processes under their own accounts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams};
use muon_crds::words;
use muon_e2e::control_plane::ControlPlane;
use serde_json::json;

use super::error::ScaleError;
use super::objects;
use super::process::Process;

const SYSTEM: &str = "muon-system";
const START_WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// Ports of our processes: those of requests are fixed, the others lie beside them.
const OPERATOR_ADMIN: u16 = 19190;
const PROXY_ADMIN: u16 = 19191;
const STORE_ADMIN: u16 = 19192;
const STORE: u16 = 19193;

/// The running control plane and its processes.
pub(super) struct Plane {
    /// etcd and kube-apiserver.
    pub(super) api: &'static ControlPlane,
    /// A client with every right.
    pub(super) client: Client,
    muon: PathBuf,
}

impl Plane {
    /// Starts etcd and kube-apiserver, and makes the namespaces of the run, without Environments.
    pub(super) async fn start(muon: &Path) -> Result<Self, ScaleError> {
        if !muon.is_file() {
            return Err(ScaleError::NoProgram(muon.to_owned()));
        }
        let api = tokio::task::spawn_blocking(ControlPlane::shared).await?;
        let plane = Self { api, client: api.client(), muon: muon.to_owned() };
        for number in 0..objects::SPACES {
            plane.post("/api/v1/namespaces", &json!({"metadata": {"name": objects::space(number)}})).await?;
        }
        Ok(plane)
    }

    /// Starts the operator, and waits until it has made its key.
    pub(super) async fn operator(&self) -> Result<Process, ScaleError> {
        let mut command = self.command("operator", OPERATOR_ADMIN);
        command
            .env("KUBECONFIG", self.api.account("muon-operator"))
            .args(["--agent-image", "muon/agent:bench", "--lease-seconds", "4"])
            .args(["--store-url", &format!("http://127.0.0.1:{STORE}")]);
        let process = Process::start("operator", &mut command, self.api.dir())?;
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), SYSTEM);
        until("the operator's key", async || Ok(maps.get_opt(words::ORDER_KEY).await?.is_some())).await?;
        Ok(process)
    }

    /// Starts the store.
    pub(super) async fn store(&self) -> Result<Process, ScaleError> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), SYSTEM);
        let public = maps.get(words::ORDER_KEY).await?.data.unwrap_or_default().remove("public").unwrap_or_default();
        let keys = self.folder("public")?;
        std::fs::write(keys.join("public"), public)?;
        let mut command = self.command("store", STORE_ADMIN);
        command
            .arg("--dir")
            .arg(self.folder("blobs")?)
            .arg("--order-dir")
            .arg(keys)
            .args(["--port", &STORE.to_string()]);
        let process = Process::start("store", &mut command, self.api.dir())?;
        ready("store", STORE_ADMIN).await?;
        Ok(process)
    }

    /// Starts the proxy, whose pod the API server shows as ready at `address` once it is.
    pub(super) async fn proxy(&self, address: std::net::IpAddr) -> Result<Process, ScaleError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), SYSTEM);
        let seed = secrets.get(words::ORDER_KEY).await?.data.unwrap_or_default().remove("seed");
        let keys = self.folder("seed")?;
        std::fs::write(keys.join("seed"), seed.map(|seed| seed.0).unwrap_or_default())?;
        let mut command = self.command("proxy", PROXY_ADMIN);
        command
            .env("KUBECONFIG", self.api.account("muon-proxy"))
            .env("MUON_POD_IP", address.to_string())
            .args(["--store-url", &format!("http://127.0.0.1:{STORE}"), "--drain-delay-seconds", "0"])
            .arg("--order-dir")
            .arg(keys);
        let process = Process::start("proxy", &mut command, self.api.dir())?;
        ready("proxy", PROXY_ADMIN).await?;
        self.proxy_pod(address).await?;
        Ok(process)
    }

    fn command(&self, part: &str, admin: u16) -> Command {
        // Whatever becomes of the benchmark, its processes end with it.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(&self.muon)
            .arg(part)
            .args(["--pod-name", &format!("muon-{part}-0"), "--admin-port", &admin.to_string()])
            .env("MUON_LOG", "warn");
        command
    }

    fn folder(&self, name: &str) -> Result<PathBuf, ScaleError> {
        let path = self.api.dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A pod as the proxy's Deployment makes them, with the status that kubelet would give it.
    async fn proxy_pod(&self, address: std::net::IpAddr) -> Result<(), ScaleError> {
        let labels = json!({words::APP_COMPONENT: "proxy", words::APP_PART_OF: words::MUON});
        self.pod(SYSTEM, json!({"name": "muon-proxy-0", "labels": labels}), address).await
    }

    /// Makes a pod, if it is not there, and has it be ready at `address`.
    pub(super) async fn pod(
        &self,
        space: &str,
        metadata: serde_json::Value,
        address: std::net::IpAddr,
    ) -> Result<(), ScaleError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), space);
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        let pod = json!({
            "metadata": metadata,
            "spec": {
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "runtime", "image": "muon/bench",
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        });
        if pods.get_opt(&name).await?.is_none() {
            self.post(&format!("/api/v1/namespaces/{space}/pods"), &pod).await?;
        }
        let now = k8s_openapi::jiff::Timestamp::now().to_string();
        let status = json!({"status": {
            "phase": "Running", "podIP": address.to_string(), "podIPs": [{"ip": address.to_string()}],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
        }});
        pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok(())
    }

    /// Creates an object at this path.
    pub(super) async fn post(&self, path: &str, object: &serde_json::Value) -> Result<String, ScaleError> {
        let request = http::Request::post(path).header("content-type", "application/json");
        Ok(self.client.request_text(request.body(object.to_string().into_bytes())?).await?)
    }

    /// How many objects of this kind are in all namespaces, by the server's own count.
    pub(super) async fn count<K>(&self) -> Result<usize, ScaleError>
    where
        K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<kube::core::PartialObjectMeta<K>> = Api::all(self.client.clone());
        let list = api.list_metadata(&ListParams::default().limit(1)).await?;
        let more = list.metadata.remaining_item_count.unwrap_or(0);
        Ok(list.items.len() + usize::try_from(more).unwrap_or(0))
    }
}

/// Waits until a process of ours says that it is ready.
async fn ready(name: &str, admin: u16) -> Result<(), ScaleError> {
    until(&format!("the {name} to be ready"), async || {
        Ok(super::web::get(([127, 0, 0, 1], admin).into(), "localhost", "/readyz")
            .await
            .is_ok_and(|status| status == 200))
    })
    .await
}

/// Looks again and again until it is so.
pub(super) async fn until(what: &str, is_so: impl AsyncFn() -> Result<bool, ScaleError>) -> Result<(), ScaleError> {
    let deadline = Instant::now() + START_WITHIN;
    while !is_so().await? {
        if Instant::now() > deadline {
            return Err(ScaleError::Waited { what: what.to_owned(), within: START_WITHIN });
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// An address of this machine that an EndpointSlice may hold, which a loopback address is not. Nothing is sent.
pub(super) fn own_address() -> Result<std::net::IpAddr, ScaleError> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.1:9")?;
    Ok(socket.local_addr()?.ip())
}

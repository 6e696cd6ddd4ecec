//! The cluster that `hack/test` brought up, as its status file describes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use kube::{Client, Config, config::KubeConfigOptions, config::Kubeconfig};
use serde::Deserialize;

use crate::audit::Audit;
use crate::control_plane::install_tls;

/// Where Muon's own parts run.
pub const SYSTEM: &str = "muon-system";

static KNOWN: OnceLock<Cluster> = OnceLock::new();

/// What `hack/status -o json` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    kubeconfig: PathBuf,
    /// `http://address:port` of the Ingress controller.
    pub ingress: String,
    audit_log: PathBuf,
    bin: PathBuf,
    containerd: PathBuf,
    components: BTreeMap<String, Component>,
}

#[derive(Clone, Debug, Deserialize)]
struct Component {
    pid: Option<u32>,
}

impl Cluster {
    /// The cluster that `MUON_STATUS_JSON` describes.
    pub fn get() -> &'static Self {
        KNOWN.get_or_init(|| {
            install_tls();
            let path = std::env::var_os("MUON_STATUS_JSON")
                .expect("MUON_STATUS_JSON names no status file: run `hack/test e2e`, which brings a cluster up");
            let text = std::fs::read_to_string(path).expect("the status file can be read");
            serde_json::from_str(&text).expect("the status is in the form of hack/status -o json")
        })
    }

    /// A client of the administrator; one for each test, because its worker lives in the test's runtime.
    pub async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        Client::try_from(config.expect("a complete kubeconfig")).expect("a complete configuration")
    }

    /// The log of writes to the API server.
    pub fn audit(&self) -> Audit {
        Audit::new(self.audit_log.clone())
    }

    /// The process of a component of the node, `kube-apiserver` for instance.
    pub fn pid(&self, component: &str) -> u32 {
        self.components[component].pid.expect("it runs")
    }

    /// Sends a signal to a component of the node.
    pub fn signal(&self, component: &str, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.pid(component).to_string()]).status();
        assert!(sent.expect("kill runs").success(), "no {signal} to {component}");
    }

    /// Kills a container's process, as a crash would: no warning, no grace. Returns when it is gone, its sockets with
    /// it; the kernel takes some milliseconds for that.
    pub fn kill_container(&self, id: &str) {
        let id = id.strip_prefix("containerd://").unwrap_or(id);
        self.ctr(&["task", "kill", "--signal", "SIGKILL", id]);
        let runs = |tasks: String| tasks.lines().any(|line| line.starts_with(id) && line.contains("RUNNING"));
        while runs(self.ctr(&["task", "list"])) {}
    }

    fn ctr(&self, arguments: &[&str]) -> String {
        let mut ctr = Command::new(self.bin.join("ctr"));
        ctr.arg("--address").arg(&self.containerd).args(["--namespace", "k8s.io"]).args(arguments);
        let output = ctr.output().expect("ctr runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ctr {}: {told}", arguments.join(" "));
        String::from_utf8(output.stdout).expect("ctr writes UTF-8")
    }

    /// Runs kubectl against this cluster.
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        Command::new(self.bin.join("kubectl"))
            .env("KUBECONFIG", &self.kubeconfig)
            .args(arguments)
            .output()
            .expect("kubectl runs")
    }

    /// Runs kubectl, which must succeed, and gives its output.
    pub fn kubectl_ok(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {}: {told}", arguments.join(" "));
        String::from_utf8(output.stdout).expect("kubectl writes UTF-8")
    }
}

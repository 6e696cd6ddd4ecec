//! A real etcd and kube-apiserver on free ports of 127.0.0.1, one pair for each test binary.
//!
//! No controller-manager, no scheduler, no kubelet: nothing moves but what a test moves.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine as _;
use kube::config::AuthInfo;
use kube::{Client, Config};

use crate::audit::Audit;

const TOKEN: &str = "e2e-admin";
const START_WITHIN: Duration = Duration::from_secs(90);

/// Keeps both processes while its standard input is open, that is while the test process lives: however that
/// ends, by a panic or by SIGKILL, the pipe closes, and nothing stays behind, neither process nor file.
/// A kube-apiserver that dies is started again; `api.pid` is its id.
const KEEPER: &str = r#"
cd "$DIR" || exit 1
bin/etcd --data-dir etcd --log-level error --unsafe-no-fsync \
  --listen-client-urls "http://127.0.0.1:$ETCD" --advertise-client-urls "http://127.0.0.1:$ETCD" \
  --listen-peer-urls "http://127.0.0.1:$PEER" --initial-advertise-peer-urls "http://127.0.0.1:$PEER" \
  --initial-cluster "default=http://127.0.0.1:$PEER" </dev/null >etcd.log 2>&1 &
etcd=$!
while :; do
bin/kube-apiserver --etcd-servers "http://127.0.0.1:$ETCD" --bind-address 127.0.0.1 --secure-port "$API" \
  --cert-dir certs --token-auth-file tokens.csv --anonymous-auth=false --authorization-mode RBAC \
  --service-account-issuer https://muon.test --service-account-key-file sa.key \
  --service-account-signing-key-file sa.key --service-cluster-ip-range 198.19.0.0/16 \
  --disable-admission-plugins ServiceAccount \
  --audit-policy-file audit.yaml --audit-log-path audit.log --audit-log-maxsize 100000 </dev/null >>kube-apiserver.log 2>&1 &
echo $! >api.pid
wait $!
done &
again=$!
cat >/dev/null
kill -9 $again
kill -9 $(cat api.pid) $etcd
wait
rm -rf "$DIR"
"#;

/// Who wrote what: reads are left out, they are many and nobody asks for them.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, verbs: [create, update, patch, delete, deletecollection]}
- {level: None}
";

static SHARED: OnceLock<ControlPlane> = OnceLock::new();

/// A running API server.
pub struct ControlPlane {
    dir: PathBuf,
    url: String,
    etcd: u16,
    /// Its standard input stays open until this process ends, and is then closed by the kernel.
    _keeper: Child,
}

impl ControlPlane {
    /// The control plane of this test binary, with Muon's custom resources installed; started by the first caller.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start)
    }

    /// A client with every right.
    pub fn client(&self) -> Client {
        client(self.config())
    }

    /// A client that acts as this user, with this user's rights only.
    pub fn client_as(&self, user: &str) -> Client {
        let mut config = self.config();
        config.auth_info.impersonate = Some(user.to_owned());
        client(config)
    }

    /// A client that acts as this service account does in a pod of this name: its token says so.
    pub fn client_in_pod(&self, user: &str, pod: &str) -> Client {
        let mut config = self.config();
        config.auth_info.impersonate = Some(user.to_owned());
        let name = http::HeaderName::from_static("impersonate-extra-authentication.kubernetes.io%2fpod-name");
        config.headers.push((name, pod.parse().expect("a pod's name is plain text")));
        client(config)
    }

    /// Runs the real kubectl as the administrator.
    pub fn kubectl(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut child = Command::new(self.dir.join("bin/kubectl"))
            .arg("--kubeconfig")
            .arg(self.dir.join("kubeconfig"))
            .args(arguments)
            .env("HOME", &self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl is in the multi-call binary");
        child.stdin.take().expect("it is piped").write_all(stdin.as_bytes()).expect("kubectl reads its input");
        child.wait_with_output().expect("kubectl ends")
    }

    /// Runs kubectl, which must succeed, and gives its output.
    pub fn kubectl_ok(&self, arguments: &[&str], stdin: &str) -> String {
        let output = self.kubectl(arguments, stdin);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {}: {told}", arguments.join(" "));
        String::from_utf8(output.stdout).expect("kubectl writes UTF-8")
    }

    /// Stores an object behind the API server's back, as an older release may have left it.
    pub async fn put_in_etcd(&self, key: &str, object: &serde_json::Value) {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let body = serde_json::json!({"key": encode(key), "value": encode(&object.to_string())});
        let http = reqwest::Client::builder().no_proxy().build().expect("a plain client");
        let put = http.post(format!("http://127.0.0.1:{}/v3/kv/put", self.etcd)).body(body.to_string()).send().await;
        assert!(put.expect("etcd answers").status().is_success(), "{key}");
    }

    /// A kubeconfig with a token of this service account of Muon's own namespace, for a process beside the tests.
    pub fn account(&self, name: &str) -> PathBuf {
        let token = self.kubectl_ok(&["create", "token", name, "-n", "muon-system", "--duration=4h"], "");
        let path = self.dir.join(format!("kubeconfig-{name}"));
        std::fs::write(&path, kubeconfig(&self.url, token.trim())).expect("a file of our own");
        path
    }

    /// The folder with its files and logs; it is gone when this process ends.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Kills the API server and waits until it runs again. Everybody's watches end, and whoever comes back with an old
    /// version has to list anew.
    pub fn restart_api(&self) {
        let pid = std::fs::read_to_string(self.dir.join("api.pid")).expect("the keeper wrote it");
        let killed = Command::new("kill").args(["-9", pid.trim()]).status().expect("kill");
        assert!(killed.success(), "the API server's process {} could be killed", pid.trim());
        self.wait_until_ready();
    }

    /// The log of writes to this API server.
    pub fn audit(&self) -> Audit {
        Audit::new(self.dir.join("audit.log"))
    }

    fn config(&self) -> Config {
        let mut config = Config::new(self.url.parse().expect("an address of our own"));
        // The serving certificate was made by the API server for itself a moment ago, on the loopback interface.
        config.accept_invalid_certs = true;
        config.auth_info = AuthInfo { token: Some(TOKEN.to_owned().into()), ..AuthInfo::default() };
        config
    }

    fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("muon-e2e-").tempdir().expect("a temporary directory").keep();
        let [etcd, peer, api] = free_ports();
        let url = format!("https://127.0.0.1:{api}");
        write_files(&dir, &url);
        let keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .env("DIR", &dir)
            .env("ETCD", etcd.to_string())
            .env("PEER", peer.to_string())
            .env("API", api.to_string())
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let plane = Self { dir, url, etcd, _keeper: keeper };
        plane.wait_until_ready();
        plane.install();
        plane
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + START_WITHIN;
        while !self.kubectl(&["get", "--raw", "/readyz"], "").status.success() {
            assert!(Instant::now() < deadline, "no API server within {START_WITHIN:?}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn install(&self) {
        // All of Muon: with no controller about, its Deployments stay words, its rights and policies hold.
        let root = repository();
        self.kubectl_ok(&["apply", "-k", &root.join("config/default").to_string_lossy()], "");
        self.kubectl_ok(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"], "");
    }

    fn logs(&self) -> String {
        ["etcd.log", "kube-apiserver.log"]
            .map(|name| {
                let text = std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                format!("--- {name}\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
            })
            .join("\n")
    }
}

fn write_files(dir: &Path, url: &str) {
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("a file of our own");
    write("tokens.csv", &format!("{TOKEN},admin,admin,system:masters\n"));
    write("audit.yaml", AUDIT_POLICY);
    write("kubeconfig", &kubeconfig(url, TOKEN));
    let bin = dir.join("bin");
    std::fs::create_dir(&bin).expect("a directory of our own");
    let node = node_binary();
    for name in ["etcd", "kube-apiserver", "kubectl"] {
        std::os::unix::fs::symlink(&node, bin.join(name)).expect("a link of our own");
    }
    let key = dir.join("sa.key");
    let made = Command::new("openssl").args(["genrsa", "-out"]).arg(key).arg("2048").output().expect("openssl");
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
}

fn kubeconfig(url: &str, token: &str) -> String {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "e2e",
        "clusters": [{"name": "e2e", "cluster": {"server": url, "insecure-skip-tls-verify": true}}],
        "users": [{"name": "e2e", "user": {"token": token}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
    })
    .to_string()
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("e2e is a folder of it").to_owned()
}

/// Made for each test, not shared: a client's worker lives in the runtime of the test that made it.
fn client(config: Config) -> Client {
    install_tls();
    Client::try_from(config).expect("a complete configuration")
}

/// Names the one TLS provider of this process; later calls change nothing.
pub fn install_tls() {
    // It fails when one is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The multi-call program with etcd, kube-apiserver and kubectl in it.
fn node_binary() -> PathBuf {
    if let Some(named) = std::env::var_os("MUON_KUBENODE") {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "MUON_KUBENODE names no file: {}", named.display());
        return named;
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let products = home.join(".cache/muon/products");
    let mut found: Vec<PathBuf> = walk(&products, 3);
    found.sort_by_key(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok());
    found.pop().unwrap_or_else(|| {
        panic!("no kubenode under {}: run hack/test, which builds it, or set MUON_KUBENODE", products.display())
    })
}

fn walk(dir: &Path, depth: usize) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() && depth > 0 => walk(&path, depth - 1),
            path if path.is_file() && path.ends_with("kubenode") => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

/// Ports that nobody listens on; held all at once, so that they differ.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("it is bound").port())
}

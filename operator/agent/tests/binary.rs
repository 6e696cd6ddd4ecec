//! The binary as a pod runs it: against the real store, with a runtime that does nothing, over loopback.
//!
//! `MUON_AGENT_BINARY` names another build (the image's) to be tried and measured; `--nocapture` shows the numbers.

// A file of tests only: its helpers may fail like the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::future::IntoFuture as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::routing::{get, post};
use muon_crds::names;
use muon_crds::wire::{LoadReport, LoadRequest};
use muon_order::{Load, Order, Signer};
use muon_store::{Digest, Name, Store};

/// A process that does not outlive the test.
struct Agent {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signer() -> Signer {
    Signer::from_seed(&[9; 32]).unwrap()
}

impl Agent {
    fn start(runtime: u16, more: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (code, kept) = (dir.path().join("userfunc/code"), dir.path().join("agent"));
        std::fs::create_dir_all(&code).unwrap();
        std::fs::create_dir(&kept).unwrap();
        // Free a moment ago; the agent itself does not choose ports.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let binary = std::env::var("MUON_AGENT_BINARY").unwrap_or(env!("CARGO_BIN_EXE_muon-agent").into());
        let child = Command::new(binary)
            .env_clear()
            .env("MUON_PUBLIC_KEY", signer().public())
            .env("MUON_POD_UID", "pod-1")
            .env("MUON_RUNTIME_PORT", runtime.to_string())
            .env("MUON_AGENT_PORT", port.to_string())
            .env("MUON_CODE_DIR", code)
            .env("MUON_AGENT_DIR", kept)
            .env("MUON_DRAIN_GRACE_MS", "1")
            .envs(more.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { child, port, _dir: dir };
        agent.wait_until_ready();
        agent
    }

    fn wait_until_ready(&self) {
        let began = Instant::now();
        while self.call("GET", "/readyz", "").is_none_or(|(status, _)| status != 200) {
            assert!(began.elapsed() < Duration::from_secs(30), "never ready: {:?}", self.call("GET", "/readyz", ""));
            std::thread::yield_now();
        }
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: agent\r\ncontent-length: {length}\r\n\r\n{body}").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_ascii_whitespace().next().unwrap().parse().unwrap()
    }

    fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

fn runtime() -> Router {
    Router::new().route("/healthz", get(|| async { "ok" })).route("/v2/specialize", post(|| async { "{}" }))
}

fn hello() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    let code = b"def main():\n    return \"hello\\n\"\n";
    header.set_size(code.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, "main.py", &code[..]).unwrap();
    archive.into_inner().unwrap()
}

fn request(store: SocketAddr, digest: &str, pod: Option<&str>) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let order = Order::Load(Load {
        pod_uid: pod.map(Into::into),
        namespace: "default".into(),
        function_uid: "function-1".into(),
        revision: "r1".into(),
        digest: digest.into(),
        until: pod.map(|_| now + 60),
    });
    let request = LoadRequest {
        order: signer().sign(&order),
        store: format!("http://{store}"),
        entrypoint: String::new(),
        function: "hello".into(),
        namespace: "default".into(),
        timeout_ms: 10_000,
        env: Vec::new(),
        trace: None,
    };
    serde_json::to_string(&request).unwrap()
}

async fn store_with(archive: Vec<u8>) -> (SocketAddr, String, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::local(dir.path(), muon_store::Settings::default()).await.unwrap();
    let digest = names::digest(&archive);
    let name = Name::new("default", Digest::parse(&digest).unwrap()).unwrap();
    store.put(&name, archive.into(), None).await.unwrap();
    (serve(muon_store::router(store, signer().verifier())).await, digest, dir)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_is_loaded_from_the_store_and_stops_when_told() {
    let (store, digest, _dir) = store_with(hello()).await;
    let mut totals = Vec::new();
    for _ in 0..std::env::var("MUON_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap()) {
        // A process of its own, as far as that goes: it ends with its connections.
        let process = tokio::runtime::Runtime::new().unwrap();
        let runtime = process.spawn(serve(runtime())).await.unwrap();
        let agent = Agent::start(runtime.port(), &[]);
        let (before, began) = (agent.resident_kib(), Instant::now());
        let (status, body) = agent.call("POST", "/v1/load", &request(store, &digest, Some("pod-1"))).unwrap();
        totals.push((began.elapsed().as_micros(), body.clone()));
        let report: LoadReport = serde_json::from_str(&body).unwrap();
        assert!(status == 200 && !report.already, "{status} {body}");
        let code = agent._dir.path().join("userfunc/code/deployarchive/main.py");
        assert!(std::fs::read_to_string(code).unwrap().starts_with("def main"));
        println!("RSS {before} KiB at rest, {} KiB after a load", agent.resident_kib());
        agent.wait_until_ready();
        assert!(agent.call("GET", "/drain", "").is_some_and(|(status, _)| status == 200));
        assert!(agent.call("GET", "/readyz", "").is_some_and(|(status, _)| status == 503));
        process.shutdown_background();
        assert!(agent.terminate().success());
    }
    totals.sort_unstable();
    println!("load, µs, as the caller sees it: median {:?}, all {totals:?}", totals[totals.len() / 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_deployments_pod_becomes_ready_by_itself() {
    let (store, digest, _dir) = store_with(hello()).await;
    let runtime = serve(runtime()).await;
    let template = request(store, &digest, None);
    let agent = Agent::start(runtime.port(), &[("MUON_MODE", "deployment"), ("MUON_LOAD", &template)]);
    let (_, body) = agent.call("POST", "/v1/load", &request(store, &digest, Some("pod-1"))).unwrap();
    assert!(serde_json::from_str::<LoadReport>(&body).unwrap().already, "{body}");
}

#[test]
fn an_environment_it_cannot_start_with_is_told() {
    let out = Command::new(env!("CARGO_BIN_EXE_muon-agent")).env_clear().output().unwrap();
    assert!(!out.status.success());
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(said["error"], "MUON_PUBLIC_KEY is not set");
}

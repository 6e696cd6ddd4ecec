//! Gives an archive to a real agent: its own process, its own memory, its own disk, with the bounds that it has in a pod.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use muon_agent::unpack::Limits;
use muon_crds::names;
use muon_crds::wire::LoadRequest;
use muon_order::{Load, Order, Signer};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::case::{Case, Expected};

/// What an agent may have of the machine's memory, whatever the archive.
const MEMORY: u64 = 64 << 20;
/// Written beside the package: the record of the order, and the log.
const SMALL_CHANGE: u64 = 1 << 20;
/// Where archives that name an absolute path want to write.
pub const OUTSIDE: &str = "/tmp/muon-was-outside";

/// What one archive cost.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub resident: u64,
    pub written: u64,
    pub time: Duration,
}

/// The store and the runtime of all agents of one family.
pub struct World {
    port: u16,
    signer: Signer,
    blobs: Arc<Mutex<HashMap<String, Vec<u8>>>>,
}

impl World {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let blobs: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
        let served = blobs.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let blobs = served.clone();
                std::thread::spawn(move || answer(stream, &blobs));
            }
        });
        Self { port, signer: Signer::from_seed(&[7; 32]).unwrap(), blobs }
    }

    /// The agent does with the archive what it should, within its bounds, and says why.
    #[track_caller]
    pub fn check(&self, case: Case) -> Cost {
        let what = format!("{}: {}", case.family, case.name);
        let size = case.archive.len() as u64;
        let digest = names::digest(&case.archive);
        self.blobs.lock().unwrap().insert(digest.clone(), case.archive);
        let pod = Pod::new();
        let began = Instant::now();
        let mut agent = pod.start(self.port, &self.signer, &digest);
        let end = agent.end_of_load();
        let cost = Cost { time: began.elapsed(), ..agent.cost() };
        drop(agent);
        self.blobs.lock().unwrap().remove(&digest);

        let said = |key: &str| end.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        match case.expected {
            Expected::Refused(reason) => {
                assert_eq!((said("message"), said("reason")), ("not loaded".into(), reason.into()), "{what}: {end}");
                assert!(said("error").len() > 15, "{what}: {end}");
                assert_eq!(pod.code(), Vec::<PathBuf>::new(), "{what}: something is left of it");
            }
            Expected::Tamed => assert_eq!(said("message"), "loaded", "{what}: {end}"),
        }
        pod.assert_confined(&what);
        assert!(cost.resident <= MEMORY, "{what}: took {} bytes of memory", cost.resident);
        let Limits { bytes, ratio, ratio_from, .. } = Limits::default();
        let unpacked = bytes.min((ratio * (size + 1)).max(ratio_from));
        let bound = size + unpacked + SMALL_CHANGE;
        assert!(cost.written <= bound, "{what}: {} bytes were written, of {bound}", cost.written);
        cost
    }
}

/// The directories of a pod, with something around them that must not change.
struct Pod(tempfile::TempDir);

impl Pod {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["userfunc/code", "agent"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("secret"), "untouched").unwrap();
        Self(dir)
    }

    fn start(&self, port: u16, signer: &Signer, digest: &str) -> Agent {
        let order = Order::Load(Load {
            pod_uid: None,
            namespace: "default".into(),
            function_uid: "function-1".into(),
            revision: "r1".into(),
            digest: digest.into(),
            until: None,
        });
        let load = LoadRequest {
            order: signer.sign(&order),
            store: format!("http://127.0.0.1:{port}"),
            entrypoint: String::new(),
            function: "hostile".into(),
            namespace: "default".into(),
            timeout_ms: 300_000,
            env: Vec::new(),
            trace: None,
        };
        let child = Command::new(env!("CARGO_BIN_EXE_muon-agent"))
            .env_clear()
            .env("MUON_PUBLIC_KEY", signer.public())
            .env("MUON_POD_UID", "pod-1")
            .env("MUON_AGENT_PORT", "0")
            .env("MUON_RUNTIME_PORT", port.to_string())
            .env("MUON_MODE", "deployment")
            .env("MUON_LOAD", serde_json::to_string(&load).unwrap())
            .env("MUON_CODE_DIR", self.0.path().join("userfunc/code"))
            .env("MUON_AGENT_DIR", self.0.path().join("agent"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let limit = Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) };
        prlimit(Some(Pid::from_child(&child)), Resource::Data, limit).unwrap();
        Agent(child)
    }

    /// What lies in the code directory.
    fn code(&self) -> Vec<PathBuf> {
        let found = fs::read_dir(self.0.path().join("userfunc/code")).unwrap();
        found.map(|entry| entry.unwrap().path()).collect()
    }

    /// Nothing outside changed, and inside are plain files and directories with plain modes only.
    #[track_caller]
    fn assert_confined(&self, what: &str) {
        let root = self.0.path();
        let mut around: Vec<_> =
            fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        around.sort();
        assert_eq!(around, ["agent", "secret", "userfunc"], "{what}");
        assert_eq!(fs::read_dir(root.join("userfunc")).unwrap().count(), 1, "{what}");
        // The record of the order, which may just be written anew.
        for entry in fs::read_dir(root.join("agent")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name.starts_with("accepted.json"), "{what}: {name} is left");
        }
        assert_eq!(fs::read_to_string(root.join("secret")).unwrap(), "untouched", "{what}");
        assert!(!Path::new(OUTSIDE).exists(), "{what}");
        self.code().iter().for_each(|path| assert_plain(path, what));
    }
}

#[track_caller]
fn assert_plain(path: &Path, what: &str) {
    let metadata = path.symlink_metadata().unwrap();
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_dir() {
        assert_eq!(mode & 0o7000, 0, "{what}: {path:?} has mode {mode:o}");
        fs::read_dir(path).unwrap().for_each(|entry| assert_plain(&entry.unwrap().path(), what));
    } else {
        assert!(metadata.is_file(), "{what}: {path:?} is neither a file nor a directory");
        assert!([0o644, 0o755].contains(&mode), "{what}: {path:?} has mode {mode:o}");
    }
}

/// A running agent, ended when it goes.
struct Agent(Child);

impl Agent {
    /// The line of its log that says how the load ended.
    #[track_caller]
    fn end_of_load(&mut self) -> Value {
        let lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        let mut seen = Vec::new();
        for line in lines {
            let line = line.unwrap();
            let value: Value = serde_json::from_str(&line).unwrap_or_default();
            if matches!(value["message"].as_str(), Some("loaded" | "not loaded")) {
                return value;
            }
            seen.push(line);
        }
        panic!("the agent ended: {:?}: {seen:#?}", self.0.wait());
    }

    fn cost(&self) -> Cost {
        let proc = PathBuf::from(format!("/proc/{}", self.0.id()));
        let number = |file: &str, key: &str| {
            let text = fs::read_to_string(proc.join(file)).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.split_ascii_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        Cost { resident: number("status", "VmHWM:") * 1024, written: number("io", "wchar:"), time: Duration::ZERO }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One request: an archive of the store's, or whatever a runtime is asked.
fn answer(stream: TcpStream, blobs: &Mutex<HashMap<String, Vec<u8>>>) -> Option<()> {
    let mut reader = BufReader::new(&stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? <= 2 {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).ok()?;
    let path = first.split(' ').nth(1)?;
    let body = match path.strip_prefix("/v1/blobs/") {
        Some(digest) => blobs.lock().unwrap().get(digest)?.clone(),
        None => Vec::new(),
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    (&stream).write_all(head.as_bytes()).ok()?;
    (&stream).write_all(&body).ok()
}

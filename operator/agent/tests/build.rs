//! The two steps of a build's pod, as processes, against the real store.

// A file of tests only: its helpers may fail like the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use muon_crds::{names, words};
use muon_order::{Build, Order, Signer};
use muon_store::{Digest, Name, Settings, Store};

const NAMESPACE: &str = "demo";

struct Pod {
    store: Store,
    address: SocketAddr,
    source: String,
    key: String,
    dir: tempfile::TempDir,
}

fn signer() -> Signer {
    Signer::from_seed(&[9; 32]).unwrap()
}

fn name(digest: &str) -> Name {
    Name::new(NAMESPACE, Digest::parse(digest).unwrap()).unwrap()
}

impl Pod {
    /// With this source in the store.
    async fn new(source: Vec<u8>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::local(dir.path().join("store"), Settings::default()).await.unwrap();
        let digest = names::digest(&source);
        store.put(&name(&digest), source.into(), None).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, muon_store::router(store.clone(), signer().verifier())).into_future());
        std::fs::create_dir(dir.path().join("packages")).unwrap();
        Self { store, address, source: digest, key: names::digest(b"key"), dir }
    }

    fn packages(&self) -> std::path::PathBuf {
        self.dir.path().join("packages")
    }

    fn step(&self, mode: &str) -> Output {
        let order = Order::Build(Build {
            namespace: NAMESPACE.into(),
            key: self.key.clone(),
            source: self.source.clone(),
            until: u64::MAX,
        });
        let packages = self.packages();
        let process = Command::new(env!("CARGO_BIN_EXE_muon-agent"))
            .env_clear()
            .env("MUON_MODE", mode)
            .env("MUON_STORE", format!("http://{}", self.address))
            .env("MUON_ORDER", signer().sign(&order))
            .env("MUON_SOURCE", &self.source)
            .env("MUON_BUILD_KEY", &self.key)
            .env("SRC_PKG", packages.join("source"))
            .env("DEPLOY_PKG", packages.join("deploy"))
            .output();
        process.unwrap()
    }
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_becomes_a_result_that_the_store_remembers() {
    let pod = Pod::new(archive(&[("main.py", "x = 1\n"), ("lib/a.py", "")])).await;
    let packages = pod.packages();
    // Twice: kubelet may start a container anew.
    for _ in 0..2 {
        let fetched = pod.step("fetch");
        assert!(fetched.status.success(), "{}", said(&fetched));
    }
    assert_eq!(text(&packages.join("source/main.py")), "x = 1\n");
    assert_eq!(std::fs::read_dir(&packages).unwrap().count(), 1, "the builder finds its source and nothing else");

    // What a builder may do: change its source, and leave it as its result.
    std::fs::write(packages.join("source/built"), "yes").unwrap();
    std::fs::rename(packages.join("source"), packages.join("deploy")).unwrap();
    let uploaded = pod.step("upload");
    assert!(uploaded.status.success(), "{}", said(&uploaded));
    let result = pod.store.recall(&name(&pod.key)).await.unwrap();
    assert!(pod.store.size(&name(result.as_str())).await.unwrap() > 0);

    // Again, after the pod was lost: the same content is the same result.
    assert!(pod.step("upload").status.success());
    assert_eq!(pod.store.recall(&name(&pod.key)).await.unwrap(), result);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_fail_again_is_told_apart() {
    let plain = Pod::new(b"no archive".to_vec()).await;
    let refused = plain.step("fetch");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("one plain file"), "{}", said(&refused));

    let nothing = plain.step("upload");
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
    assert!(said(&nothing).contains("left nothing at"), "{}", said(&nothing));
    assert!(plain.store.recall(&name(&plain.key)).await.is_err());

    let away = Pod { address: ([127, 0, 0, 1], 1).into(), ..plain };
    let again = away.step("fetch");
    assert_eq!(again.status.code(), Some(words::EXIT_TRY_AGAIN), "{}", said(&again));
}

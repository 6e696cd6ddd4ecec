//! The store as its callers see it.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use muon_crds::names;
use muon_crds::wire::{Component, Failure};
use muon_crds::words::header::ORDER;
use muon_order::{Keep, Load, Order, Peer, Put, Signer};
use prometheus::Registry;
use tower::ServiceExt as _;

use super::*;

const DEMO: &str = "demo";
mod builds;

struct Service {
    dir: tempfile::TempDir,
    store: Store,
    router: Router,
}

fn signer() -> Signer {
    Signer::from_seed(&[5; 32]).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn put_order(digest: &str) -> String {
    signer().sign(&Order::Put(Put { namespace: DEMO.into(), digest: digest.into(), until: now() + 60 }))
}

fn load(digest: &str, until: Option<u64>) -> Order {
    Order::Load(Load {
        pod_uid: None,
        namespace: DEMO.into(),
        function_uid: "function-1".into(),
        revision: "r1".into(),
        digest: digest.into(),
        until,
    })
}

impl Service {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn bounded(limits: Limits) -> Self {
        Self::with(Settings { limits, ..Settings::default() }).await
    }

    async fn with(settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::local(dir.path(), settings).await.unwrap();
        let router = router(store.clone(), signer().verifier());
        Self { dir, store, router }
    }

    async fn call(&self, method: &str, digest: &str, order: Option<String>, body: Body) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(format!("/v1/blobs/{digest}"));
        if let Some(order) = order {
            request = request.header(ORDER, order);
        }
        self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap()
    }

    async fn put(&self, content: impl Into<Bytes>) -> (String, StatusCode) {
        let content = content.into();
        let digest = names::digest(&content);
        let status = self.call("PUT", &digest, Some(put_order(&digest)), Body::from(content)).await.status();
        (digest, status)
    }

    async fn get(&self, digest: &str) -> Response<Body> {
        self.call("GET", digest, Some(signer().sign(&load(digest, None))), Body::empty()).await
    }

    /// The file that holds a blob.
    fn file(&self, digest: &str) -> std::path::PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        self.dir.path().join("packages").join(DEMO).join(&hex[..2]).join(hex)
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.dir.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    directories.push(entry.path())
                } else {
                    found.push(entry.path())
                }
            }
        }
        found
    }
}

async fn content(response: Response<Body>) -> Bytes {
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body().collect().await.unwrap().to_bytes()
}

async fn reason(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let failure: Failure = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(failure.component, Component::Store);
    (status, failure.reason)
}

/// Bytes that no two places repeat.
fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[tokio::test]
async fn blobs_of_all_sizes_come_back_as_they_went_in() {
    let service = Service::new().await;
    for length in [0, 1, 1 << 20, (1 << 20) + 1, 5 << 20, (11 << 20) + 7] {
        let bytes = noise(length);
        let (digest, status) = service.put(bytes.clone()).await;
        assert_eq!(status, StatusCode::CREATED);
        assert_eq!(service.put(bytes.clone()).await.1, StatusCode::OK, "a second time");
        for _ in 0..2 {
            let answer = service.get(&digest).await;
            assert_eq!(answer.headers()["content-length"], length.to_string());
            assert!(content(answer).await == bytes, "{length}");
        }
        let head = service.call("HEAD", &digest, Some(put_order(&digest)), Body::empty()).await;
        assert_eq!(
            (head.status(), &head.headers()["content-length"]),
            (StatusCode::OK, &length.to_string().parse().unwrap())
        );
    }
    assert_eq!(service.files().len(), 6, "blobs only, no parts");
}

#[tokio::test]
async fn a_blob_outlives_the_process() {
    let service = Service::new().await;
    let (digest, _) = service.put("code").await;
    let store = Store::local(service.dir.path(), Settings::default()).await.unwrap();
    let name = Name::new(DEMO, Digest::parse(&digest).unwrap()).unwrap();
    let (size, body) = store.get(&name).await.unwrap();
    assert_eq!((size, body.collect().await.unwrap().to_bytes()), (4, "code".into()));
}

#[tokio::test]
async fn a_deleted_blob_is_gone_from_memory_too() {
    let service = Service::new().await;
    let (digest, _) = service.put("code").await;
    content(service.get(&digest).await).await;
    for _ in 0..2 {
        let answer = service.call("DELETE", &digest, Some(put_order(&digest)), Body::empty()).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }
    assert_eq!(reason(service.get(&digest).await).await, (404, "BlobMissing".into()));
    let head = service.call("HEAD", &digest, Some(put_order(&digest)), Body::empty()).await;
    assert_eq!(head.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_body_with_another_digest_is_refused_and_leaves_nothing() {
    let service = Service::new().await;
    for length in [10, 11 << 20] {
        let digest = names::digest(b"something else");
        let answer = service.call("PUT", &digest, Some(put_order(&digest)), Body::from(noise(length))).await;
        assert_eq!(reason(answer).await, (422, "DigestMismatch".into()));
        assert!(service.files().is_empty(), "{:?}", service.files());
    }
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused_said_or_not() {
    let service = Service::bounded(Limits { blob: 1000, ..Limits::default() }).await;
    assert_eq!(service.put(noise(1000)).await.1, StatusCode::CREATED);
    assert_eq!(service.put(noise(1001)).await.1, StatusCode::PAYLOAD_TOO_LARGE);
    let bytes = noise(1001);
    let digest = names::digest(&bytes);
    let mut request = Request::put(format!("/v1/blobs/{digest}")).header(ORDER, put_order(&digest));
    request = request.header("content-length", "99999");
    let answer = service.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(reason(answer).await, (413, "BlobTooLarge".into()));
    assert_eq!(service.files().len(), 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_or_stalls_leaves_nothing() {
    let service = Service::bounded(Limits { stall: std::time::Duration::from_millis(20), ..Limits::default() }).await;
    let digest = names::digest(b"never whole");
    let chunk = || Ok::<_, std::io::Error>(Bytes::from(noise(6 << 20)));
    let broken = Body::from_stream(stream::iter([chunk(), Err(std::io::Error::other("gone"))]));
    let answer = service.call("PUT", &digest, Some(put_order(&digest)), broken).await;
    assert_eq!(reason(answer).await, (400, "BodyBroken".into()));
    let stalled = Body::from_stream(futures::StreamExt::chain(stream::iter([chunk()]), stream::pending()));
    let answer = service.call("PUT", &digest, Some(put_order(&digest)), stalled).await;
    assert_eq!(reason(answer).await, (408, "BodyStalled".into()));
    assert!(service.files().is_empty(), "{:?}", service.files());
}

#[tokio::test]
async fn more_uploads_than_the_bound_are_told_to_come_back() {
    let turn = std::time::Duration::from_millis(20);
    let service = Service::bounded(Limits { uploads: 1, turn, ..Limits::default() }).await;
    let first = service.store.upload_turn().await.unwrap();
    let digest = names::digest(b"x");
    let answer = service.call("PUT", &digest, Some(put_order(&digest)), Body::from("x")).await;
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(reason(answer).await, (503, "Busy".into()));
    drop(first);
    assert_eq!(service.put("x").await.1, StatusCode::CREATED);
}

#[tokio::test]
async fn a_damaged_small_blob_is_told_set_aside_and_healed_by_an_upload() {
    let service = Service::new().await;
    let (digest, _) = service.put("code").await;
    std::fs::write(service.file(&digest), "c0de").unwrap();
    assert_eq!(content(service.get(&digest).await).await, "code", "what is in memory was verified");
    // Another process reads it from the disk.
    let store = Store::local(service.dir.path(), Settings::default()).await.unwrap();
    let other = Service { router: router(store.clone(), signer().verifier()), store, ..service };
    assert_eq!(reason(other.get(&digest).await).await, (500, "BlobCorrupt".into()));
    assert_eq!(reason(other.get(&digest).await).await, (404, "BlobMissing".into()));
    assert!(other.dir.path().join("quarantine").join(DEMO).join(&digest[7..]).exists());
    assert_eq!(other.put("code").await.1, StatusCode::CREATED);
    assert_eq!(content(other.get(&digest).await).await, "code");
}

#[tokio::test]
async fn a_damaged_large_blob_is_never_answered_whole() {
    let service = Service::new().await;
    let mut bytes = noise(3 << 20);
    let (digest, _) = service.put(bytes.clone()).await;
    bytes[7] ^= 1;
    std::fs::write(service.file(&digest), &bytes).unwrap();
    let mut body = service.get(&digest).await.into_body();
    let mut received = 0;
    let error = loop {
        match body.frame().await.expect("it must not end well") {
            Ok(frame) => received += frame.into_data().unwrap().len(),
            Err(error) => break error,
        }
    };
    assert!(received < bytes.len() && error.to_string().contains("damaged"), "{received} {error}");
    assert_eq!(service.get(&digest).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(service.store.metrics.corrupt.get(), 1);
}

#[tokio::test]
async fn an_upload_heals_what_nobody_has_found_damaged_yet() {
    let service = Service::new().await;
    let bytes = noise(2 << 20);
    let (digest, _) = service.put(bytes.clone()).await;
    std::fs::write(service.file(&digest), &bytes[..100]).unwrap();
    assert_eq!(service.put(bytes.clone()).await.1, StatusCode::CREATED);
    assert!(content(service.get(&digest).await).await == bytes);
}

#[tokio::test]
async fn nothing_is_done_without_the_right_order() {
    let service = Service::new().await;
    let (digest, _) = service.put("code").await;
    let other = names::digest(b"other");
    let put = |namespace: &str, until| Order::Put(Put { namespace: namespace.into(), digest: digest.clone(), until });
    let forged = Signer::from_seed(&[6; 32]).unwrap().sign(&put(DEMO, now() + 60));
    let expired = signer().sign(&put(DEMO, now() - 60));
    let nowhere = signer().sign(&put("../demo", now() + 60));
    let keep = signer().sign(&Order::Keep(Keep { body: digest.clone(), until: now() + 60 }));
    let peer = signer().sign(&Order::Peer(Peer { from: "proxy".into(), until: now() + 60 }));
    let stale = signer().sign(&load(&digest, Some(now() - 60)));
    let refused = |order: Option<String>, status: u16| (order, status);
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        for (order, expected) in [
            refused(None, 401),
            refused(Some("nonsense".into()), 401),
            refused(Some(forged.clone()), 401),
            refused(Some(expired.clone()), 401),
            refused(Some(stale.clone()), 401),
            refused(Some(nowhere.clone()), 400),
            refused(Some(keep.clone()), 403),
            refused(Some(peer.clone()), 403),
            refused(Some(put_order(&other)), 403),
            refused(Some(signer().sign(&load(&other, None))), 403),
        ] {
            let answer = service.call(method, &digest, order.clone(), Body::from("code")).await;
            assert_eq!(answer.status().as_u16(), expected, "{method} {order:?}");
        }
    }
    for method in ["PUT", "DELETE"] {
        let answer = service.call(method, &digest, Some(signer().sign(&load(&digest, None))), Body::from("code")).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "an order to load does not allow to {method}");
    }
    assert_eq!(content(service.get(&digest).await).await, "code");
}

#[tokio::test]
async fn names_that_are_no_digest_are_refused() {
    let service = Service::new().await;
    let upper = names::digest(b"x").to_uppercase();
    for name in ["sha256:abc", "..%2f..%2fetc%2fpasswd", "sha512:00", &upper, &format!("{}0", names::digest(b"x"))] {
        let answer = service.call("GET", name, Some(put_order(name)), Body::empty()).await;
        assert_eq!(reason(answer).await, (400, "DigestInvalid".into()), "{name}");
    }
    let answer = service.router.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(reason(answer).await, (404, "NotFound".into()));
    let answer = service.call("PATCH", &names::digest(b"x"), None, Body::empty()).await;
    assert_eq!(reason(answer).await, (405, "MethodNotAllowed".into()));
}

#[tokio::test]
async fn readiness_is_what_the_storage_does() {
    let service = Service::new().await;
    service.store.ready().await.unwrap();
    std::fs::remove_dir_all(service.dir.path()).unwrap();
    std::fs::write(service.dir.path(), "a file where the directory was").unwrap();
    assert!(service.store.ready().await.is_err());
    std::fs::remove_file(service.dir.path()).unwrap();
}

#[tokio::test]
async fn calls_are_counted() {
    let service = Service::new().await;
    let registry = Registry::new();
    service.store.register(&registry).unwrap();
    let (digest, _) = service.put("code").await;
    content(service.get(&digest).await).await;
    service.get(&names::digest(b"missing")).await;
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        "muon_store_requests_total{method=\"put\",status=\"201\"} 1",
        "muon_store_requests_total{method=\"get\",status=\"404\"} 1",
        "muon_store_bytes_total{direction=\"in\"} 4",
        "muon_store_bytes_total{direction=\"out\"} 4",
        "muon_store_cache_total{result=\"hit\"} 1",
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
}

mod keeping;
mod s3;

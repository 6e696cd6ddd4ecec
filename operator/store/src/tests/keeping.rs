//! Whose blobs are whose, how many they may be, and what becomes of those that nobody needs or that are lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muon_crds::wire::{Lost, LostReply, SweepReply, SweepRequest};

use super::*;

impl Service {
    async fn keep(&self, path: &str, body: Vec<u8>) -> Bytes {
        let order = signer().sign(&Order::Keep(Keep { body: names::digest(&body), until: now() + 60 }));
        let answer = self.post(path, order, body).await;
        content(answer).await
    }

    async fn post(&self, path: &str, order: String, body: Vec<u8>) -> Response<Body> {
        let request = Request::post(path).header(ORDER, order).body(Body::from(body)).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn sweep(&self, live: &[&str]) -> SweepReply {
        let live = BTreeMap::from([(DEMO.to_owned(), live.iter().map(|digest| (*digest).to_owned()).collect())]);
        let reply = self.keep("/v1/sweep", serde_json::to_vec(&SweepRequest { live }).unwrap()).await;
        serde_json::from_slice(&reply).unwrap()
    }

    async fn lost(&self) -> Vec<Lost> {
        serde_json::from_slice::<LostReply>(&self.keep("/v1/lost", Vec::new()).await).unwrap().lost
    }
}

fn sweeping(grace: Duration, dry: bool) -> Settings {
    Settings { sweeping: Sweeping { grace, dry }, ..Settings::default() }
}

fn lost(digest: &str, damaged: bool) -> Lost {
    Lost { namespace: DEMO.into(), digest: digest.into(), damaged }
}

fn order_of(namespace: &str, digest: &str) -> String {
    signer().sign(&Order::Put(Put { namespace: namespace.into(), digest: digest.into(), until: now() + 60 }))
}

#[tokio::test]
async fn a_namespace_cannot_tell_what_another_has() {
    let service = Service::new().await;
    let (digest, _) = service.put("code").await;
    content(service.get(&digest).await).await;
    for method in ["GET", "HEAD"] {
        let answer = service.call(method, &digest, Some(order_of("other", &digest)), Body::empty()).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
    let answer = service.call("PUT", &digest, Some(order_of("other", &digest)), Body::from("c0de")).await;
    assert_eq!(reason(answer).await, (422, "DigestMismatch".into()), "knowing a digest is not having the content");
    let answer = service.call("PUT", &digest, Some(order_of("other", &digest)), Body::from("code")).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let answer = service.call("DELETE", &digest, Some(order_of("other", &digest)), Body::empty()).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(content(service.get(&digest).await).await, "code");
}

#[tokio::test]
async fn what_is_not_in_use_goes_and_what_is_in_use_and_not_here_is_told() {
    let service = Service::with(sweeping(Duration::ZERO, false)).await;
    let (used, _) = service.put("used").await;
    let (unused, _) = service.put("unused").await;
    let absent = names::digest(b"absent");
    let reply = service.sweep(&[&used, &absent]).await;
    let missing = BTreeMap::from([(DEMO.to_owned(), BTreeSet::from([absent]))]);
    assert_eq!(reply, SweepReply { swept: 1, swept_bytes: 6, waiting: 0, missing });
    assert_eq!(reason(service.get(&unused).await).await, (404, "BlobMissing".into()));
    assert_eq!(content(service.get(&used).await).await, "used");
    assert_eq!(service.files().len(), 1);
    assert_eq!((service.store.metrics.swept.get(), service.store.metrics.blobs.get()), (1, 1));
    assert_eq!(service.put("unused").await.1, StatusCode::CREATED);
}

#[tokio::test]
async fn what_came_or_was_asked_for_lately_stays_also_after_a_restart() {
    let service = Service::with(sweeping(Duration::from_secs(3600), false)).await;
    service.put("code").await;
    assert_eq!((service.sweep(&[]).await.waiting, service.files().len()), (1, 1));
    let store = Store::local(service.dir.path(), sweeping(Duration::from_secs(3600), false)).await.unwrap();
    let reply = store.sweep(&SweepRequest::default()).await.unwrap();
    assert_eq!((reply.swept, reply.waiting, service.files().len()), (0, 1, 1));
}

#[tokio::test]
async fn a_dry_run_only_counts() {
    let service = Service::with(sweeping(Duration::ZERO, true)).await;
    let (digest, _) = service.put("code").await;
    assert_eq!(service.sweep(&[]).await.swept, 1);
    assert_eq!(content(service.get(&digest).await).await, "code");
    assert_eq!((service.store.metrics.swept.get(), service.store.metrics.unused.get()), (0, 1));
}

#[tokio::test]
async fn a_sweep_is_bound_to_what_the_operator_signed() {
    let service = Service::with(sweeping(Duration::ZERO, false)).await;
    let (digest, _) = service.put("code").await;
    let body = serde_json::to_vec(&SweepRequest::default()).unwrap();
    let other = signer().sign(&Order::Keep(Keep { body: names::digest(b"other"), until: now() + 60 }));
    for order in [other, put_order(&digest), put_order(&names::digest(&body))] {
        let answer = service.post("/v1/sweep", order.clone(), body.clone()).await;
        assert_eq!(reason(answer).await, (403, "OrderRefused".into()));
        let answer = service.post("/v1/lost", order, Vec::new()).await;
        assert_eq!(reason(answer).await, (403, "OrderRefused".into()));
    }
    assert_eq!(content(service.get(&digest).await).await, "code");
}

#[tokio::test]
async fn a_namespace_stores_what_its_quota_allows_said_or_not() {
    let quotas = Quotas { each: Some(1000), of: BTreeMap::from([("large".to_owned(), 5000)]) };
    let service = Service::with(Settings { quotas, ..Settings::default() }).await;
    let (first, status) = service.put(noise(900)).await;
    assert_eq!(status, StatusCode::CREATED);
    let more = noise(101);
    let digest = names::digest(&more);
    let answer = service.call("PUT", &digest, Some(put_order(&digest)), Body::from(more.clone())).await;
    assert_eq!(reason(answer).await, (507, "QuotaExceeded".into()), "the length is not said, but counted");
    let request = Request::put(format!("/v1/blobs/{digest}")).header(ORDER, put_order(&digest));
    let request = request.header("content-length", "101").body(Body::empty()).unwrap();
    let answer = service.router.clone().oneshot(request).await.unwrap();
    assert_eq!(reason(answer).await, (507, "QuotaExceeded".into()));
    assert_eq!(service.store.metrics.over_quota.get(), 2);
    let answer = service.call("PUT", &digest, Some(order_of("large", &digest)), Body::from(more.clone())).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    // Counted anew by a process that finds it.
    let quotas = Quotas { each: Some(1000), of: BTreeMap::new() };
    let store = Store::local(service.dir.path(), Settings { quotas, ..Settings::default() }).await.unwrap();
    let again = Service { router: router(store.clone(), signer().verifier()), store, ..service };
    assert_eq!(again.put(more.clone()).await.1, StatusCode::INSUFFICIENT_STORAGE);
    again.call("DELETE", &first, Some(put_order(&first)), Body::empty()).await;
    assert_eq!(again.put(more).await.1, StatusCode::CREATED);
}

#[tokio::test]
async fn what_a_pod_did_not_get_is_told_once() {
    let service = Service::new().await;
    let (digest, _) = service.put(noise(2 << 20)).await;
    std::fs::write(service.file(&digest), "rot").unwrap();
    assert_eq!(service.get(&digest).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(service.lost().await, [lost(&digest, true)]);
    assert_eq!(service.get(&digest).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(service.lost().await, [lost(&digest, false)]);
    let head = service.call("HEAD", &digest, Some(put_order(&digest)), Body::empty()).await;
    assert_eq!(head.status(), StatusCode::NOT_FOUND);
    assert!(service.lost().await.is_empty(), "the operator's own question is no loss");
}

#[tokio::test]
async fn a_file_that_is_gone_is_missing_though_it_was_counted() {
    let service = Service::new().await;
    let (digest, _) = service.put(noise(2 << 20)).await;
    std::fs::remove_file(service.file(&digest)).unwrap();
    assert_eq!(service.get(&digest).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(service.lost().await, [lost(&digest, false)]);
    assert_eq!(service.put(noise(2 << 20)).await.1, StatusCode::CREATED);
}

#[tokio::test]
async fn rot_is_found_before_anybody_asks() {
    let service = Service::new().await;
    let (digest, _) = service.put("code").await;
    std::fs::write(service.file(&digest), "rot").unwrap();
    service.store.scrub().await;
    assert_eq!(service.lost().await, [lost(&digest, true)]);
    assert_eq!(service.get(&digest).await.status(), StatusCode::NOT_FOUND);
    service.sweep(&[]).await;
    assert!(service.files().is_empty(), "what was set aside goes with a sweep");
}

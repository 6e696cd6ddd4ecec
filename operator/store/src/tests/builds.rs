//! What a build's order allows, and what the store remembers of builds.

use muon_order::Build;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muon_crds::wire::SweepRequest;

use super::*;

fn order(key: &str, source: &str, seconds: i64) -> String {
    let until = now().saturating_add_signed(seconds);
    let namespace = DEMO.to_owned();
    signer().sign(&Order::Build(Build { namespace, key: key.into(), source: source.into(), until }))
}

async fn build(service: &Service, method: &str, key: &str, order: &str, body: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(format!("/v1/builds/{key}")).header(ORDER, order);
    service.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_build_reads_its_source_and_is_remembered_by_its_key() {
    let service = Service::new().await;
    let (source, _) = service.put("the source").await;
    let (key, result) = (names::digest(b"key"), names::digest(b"the result"));
    let order = order(&key, &source, 60);
    assert_eq!(content(service.call("GET", &source, Some(order.clone()), Body::empty()).await).await, "the source");
    assert_eq!(reason(build(&service, "GET", &key, &order, "").await).await, (404, "BlobMissing".into()));
    // Nothing is remembered of a result that is not there.
    assert_eq!(reason(build(&service, "PUT", &key, &order, &result).await).await, (404, "BlobMissing".into()));
    let written = service.call("PUT", &result, Some(order.clone()), Body::from("the result")).await;
    assert_eq!(written.status(), StatusCode::CREATED);
    assert_eq!(build(&service, "PUT", &key, &order, &result).await.status(), StatusCode::CREATED);
    assert_eq!(content(build(&service, "GET", &key, &order, "").await).await, result);
    // The operator asks with an order of its own.
    assert_eq!(content(build(&service, "GET", &key, &put_order(&key), "").await).await, result);
}

#[tokio::test]
async fn a_build_can_do_nothing_else() {
    let service = Service::new().await;
    let (source, _) = service.put("the source").await;
    let (other, _) = service.put("somebody's").await;
    let (key, another) = (names::digest(b"key"), names::digest(b"another"));
    let order_of = |seconds| order(&key, &source, seconds);
    for (method, digest) in [("GET", &other), ("DELETE", &source)] {
        let refused = service.call(method, digest, Some(order_of(60)), Body::empty()).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{method}");
    }
    assert_eq!(build(&service, "PUT", &another, &order_of(60), &source).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(build(&service, "PUT", &key, &order_of(60), "no digest").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(build(&service, "PUT", &key, &order_of(-60), &source).await.status(), StatusCode::UNAUTHORIZED);
    let load = signer().sign(&load(&key, None));
    assert_eq!(build(&service, "GET", &key, &load, "").await.status(), StatusCode::FORBIDDEN);
    let lying = service.call("PUT", &another, Some(order_of(60)), Body::from("something else")).await;
    assert_eq!(lying.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

/// A store that deletes at once what is out of use, and two builds in it: their keys and results.
async fn two_builds(dry: bool) -> (Service, [(String, String); 2]) {
    let sweeping = Sweeping { grace: Duration::ZERO, dry };
    let service = Service::with(Settings { sweeping, ..Settings::default() }).await;
    let mut made = Vec::new();
    for name in ["one", "two"] {
        let (result, _) = service.put(name).await;
        let key = names::digest(format!("key of {name}").as_bytes());
        let written = build(&service, "PUT", &key, &put_order(&key), &result).await;
        assert_eq!(written.status(), StatusCode::CREATED);
        made.push((key, result));
    }
    (service, made.try_into().unwrap())
}

impl Service {
    /// One sweep and what follows it, with this result alone in use; tells how many builds were forgotten.
    async fn swept_but(&self, live: &str) -> u64 {
        let live = BTreeMap::from([(DEMO.to_owned(), BTreeSet::from([live.to_owned()]))]);
        self.store.sweep(&SweepRequest { live }).await.unwrap();
        self.store.forget_builds().await.unwrap()
    }

    fn entry(&self, key: &str) -> std::path::PathBuf {
        self.dir.path().join("builds").join(DEMO).join(key.strip_prefix("sha256:").unwrap())
    }
}

#[tokio::test]
async fn a_build_is_remembered_as_long_as_its_result_is_here() {
    let (service, [(one, kept), (two, lost)]) = two_builds(false).await;
    assert_eq!(service.swept_but(&kept).await, 1);
    assert_eq!(content(build(&service, "GET", &one, &put_order(&one), "").await).await, kept);
    assert_eq!(reason(build(&service, "GET", &two, &put_order(&two), "").await).await, (404, "BlobMissing".into()));
    assert!(service.entry(&one).exists() && !service.entry(&two).exists());
    assert_eq!((service.store.metrics.builds.get(), service.store.metrics.forgotten.get()), (1, 1));
    // Built once more, it is remembered once more.
    assert_eq!(service.put("two").await, (lost.clone(), StatusCode::CREATED));
    assert_eq!(build(&service, "PUT", &two, &put_order(&two), &lost).await.status(), StatusCode::CREATED);
    assert_eq!(service.store.forget_builds().await.unwrap(), 0);
    // A process that finds them knows what they say as well; one that says nothing readable is worth nothing.
    std::fs::write(service.entry(&one), "no digest").unwrap();
    let store = Store::local(service.dir.path(), Settings::default()).await.unwrap();
    assert_eq!(store.forget_builds().await.unwrap(), 1);
    assert!(!service.entry(&one).exists() && service.entry(&two).exists());
}

#[tokio::test]
async fn running_dry_every_build_is_remembered() {
    let (service, [(one, kept), (two, result)]) = two_builds(true).await;
    assert_eq!(service.swept_but(&kept).await, 0, "nothing went, so nothing is forgotten");
    std::fs::remove_file(service.file(&result)).unwrap();
    assert_eq!(service.get(&result).await.status(), StatusCode::OK, "it is in memory still");
    service.store.scrub().await;
    assert_eq!(service.store.forget_builds().await.unwrap(), 1);
    assert!(service.entry(&one).exists() && service.entry(&two).exists());
}

//! What a build's order allows, and what the store remembers of builds.

use muon_order::Build;

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

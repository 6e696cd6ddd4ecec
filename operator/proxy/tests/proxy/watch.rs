//! What the watches tell takes effect at once, and what they do not tell stays.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{Empty, Full};
use muon_crds::wire::Activity;
use muon_order::{Order, Signer};
use muon_proxy::Change;
use muon_routes::Event;
use serde_json::json;

use crate::cluster::{Cluster, call, get, object, until};

#[tokio::test]
async fn a_new_revision_is_never_answered_by_an_old_pod() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    let old = cluster.free_pod("old-1").await;
    let slow = tokio::spawn(call(node.functions, get("hello.demo", "/slow")));
    until("one is inside the old pod", || old.slow.load(Ordering::SeqCst) == 1).await;
    cluster.free_pod("new-1").await;
    cluster.function("hello", json!({"revision": "r2"}));
    let before = old.requests.load(Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "new-1");
    }
    assert_eq!(old.requests.load(Ordering::SeqCst), before);
    let in_old = node.proxy.activity().pods.iter().find(|pod| pod.uid == "uid-old-1").map(|pod| pod.in_flight);
    assert_eq!(in_old, Some(1), "what is in flight in an old pod must be told");
    old.slow_gate.add_permits(1);
    assert_eq!(slow.await.unwrap().body, "old-1");
}

#[tokio::test]
async fn requests_that_wait_for_an_old_revision_get_the_new_one() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    let waiting = tokio::spawn(call(node.functions, get("hello.demo", "/")));
    until("the pool was found dry", || node.counted("muon_proxy_events_total", "pool_dry") > 0.0).await;
    cluster.function("hello", json!({"revision": "r2", "environment": "test"}));
    cluster.free_pod("next-1").await;
    assert_eq!(waiting.await.unwrap().body, "next-1");
    assert!(cluster.claims.lock().unwrap().iter().all(|claim| claim.revision == "r2"));
}

#[tokio::test]
async fn a_draining_pod_gets_nothing_more() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    cluster.own_pod("drain-1", "hello", "r1").await;
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "drain-1");
    let version = cluster.label_pod("drain-1", json!({"muon.dev/state": "draining"}));
    assert!(node.proxy.activity().seen.pods >= version);
    cluster.own_pod("drain-2", "hello", "r1").await;
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "drain-2");
}

#[tokio::test]
async fn labels_and_weights_move_traffic() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    for (name, label) in [("v1", "greeter"), ("v2", "other")] {
        cluster.function_with(name, json!({"labels": {"app": label}}), json!({}));
        cluster.own_pod(&format!("pod-{name}"), name, "r1").await;
    }
    cluster.trigger(
        "greet",
        json!({"host": "a.example", "path": "/greet", "function": {"selector": {"matchLabels": {"app": "greeter"}}}}),
    );
    let pod = || async { call(node.gateway, get("a.example", "/greet")).await.body };
    assert_eq!(pod().await, "pod-v1");
    cluster.function_with("v2", json!({"labels": {"app": "greeter"}}), json!({}));
    cluster.function_with(
        "v1",
        json!({"labels": {"app": "greeter"}, "annotations": {"muon.dev/weight": "0"}}),
        json!({}),
    );
    for _ in 0..10 {
        assert_eq!(pod().await, "pod-v2");
    }
    cluster.function_with("v2", json!({"labels": {"app": "gone"}}), json!({}));
    let answer = call(node.gateway, get("a.example", "/greet")).await;
    assert_eq!((answer.status, answer.failure().reason.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "NoWeight"));
}

#[tokio::test]
async fn each_listener_serves_its_own() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    cluster.own_pod("listen-1", "hello", "r1").await;
    cluster.trigger("inside", json!({"path": "/inside", "function": {"name": "hello"}}));
    cluster.trigger("outside", json!({"host": "a.example", "path": "/outside", "methods": ["GET"], "function": {"name": "hello"}, "ingress": {}}));
    let status = |address, host: &'static str, path: &'static str| async move {
        call(address, get(host, path)).await.status.as_u16()
    };
    for (address, host, path, expected) in [
        (node.ingress, "a.example", "/outside", 200),
        (node.ingress, "a.example", "/inside", 404),
        (node.ingress, "muon-gateway.demo", "/inside", 404),
        (node.ingress, "hello.demo", "/", 404),
        (node.gateway, "muon-gateway.demo", "/inside", 200),
        (node.gateway, "muon-gateway.demo.svc.cluster.local", "/inside", 200),
        (node.gateway, "muon-gateway.other", "/inside", 404),
        (node.gateway, "a.example", "/outside", 200),
        (node.gateway, "hello.demo", "/", 404),
        (node.functions, "hello.demo", "/anything", 200),
        (node.functions, "hello", "/", 421),
        (node.functions, "nobody.demo", "/", 404),
        (node.functions, "hello.demo", "/a/../b", 400),
        (node.functions, "hello.demo", "/a%2fb", 400),
    ] {
        assert_eq!(status(address, host, path).await, expected, "{host}{path}");
    }
    let post = Request::post("/outside").header("host", "a.example").body(Full::default()).unwrap();
    let answer = call(node.ingress, post).await;
    assert_eq!((answer.status, answer.headers["allow"].as_bytes()), (StatusCode::METHOD_NOT_ALLOWED, &b"GET"[..]));
    let forwarded = Request::get("/")
        .header("host", "hello.demo")
        .header("x-forwarded-for", "1.1.1.1")
        .body(Full::default())
        .unwrap();
    assert_eq!(call(node.functions, forwarded).await.failure().reason, "Forwarded");
}

#[tokio::test]
async fn a_relist_forgets_what_it_does_not_name() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    cluster.own_pod("relist-1", "hello", "r1").await;
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.status, StatusCode::OK);
    node.proxy.apply([Change::Function(Event::Relist), Change::Function(Event::Listed)]);
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_proxy_is_ready_when_all_lists_were_complete() {
    let signer = Signer::from_seed(&[7; 32]).unwrap();
    struct Never;
    impl muon_proxy::Claimer for Never {
        fn claim(
            &self,
            _: muon_proxy::ClaimRequest,
        ) -> futures::future::BoxFuture<'_, Result<muon_proxy::Claim, muon_proxy::ClaimError>> {
            Box::pin(std::future::pending())
        }

        fn reserve(
            &self,
            _: muon_proxy::ReserveRequest,
        ) -> futures::future::BoxFuture<'_, Result<muon_proxy::Claim, muon_proxy::ClaimError>> {
            Box::pin(std::future::pending())
        }
    }
    let proxy = muon_proxy::Proxy::new(
        crate::cluster::config("proxy-a"),
        signer,
        std::sync::Arc::new(Never),
        &prometheus::Registry::new(),
    )
    .unwrap();
    proxy.apply([Change::Pod(Event::Listed), Change::Function(Event::Listed)]);
    assert!(!proxy.ready());
    proxy.apply([Change::Trigger(Event::Listed)]);
    assert!(proxy.ready());
}

#[tokio::test]
async fn the_operator_waits_for_a_watermark() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    let peer = std::net::SocketAddr::new(node.peer.ip, node.peer.port.unwrap());
    let order = |signer: u8| {
        let order = Order::Peer(muon_order::Peer { from: "operator".into(), until: u64::MAX });
        Signer::from_seed(&[signer; 32]).unwrap().sign(&order)
    };
    let ask = |seen: u64, wait: u64, key: u8| {
        let uri = format!("/v1/activity?seen={seen}&wait_ms={wait}");
        let request = Request::get(uri)
            .header("host", "peer")
            .header("muon-order", order(key))
            .body(Empty::<Bytes>::new())
            .unwrap();
        async move { crate::cluster::read(crate::cluster::try_send(peer, request).await.unwrap()).await }
    };
    let now: Activity = serde_json::from_str(&ask(0, 0, 7).await.body).unwrap();
    let waiting = tokio::spawn(ask(now.seq, 20_000, 7));
    let version = cluster.function("hello", json!({}));
    let then: Activity = serde_json::from_str(&waiting.await.unwrap().body).unwrap();
    assert!(then.seen.functions >= version && then.seq > now.seq);
    assert_eq!(ask(0, 0, 8).await.status, StatusCode::FORBIDDEN);
    let load = Order::Put(muon_order::Put { namespace: "default".into(), digest: "sha256:00".into(), until: u64::MAX });
    let token = Signer::from_seed(&[7; 32]).unwrap().sign(&load);
    let request = get("peer", "/v1/activity");
    let (mut parts, body) = request.into_parts();
    parts.headers.insert("muon-order", token.parse().unwrap());
    assert_eq!(call(peer, Request::from_parts(parts, body)).await.failure().reason, "OrderRefused");
}

#[tokio::test]
async fn an_older_event_does_not_undo_a_claim() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    cluster.tell_claims.store(false, Ordering::SeqCst);
    let pod = cluster.free_pod("undo-1").await;
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "undo-1");
    // An event of the time before the claim, still on its way.
    let stale = json!({
        "metadata": {"name": "undo-1", "namespace": "demo", "uid": "uid-undo-1", "resourceVersion": "1",
            "labels": {"muon.dev/environment": "test", "muon.dev/state": "free"}},
        "status": {"podIP": pod.ip.to_string(), "conditions": [{"type": "Ready", "status": "True"}]},
    });
    node.proxy.apply([Change::Pod(Event::Apply(object(&stale)))]);
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.headers["muon-start"], "warm");
    assert_eq!(cluster.claims(), 1);
}

//! Pods that go while requests come, and proxies that go while requests are in pods.
//!
//! What would only go on after a wait does not go on at all here: the waits are set to an hour.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use muon_crds::wire::Activity;
use muon_order::{Order, Signer};
use muon_proxy::{Change, Config};
use muon_routes::Event;
use serde_json::json;

use crate::cluster::{Cluster, Node, call, config, get, object, read, try_send, until};

const HOUR: Duration = Duration::from_secs(3600);

/// A proxy that tries nothing again just because time has passed.
fn never_again(name: &str) -> Config {
    Config { patience: HOUR, ejection: HOUR, ..config(name) }
}

/// What the operator is told.
async fn told(node: &Node) -> Activity {
    let order = Order::Peer(muon_order::Peer { from: "operator".into(), until: u64::MAX });
    let request = Request::get("/v1/activity?seen=0&wait_ms=0")
        .header("host", "peer")
        .header("muon-order", Signer::from_seed(&[7; 32]).unwrap().sign(&order))
        .body(Empty::<Bytes>::new())
        .unwrap();
    let peer = SocketAddr::new(node.peer.ip, node.peer.port.unwrap());
    serde_json::from_str(&read(try_send(peer, request).await.unwrap()).await.body).unwrap()
}

#[tokio::test]
async fn a_proxy_that_shuts_down_tells_what_is_in_flight_to_the_end() {
    let cluster = Cluster::new();
    let mut node = cluster.proxy_with(Config { drain_timeout: HOUR, ..config("proxy-a") }).await;
    cluster.function("hello", json!({}));
    let pod = cluster.own_pod("stays-1", "hello", "r1").await;
    let request = tokio::spawn(call(node.functions, get("hello.demo", "/slow")));
    until("it is inside", || pod.slow.load(Ordering::SeqCst) == 1).await;
    node.stop();
    let mut refused = false;
    while !refused {
        refused = tokio::net::TcpStream::connect(node.functions).await.is_err();
    }
    let in_pod = |activity: Activity| activity.pods.iter().map(|pod| pod.in_flight).sum::<u32>();
    assert_eq!(in_pod(told(&node).await), 1, "no client gets in any more, and the operator still does");
    pod.slow_gate.add_permits(1);
    assert_eq!(request.await.unwrap().status, StatusCode::OK);
    node.serving.await.unwrap();
}

#[tokio::test]
async fn a_request_that_meets_a_draining_pod_takes_a_free_one_at_once() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(never_again("proxy-a")).await;
    cluster.function("hello", json!({"max": 1}));
    for round in 0..20 {
        let pod = cluster.free_pod(&format!("round-{round}")).await;
        assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, pod.name);
        cluster.label_pod(&pod.name, json!({"muon.dev/state": "draining"}));
    }
    assert_eq!(cluster.claims(), 20);
}

#[tokio::test]
async fn requests_that_race_the_draining_of_their_pod_are_all_answered() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(never_again("proxy-a")).await;
    cluster.function("hello", json!({"max": 1}));
    let mut last = cluster.free_pod("race-0").await;
    for round in 1..200 {
        let next = cluster.free_pod(&format!("race-{round}")).await;
        let requests: Vec<_> = (0..3).map(|_| tokio::spawn(call(node.functions, get("hello.demo", "/")))).collect();
        // Somewhere between the first of them and the last.
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
        }
        cluster.label_pod(&last.name, json!({"muon.dev/state": "draining"}));
        for request in requests {
            let answer = request.await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        }
        last = next;
    }
}

#[tokio::test]
async fn a_pod_that_is_gone_before_anybody_says_so_is_replaced_by_a_free_one_at_once() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(never_again("proxy-a")).await;
    cluster.function("hello", json!({"max": 2}));
    let gone = cluster.free_pod("gone-1").await;
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "gone-1");
    cluster.free_pod("gone-2").await;
    gone.kill();
    assert_eq!(call(node.functions, get("hello.demo", "/close")).await.body, "gone-2");
}

/// The home proxy may hear of it later than the one that asks.
#[tokio::test]
async fn a_home_proxy_that_still_believes_in_a_draining_pod_gives_a_free_one_once_it_knows() {
    let cluster = Cluster::new();
    let (one, other) =
        (cluster.proxy_with(never_again("proxy-a")).await, cluster.proxy_with(never_again("proxy-b")).await);
    for node in [&one, &other] {
        node.proxy.set_peers(vec![one.peer.clone(), other.peer.clone()]);
    }
    for number in 0..6 {
        let (name, host) = (format!("f{number}"), format!("f{number}.demo"));
        cluster.function(&name, json!({}));
        let pod = cluster.free_pod(&format!("{name}-first")).await;
        for node in [&one, &other] {
            assert_eq!(call(node.functions, get(&host, "/")).await.body, pod.name);
        }
        let next = cluster.free_pod(&format!("{name}-next")).await;
        let draining = json!({
            "metadata": {
                "name": pod.name, "namespace": "demo", "uid": format!("uid-{}", pod.name), "resourceVersion": "1000000",
                "labels": {
                    "muon.dev/environment": "test", "muon.dev/state": "draining", "muon.dev/function": name,
                    "muon.dev/revision": "r1",
                },
            },
            "status": {"podIP": pod.ip.to_string(), "conditions": [{"type": "Ready", "status": "True"}]},
        });
        let event = || [Change::Pod(Event::Apply(object(&draining)))];
        one.proxy.apply(event());
        let waiting = tokio::spawn(call(one.functions, get(&host, "/")));
        until("it waits, or is answered", || {
            waiting.is_finished() || one.proxy.activity().functions.iter().any(|function| function.queued > 0)
        })
        .await;
        other.proxy.apply(event());
        assert_eq!(waiting.await.unwrap().body, next.name);
    }
    assert!(one.counted("muon_proxy_peer_requests_total", "answered") > 0.0, "none of six had the other as home");
}

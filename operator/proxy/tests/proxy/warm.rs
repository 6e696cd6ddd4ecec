//! Pods that are claimed though nobody calls are loaded all the same, by one proxy, before the first request.

use std::sync::atomic::Ordering;

use http::StatusCode;
use serde_json::json;

use crate::cluster::{Cluster, Node, call, get, until};

fn tells_loaded(node: &Node, pod: &str) -> bool {
    let uid = format!("uid-{pod}");
    node.proxy.activity().pods.iter().any(|told| told.uid == uid && told.loaded && told.in_flight == 0)
}

/// Phases of cold requests that the proxy has seen.
fn cold_loads(node: &Node) -> u64 {
    let families = node.registry.gather();
    let phases = families.iter().find(|family| family.name() == "muon_proxy_cold_seconds").unwrap();
    let load = phases.get_metric().iter().find(|phase| phase.get_label()[0].value() == "load").unwrap();
    load.get_histogram().get_sample_count()
}

#[tokio::test]
async fn a_claimed_pod_is_loaded_before_anybody_calls() {
    let cluster = Cluster::new();
    let nodes = [cluster.proxy("proxy-a").await, cluster.proxy("proxy-b").await];
    for node in &nodes {
        node.proxy.set_peers(nodes.iter().map(|node| node.peer.clone()).collect());
    }
    cluster.function("kept", json!({}));
    let pod = cluster.own_pod("kept-1", "kept", "r1").await;
    until("it is loaded", || nodes.iter().any(|node| tells_loaded(node, "kept-1"))).await;
    assert_eq!(pod.loads.load(Ordering::Relaxed), 1, "by its home alone");
    let functions: Vec<_> = nodes.iter().flat_map(|node| node.proxy.activity().functions).collect();
    assert_eq!((functions.len(), functions[0].loaded, functions[0].wanted), (1, 1, 0), "{functions:?}");
    for node in &nodes {
        let answer = call(node.functions, get("kept.demo", "/")).await;
        assert_eq!((answer.status, answer.headers["muon-start"].as_bytes()), (StatusCode::OK, &b"warm"[..]));
    }
    let home = nodes.iter().find(|node| cold_loads(node) == 0);
    assert!(home.is_some(), "at its home the first request met no phase of a cold start");
    assert_eq!(cluster.claims(), 0);
}

#[tokio::test]
async fn a_first_request_joins_the_load_ahead() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("joined", json!({}));
    let pod = crate::pod::Pod::start("joined-1").await;
    pod.load_gate.forget_permits(usize::MAX >> 3);
    cluster
        .put_pod(&pod, json!({"muon.dev/state": "claimed", "muon.dev/function": "joined", "muon.dev/revision": "r1"}));
    until("the load has begun", || pod.loads.load(Ordering::Relaxed) == 1).await;
    let request = tokio::spawn(call(node.functions, get("joined.demo", "/")));
    until("it waits", || node.proxy.activity().functions.iter().any(|function| function.queued == 1)).await;
    pod.load_gate.add_permits(1);
    assert_eq!(request.await.unwrap().body, "joined-1");
    assert_eq!(pod.loads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn pods_of_a_new_revision_are_loaded_as_well_and_those_of_the_old_one_are_left() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("changed", json!({}));
    cluster.own_pod("changed-1", "changed", "r1").await;
    until("the first is loaded", || tells_loaded(&node, "changed-1")).await;
    // Pods may be told before the revision is.
    let new = cluster.own_pod("changed-2", "changed", "r2").await;
    cluster.function("changed", json!({"revision": "r2"}));
    until("the second is loaded", || tells_loaded(&node, "changed-2")).await;
    assert_eq!(new.loaded.lock().unwrap().len(), 1);
    assert_eq!(node.proxy.activity().functions[0].loaded, 1);
}

#[tokio::test]
async fn who_becomes_home_takes_the_pods_over() {
    let cluster = Cluster::new();
    let nodes = [cluster.proxy("proxy-a").await, cluster.proxy("proxy-b").await];
    // Both hold another one to be the home of whatever they would be the home of: of some functions nobody is.
    let away = muon_proxy::Peer { name: "proxy-away".to_owned(), ..nodes[0].peer.clone() };
    for node in &nodes {
        node.proxy.set_peers(nodes.iter().map(|node| node.peer.clone()).chain([away.clone()]).collect());
    }
    let names: Vec<String> = (0..20).map(|number| format!("moved{number}")).collect();
    for name in &names {
        cluster.function(name, json!({}));
        cluster.own_pod(&format!("{name}-1"), name, "r1").await;
    }
    let loaded = |name: &String| nodes.iter().any(|node| tells_loaded(node, &format!("{name}-1")));
    until("some are loaded", || names.iter().any(loaded)).await;
    for node in &nodes {
        node.proxy.set_peers(nodes.iter().map(|node| node.peer.clone()).collect());
    }
    until("all are loaded", || names.iter().all(loaded)).await;
}

#[tokio::test]
async fn a_load_ahead_that_fails_is_tried_again_and_bad_code_is_told() {
    use muon_crds::wire::Component;
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("flaky", json!({}));
    let pod = crate::pod::Pod::start("flaky-1").await;
    pod.load_failures.lock().unwrap().push_back((StatusCode::SERVICE_UNAVAILABLE, Component::Store, "away"));
    let claimed =
        |function: &str| json!({"muon.dev/state": "claimed", "muon.dev/function": function, "muon.dev/revision": "r1"});
    cluster.put_pod(&pod, claimed("flaky"));
    until("it is loaded in the end", || tells_loaded(&node, "flaky-1")).await;
    assert_eq!(pod.loads.load(Ordering::Relaxed), 2);

    cluster.function("wrong", json!({}));
    let pod = crate::pod::Pod::start("wrong-1").await;
    pod.load_failures.lock().unwrap().push_back((StatusCode::UNPROCESSABLE_ENTITY, Component::Runtime, "no such name"));
    cluster.put_pod(&pod, claimed("wrong"));
    until("it is told", || node.proxy.activity().failures.iter().any(|failure| failure.uid == "uid-wrong")).await;
    assert!(node.proxy.activity().pods.iter().any(|told| told.uid == "uid-wrong-1" && told.broken && !told.loaded));
}

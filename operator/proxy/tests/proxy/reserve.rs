//! Pods reserved ahead of requests: used before anything is written, claimed behind the answer, given back or replaced.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use muon_proxy::{Claim, Config, Step};
use serde_json::json;

use crate::cluster::{Cluster, Node, call, config, get, until};
use crate::pod::Pod;

/// A proxy that reserves one pod of two.
async fn reserving(cluster: &Arc<Cluster>) -> (Node, [Arc<Pod>; 2]) {
    let node = cluster.proxy_with(Config { reserve: 1, ..config("proxy-a") }).await;
    cluster.function("hello", json!({}));
    let pods = [cluster.free_pod("pod-1").await, cluster.free_pod("pod-2").await];
    until("one is reserved", || count(cluster, "reserved") == 1).await;
    (node, pods)
}

fn count(cluster: &Cluster, state: &str) -> usize {
    ["pod-1", "pod-2"].into_iter().filter(|pod| cluster.state_of(pod) == state).count()
}

fn steps(cluster: &Cluster, which: impl Fn(&Step) -> bool) -> usize {
    cluster.reserves.lock().unwrap().iter().filter(|request| which(&request.step)).count()
}

#[tokio::test]
async fn a_cold_request_is_answered_before_its_claim_is_written() {
    let cluster = Cluster::new();
    let (node, _pods) = reserving(&cluster).await;
    // The API server answers no claim.
    cluster.claim_gate.forget_permits(usize::MAX);
    let answer = call(node.functions, get("hello.demo", "/")).await;
    assert_eq!((answer.status, answer.headers["muon-start"].as_bytes()), (StatusCode::OK, &b"cold"[..]));
    until("the claim follows", || cluster.claims() == 1).await;
    // Until it is made, the pod serves all the same.
    let again = call(node.functions, get("hello.demo", "/")).await;
    assert_eq!((again.body, again.headers["muon-start"].as_bytes()), (answer.body.clone(), &b"warm"[..]));
    cluster.claim_gate.add_permits(100);
    until("it is claimed", || cluster.state_of(&answer.body) == "claimed").await;
    assert_eq!(cluster.claims(), 1);
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, answer.body);
}

#[tokio::test]
async fn what_was_taken_is_replaced_by_another_reservation_but_one_pod_stays_free() {
    let cluster = Cluster::new();
    let (node, _pods) = reserving(&cluster).await;
    call(node.functions, get("hello.demo", "/")).await;
    until("it is claimed", || count(&cluster, "claimed") == 1).await;
    assert_eq!(count(&cluster, "free"), 1);
    let _third = cluster.free_pod("pod-3").await;
    until("one of two is reserved", || steps(&cluster, |step| matches!(step, Step::Reserve(_))) == 2).await;
    let free = ["pod-1", "pod-2", "pod-3"].into_iter().filter(|pod| cluster.state_of(pod) == "free").count();
    assert_eq!(free, 1);
}

#[tokio::test]
async fn an_environment_without_functions_is_left_alone() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(Config { reserve: 1, ..config("proxy-a") }).await;
    cluster.function("elsewhere", json!({"environment": "other"}));
    cluster.function("own", json!({"mode": "Deployment"}));
    let _pods = [cluster.free_pod("pod-1").await, cluster.free_pod("pod-2").await];
    // A function that does start from it makes the difference, and shows that it was looked at.
    assert_eq!(count(&cluster, "free"), 2);
    cluster.function("hello", json!({}));
    cluster.label_pod("pod-1", json!({"seen": "again"}));
    until("one is reserved", || count(&cluster, "reserved") == 1).await;
    drop(node);
}

#[tokio::test]
async fn the_home_gives_its_reserved_pod_to_who_asks() {
    let cluster = Cluster::new();
    let home = cluster.proxy_with(Config { reserve: 1, ..config("home") }).await;
    let other = cluster.proxy("other").await;
    for node in [&home, &other] {
        node.proxy.set_peers(vec![home.peer.clone(), other.peer.clone()]);
    }
    // One whose home is `home`.
    let name = (0..).map(|n| format!("fn-{n}")).find(|name| {
        let uid = format!("uid-{name}");
        muon_routes::home(&uid, &["home", "other"], |name| name) == Some(&"home")
    });
    let name = name.unwrap();
    cluster.function(&name, json!({}));
    let _pods = [cluster.free_pod("pod-1").await, cluster.free_pod("pod-2").await, cluster.free_pod("pod-3").await];
    until("one is reserved", || steps(&cluster, |step| matches!(step, Step::Reserve(_))) == 1).await;
    until("and the home knows it", || home.counted("muon_proxy_reserves_total", "reserved") > 0.0).await;
    cluster.claim_gate.forget_permits(usize::MAX);
    let host = format!("{name}.demo");
    let answer = call(other.functions, get(&host, "/")).await;
    assert_eq!((answer.status, answer.headers["muon-start"].as_bytes()), (StatusCode::OK, &b"cold"[..]));
    // Its watch goes on to show it as reserved, for whatever else changes of the pod.
    cluster.label_pod(&answer.body, json!({"something": "else"}));
    let again = call(other.functions, get(&host, "/")).await;
    assert_eq!((again.body.as_str(), again.headers["muon-start"].as_bytes()), (answer.body.as_str(), &b"warm"[..]));
    cluster.claim_gate.add_permits(100);
    until("it is claimed", || cluster.state_of(&answer.body) == "claimed").await;
    assert_eq!(cluster.claims(), 1);
}

#[tokio::test]
async fn a_pod_whose_claim_is_lost_gets_nothing_more_and_is_replaced() {
    let cluster = Cluster::new();
    let (node, pods) = reserving(&cluster).await;
    cluster.claim_errors.lock().unwrap().push(Ok(Claim::Lost));
    cluster.claim_gate.forget_permits(usize::MAX);
    let first = call(node.functions, get("hello.demo", "/")).await.body;
    let pod = pods.iter().find(|pod| pod.name == first).unwrap();
    let slow = tokio::spawn(call(node.functions, get("hello.demo", "/slow")));
    until("one is inside", || pod.slow.load(Ordering::SeqCst) == 1).await;
    cluster.claim_gate.add_permits(100);
    until("it is to be replaced", || cluster.state_of(&first) == "retiring").await;
    assert_ne!(call(node.functions, get("hello.demo", "/")).await.body, first);
    // What is in flight in it ends there.
    pod.slow_gate.add_permits(1);
    assert_eq!(slow.await.unwrap().body, first);
}

#[tokio::test]
async fn what_a_former_life_had_reserved_is_replaced_and_what_another_proxy_has_is_left_alone() {
    let cluster = Cluster::new();
    let reserved = |by: &str, until: u64| json!({"muon.dev/state": "reserved", "muon.dev/reserved-by": by, "muon.dev/reserved-until": until.to_string()});
    let pods = [Pod::start("pod-1").await, Pod::start("pod-2").await, Pod::start("pod-3").await];
    cluster.put_pod(&pods[0], reserved("proxy-a", 9_999_999_999));
    cluster.put_pod(&pods[1], reserved("proxy-b", 9_999_999_999));
    // Its lease is long over, and there is one proxy to look after it.
    cluster.put_pod(&pods[2], reserved("proxy-c", 1_000_000_000));
    let _node = cluster.proxy_with(Config { reserve: 1, ..config("proxy-a") }).await;
    until("both are to be replaced", || ["pod-1", "pod-3"].into_iter().all(|pod| cluster.state_of(pod) == "retiring"))
        .await;
    assert_eq!(cluster.state_of("pod-2"), "reserved");
}

#[tokio::test]
async fn a_proxy_that_ends_gives_back_what_it_reserved() {
    let cluster = Cluster::new();
    let (mut node, _pods) = reserving(&cluster).await;
    node.stop();
    until("both are free", || count(&cluster, "free") == 2).await;
}

#[tokio::test]
async fn when_no_pod_is_free_a_reserved_one_beyond_the_proxys_share_is() {
    let cluster = Cluster::new();
    let (_node, _pods) = reserving(&cluster).await;
    let free = ["pod-1", "pod-2"].into_iter().find(|pod| cluster.state_of(pod) == "free").unwrap();
    cluster
        .label_pod(free, json!({"muon.dev/state": "claimed", "muon.dev/function": "other", "muon.dev/revision": "r1"}));
    until("it is free", || count(&cluster, "free") == 1).await;
}

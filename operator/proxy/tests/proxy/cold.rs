//! From nothing to an answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use muon_proxy::{Claim, ClaimError, Config};
use serde_json::json;

use crate::cluster::{Cluster, call, config, get, until};
use crate::pod::Pod;

#[tokio::test]
async fn a_first_request_claims_loads_and_is_answered_then_the_next_is_warm() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    let pod = cluster.free_pod("pod-1").await;
    let answer = call(node.functions, get("hello.demo", "/")).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "pod-1"));
    assert_eq!(answer.headers["muon-start"], "cold");
    let again = call(node.functions, get("hello.demo.svc.cluster.local:80", "/")).await;
    assert_eq!((again.headers["muon-start"].as_bytes(), again.body.as_str()), (&b"warm"[..], "pod-1"));
    // How long each phase took is told where there were any.
    let phases = answer.headers["server-timing"].to_str().unwrap();
    let names: Vec<&str> = phases.split(", ").filter_map(|phase| phase.split(";dur=").next()).collect();
    assert_eq!(names, ["route", "start", "function"], "{phases}");
    assert!(!again.headers.contains_key("server-timing"));
    let claims = cluster.claims.lock().unwrap().clone();
    assert_eq!(claims.len(), 1);
    assert_eq!(
        (claims[0].pod.as_str(), claims[0].function_uid.as_str(), claims[0].revision.as_str()),
        ("pod-1", "uid-hello", "r1")
    );
    let loaded = pod.loaded.lock().unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!(
        (loaded[0].function.as_str(), loaded[0].namespace.as_str(), loaded[0].entrypoint.as_str()),
        ("hello", "demo", "main")
    );
    assert_eq!(loaded[0].store, "http://store.test:8080");
}

#[tokio::test]
async fn the_load_order_is_bound_to_pod_function_revision_and_digest() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    let pod = cluster.free_pod("pod-1").await;
    call(node.functions, get("hello.demo", "/")).await;
    let token = pod.loaded.lock().unwrap()[0].order.clone();
    let verifier = muon_order::Signer::from_seed(&[7; 32]).unwrap().verifier();
    let Ok(muon_order::Order::Load(load)) = verifier.check(&token, 0) else { panic!("not a load order") };
    assert_eq!(load.pod_uid.as_deref(), Some("uid-pod-1"));
    assert_eq!(
        (load.function_uid.as_str(), load.revision.as_str(), load.digest.as_str()),
        ("uid-hello", "r1", "sha256:00")
    );
    assert!(load.until.is_some());
}

#[tokio::test]
async fn fifty_first_requests_at_once_make_one_claim() {
    let cluster = Cluster::new();
    // However slow the machine: one pod gets them all done.
    let node = cluster.proxy_with(Config { patience: Duration::from_secs(60), ..config("proxy-a") }).await;
    cluster.function("hello", json!({}));
    for number in 0..5 {
        cluster.free_pod(&format!("burst-{number}")).await;
    }
    let answers = join_all((0..50).map(|_| call(node.functions, get("hello.demo", "/")))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(cluster.claims(), 1);
}

#[tokio::test]
async fn fifty_first_requests_through_two_proxies_make_one_claim() {
    let cluster = Cluster::new();
    let patient = |name| Config { patience: Duration::from_secs(60), ..config(name) };
    let (one, two) = (cluster.proxy_with(patient("proxy-a")).await, cluster.proxy_with(patient("proxy-b")).await);
    for node in [&one, &two] {
        node.proxy.set_peers(vec![one.peer.clone(), two.peer.clone()]);
    }
    cluster.function("hello", json!({}));
    for number in 0..5 {
        cluster.free_pod(&format!("two-{number}")).await;
    }
    let nodes = [&one, &two];
    let answers = join_all((0..50).map(|at| call(nodes[at % 2].functions, get("hello.demo", "/")))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK), "{}", answers[0].body);
    assert_eq!(cluster.claims(), 1);
}

#[tokio::test]
async fn the_reply_of_the_home_proxy_is_enough_when_the_watch_is_late() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.proxy("proxy-a").await, cluster.proxy("proxy-b").await);
    for node in [&one, &two] {
        node.proxy.set_peers(vec![one.peer.clone(), two.peer.clone()]);
    }
    cluster.tell_claims.store(false, Ordering::SeqCst);
    cluster.function("hello", json!({}));
    cluster.free_pod("late-1").await;
    for node in [&one, &two] {
        assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "late-1");
    }
    assert_eq!(cluster.claims(), 1);
}

#[tokio::test]
async fn when_the_home_proxy_is_gone_the_other_claims_itself() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.proxy("proxy-a").await, cluster.proxy("proxy-b").await);
    let mut dead = two.peer.clone();
    // A port that nobody listens on any more.
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    dead.port = Some(unused);
    one.proxy.set_peers(vec![one.peer.clone(), dead]);
    for number in 0..6 {
        cluster.function(&format!("fn-{number}"), json!({}));
        cluster.free_pod(&format!("gone-{number}")).await;
    }
    let hosts: Vec<String> = (0..6).map(|number| format!("fn-{number}.demo")).collect();
    let answers = join_all(hosts.iter().map(|host| call(one.functions, get(host, "/")))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(cluster.claims(), 6);
    assert!(one.counted("muon_proxy_peer_requests_total", "unreachable") > 0.0, "none of six had the other as home");
}

#[tokio::test]
async fn a_pod_that_starts_serves_on_its_agents_word_before_kubernetes_holds_it_ready() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({"mode": "Deployment"}));
    let pod = Pod::silent("starting-1");
    // Kubelet tells the address first; the agent is dialled until it listens.
    cluster.starting_pod(&pod, "hello", "r1");
    let waiting = tokio::spawn(call(node.functions, get("hello.demo", "/")));
    until("it waits", || node.proxy.activity().functions.iter().any(|function| function.queued > 0)).await;
    pod.open().await;
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "starting-1"));
    assert_eq!(answer.headers["muon-start"], "cold");
}

#[tokio::test]
async fn a_pod_that_was_ready_once_serves_only_while_it_is() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({"mode": "Deployment", "max": 2}));
    let pod = cluster.own_pod("ready-1", "hello", "r1").await;
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "ready-1");
    // Its runtime ended, say: the agent loads it again, and says so by readiness.
    cluster.starting_pod(&pod, "hello", "r1");
    cluster.own_pod("ready-2", "hello", "r1").await;
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "ready-2");
}

#[tokio::test]
async fn a_lost_claim_goes_on_to_the_next_pod() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    cluster.free_pod("lost-1").await;
    cluster.free_pod("lost-2").await;
    cluster
        .claim_errors
        .lock()
        .unwrap()
        .extend([Ok(Claim::Lost), Err(ClaimError { message: "timeout".into(), retry: true })]);
    let answer = call(node.functions, get("hello.demo", "/")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let claims = cluster.claims.lock().unwrap().clone();
    assert_eq!(claims.len(), 3);
    assert_ne!(claims[0].pod, claims[1].pod, "a lost pod was tried again");
    assert_eq!(node.counted("muon_proxy_claims_total", "lost"), 1.0);
}

#[tokio::test]
async fn a_dry_pool_is_waited_for() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    let waiting = tokio::spawn(call(node.functions, get("hello.demo", "/")));
    until("the pool was found dry", || node.counted("muon_proxy_events_total", "pool_dry") > 0.0).await;
    cluster.free_pod("dry-1").await;
    assert_eq!(waiting.await.unwrap().body, "dry-1");
}

/// A pool that is being renewed has pods whose runtime or agent would not set them.
#[tokio::test]
async fn variables_go_with_the_load_to_pods_that_take_them() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    let env = json!([{"name": "A", "value": "b"}, {"name": "EMPTY", "value": ""}]);
    cluster.function("hello", json!({"env": env}));
    let before = cluster.free_pod("before").await;
    let waiting = tokio::spawn(call(node.functions, get("hello.demo", "/")));
    until("no pod was found fit", || node.counted("muon_proxy_events_total", "pool_dry") > 0.0).await;
    let pod = Pod::start("after").await;
    cluster.put_pod(&pod, json!({}));
    cluster.annotate_pod("after", json!({"muon.dev/env-at-load": "true"}));
    cluster.label_pod("after", json!({"muon.dev/state": "free"}));
    assert_eq!(waiting.await.unwrap().body, "after");
    assert_eq!(serde_json::to_value(&pod.loaded.lock().unwrap()[0].env).unwrap(), env);
    assert_eq!(before.loads.load(Ordering::SeqCst), 0);
    // Whoever has none takes any.
    cluster.function("plain", json!({}));
    assert_eq!(call(node.functions, get("plain.demo", "/")).await.body, "before");
    assert!(before.loaded.lock().unwrap()[0].env.is_empty());
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_the_claim() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    cluster.free_pod("away-1").await;
    cluster.claim_gate.forget_permits(usize::MAX >> 4);
    let gone = tokio::spawn(call(node.functions, get("hello.demo", "/")));
    until("a claim", || cluster.claims() == 1).await;
    gone.abort();
    cluster.claim_gate.add_permits(10);
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "away-1");
    assert_eq!(cluster.claims(), 1);
}

#[tokio::test]
async fn a_function_with_its_own_deployment_is_announced_and_waited_for() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("own", json!({"mode": "Deployment"}));
    cluster.free_pod("not-for-it").await;
    let before = node.proxy.activity().seq;
    let waiting = tokio::spawn(call(node.functions, get("own.demo", "/")));
    until("demand", || {
        node.proxy.activity().functions.iter().any(|function| function.wanted == 1 && function.queued == 1)
    })
    .await;
    assert!(node.proxy.activity().seq > before);
    let pod = cluster.own_pod("own-1", "own", "r1").await;
    assert_eq!(waiting.await.unwrap().body, "own-1");
    assert_eq!((cluster.claims(), pod.loads.load(Ordering::SeqCst)), (0, 1));
}

#[tokio::test]
async fn more_load_than_the_pods_get_done_claims_more_in_proportion_and_never_beyond_max() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(Config { patience: Duration::from_millis(20), ..config("proxy-a") }).await;
    cluster.function("busy", json!({"concurrency": 2, "max": 3}));
    let mut pods = Vec::new();
    for number in 0..6 {
        pods.push(cluster.free_pod(&format!("busy-{number}")).await);
    }
    let requests: Vec<_> = (0..20).map(|_| tokio::spawn(call(node.functions, get("busy.demo", "/slow")))).collect();
    let inside = || pods.iter().map(|pod| pod.slow.load(Ordering::SeqCst)).sum::<u32>();
    until("three pods are full", || inside() == 6).await;
    for pod in &pods {
        pod.slow_gate.add_permits(100);
    }
    for request in requests {
        assert_eq!(request.await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(cluster.claims(), 3);
    assert!(pods.iter().all(|pod| pod.slow_most.load(Ordering::SeqCst) <= 2), "more in a pod than its concurrency");
}

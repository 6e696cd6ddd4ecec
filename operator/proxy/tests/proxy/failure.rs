//! What goes wrong, and who is told.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use muon_crds::wire::{Component, Executed};
use serde_json::json;

use crate::cluster::{Cluster, call, config, get, until};

#[tokio::test]
async fn code_that_cannot_be_imported_is_told_with_the_runtimes_words_and_remembered() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("bad", json!({"max": 1}));
    let pod = cluster.free_pod("bad-1").await;
    cluster.free_pod("bad-2").await;
    let failure = (StatusCode::UNPROCESSABLE_ENTITY, Component::Runtime, "NameError: name 'x' is not defined");
    pod.load_failures.lock().unwrap().push_back(failure);
    let before = node.proxy.activity().seq;
    let both = [call(node.functions, get("bad.demo", "/")), call(node.functions, get("bad.demo", "/"))];
    for answer in join_all(both).await {
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        let failure = answer.failure();
        assert_eq!(
            (failure.component, failure.reason.as_str(), failure.executed),
            (Component::Runtime, "LoadFailed", Executed::No)
        );
        assert!(failure.message.contains("NameError"));
        assert_eq!(failure.request_id.as_deref(), answer.headers["x-request-id"].to_str().ok());
    }
    // Its one pod is broken: nothing is claimed or loaded again until the operator has replaced it.
    assert_eq!(call(node.functions, get("bad.demo", "/")).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((pod.loads.load(Ordering::SeqCst), cluster.claims()), (1, 1));
    let activity = node.proxy.activity();
    assert!(activity.seq > before);
    assert_eq!(activity.failures[0].uid, "uid-bad");
    assert!(activity.failures[0].message.contains("NameError"));
    assert_eq!(activity.failures[0].reason, "Test", "the word is the agent's");
    assert!(activity.pods.iter().any(|pod| pod.uid == "uid-bad-1" && pod.broken));
}

#[tokio::test]
async fn a_new_revision_forgets_the_failure() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("bad", json!({}));
    let pod = cluster.free_pod("mend-1").await;
    pod.load_failures.lock().unwrap().push_back((StatusCode::UNPROCESSABLE_ENTITY, Component::Runtime, "SyntaxError"));
    assert_eq!(call(node.functions, get("bad.demo", "/")).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    cluster.free_pod("mend-2").await;
    cluster.function("bad", json!({"revision": "r2"}));
    assert_eq!(call(node.functions, get("bad.demo", "/")).await.body, "mend-2");
    assert!(node.proxy.activity().failures.is_empty());
}

#[tokio::test]
async fn a_store_that_fails_for_a_moment_costs_time_and_no_second_pod() {
    let cluster = Cluster::new();
    let node =
        cluster.proxy_with(muon_proxy::Config { ejection: Duration::from_millis(40), ..config("proxy-a") }).await;
    cluster.function("hello", json!({}));
    let pod = cluster.free_pod("store-1").await;
    cluster.free_pod("store-2").await;
    pod.load_failures.lock().unwrap().push_back((StatusCode::BAD_GATEWAY, Component::Store, "connection refused"));
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_pod_whose_agent_refuses_is_left_for_another() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    for name in ["refuse-1", "refuse-2"] {
        let pod = cluster.free_pod(name).await;
        if name == "refuse-1" {
            pod.load_failures.lock().unwrap().push_back((
                StatusCode::CONFLICT,
                Component::Agent,
                "another function is loaded",
            ));
        }
        std::mem::forget(pod);
    }
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "refuse-2");
    assert!(node.proxy.activity().pods.iter().any(|pod| pod.uid == "uid-refuse-1" && pod.broken));
}

#[tokio::test]
async fn a_dead_pod_is_left_out_and_the_request_goes_to_another() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    let dead = cluster.own_pod("dead-1", "hello", "r1").await;
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "dead-1");
    let alive = cluster.own_pod("dead-2", "hello", "r1").await;
    dead.kill();
    let answers = join_all((0..20).map(|_| call(node.functions, get("hello.demo", "/")))).await;
    for answer in answers {
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "dead-2"), "{:?}", answer.headers);
    }
    assert!(alive.requests.load(Ordering::SeqCst) >= 20);
    assert!(node.counted("muon_proxy_events_total", "pod_ejected") >= 1.0);
}

#[tokio::test]
async fn a_request_whose_pod_dies_in_its_midst_is_not_sent_again() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    let one = cluster.own_pod("mid-1", "hello", "r1").await;
    let two = cluster.own_pod("mid-2", "hello", "r1").await;
    let answer = call(node.functions, get("hello.demo", "/die")).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!((answer.failure().executed, answer.failure().component), (Executed::Unknown, Component::Function));
    assert_eq!(one.requests.load(Ordering::SeqCst) + two.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_pooled_connection_that_died_is_noticed_before_anything_is_sent() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    let pod = cluster.own_pod("pooled-1", "hello", "r1").await;
    for _ in 0..20 {
        assert_eq!(call(node.functions, get("hello.demo", "/close")).await.body, "pooled-1");
        assert_eq!(call(node.functions, get("hello.demo", "/")).await.status, StatusCode::OK);
    }
    assert_eq!(pod.requests.load(Ordering::SeqCst), 40);
    let connections = pod.connections.load(Ordering::SeqCst);
    assert!(connections <= 21, "{connections} connections: a live one was not used again");
}

#[tokio::test]
async fn an_answer_that_does_not_begin_in_time_is_ended() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({"timeoutSeconds": 1}));
    cluster.own_pod("late-1", "hello", "r1").await;
    let pod = cluster.own_pod("late-2", "hello", "r1").await;
    let answer = call(node.functions, get("hello.demo", "/slow")).await;
    assert_eq!((answer.status, answer.failure().executed), (StatusCode::GATEWAY_TIMEOUT, Executed::Unknown));
    assert_eq!(answer.failure().reason, "Timeout");
    drop(pod);
    let idle = || node.proxy.activity().functions.iter().all(|function| function.in_flight == 0);
    until("the place is free again", idle).await;
}

#[tokio::test]
async fn no_pod_in_time_is_said_so() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({"timeoutSeconds": 1}));
    let answer = call(node.functions, get("hello.demo", "/")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let failure = answer.failure();
    assert_eq!(
        (failure.reason.as_str(), failure.executed, failure.component),
        ("NoPod", Executed::No, Component::Proxy)
    );
    assert!(failure.message.contains("Environment test"), "{}", failure.message);
    assert!(answer.headers.contains_key("retry-after"));
}

//! Clients that are slow or ask for too much, and pods that answer nobody: each is bounded, told, and got rid of.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use muon_crds::wire::{Component, Executed};
use muon_proxy::Config;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cluster::{Cluster, Node, call, config, get, until};

/// Bounds that a test can wait for.
fn impatient() -> Config {
    Config {
        ejection: Duration::from_millis(40),
        probe_timeout: Duration::from_millis(100),
        head_timeout: Duration::from_millis(100),
        pace_window: Duration::from_millis(100),
        least_bytes: 64,
        max_body_bytes: 1000,
        ..config("proxy-a")
    }
}

fn is_broken(node: &Node, uid: &str) -> bool {
    node.proxy.activity().pods.iter().any(|pod| pod.uid == uid && pod.broken)
}

#[tokio::test]
async fn a_pod_that_hangs_is_left_out_and_given_up() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(impatient()).await;
    cluster.function("hello", json!({"timeoutSeconds": 1}));
    let hung = cluster.own_pod("hung-1", "hello", "r1").await;
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "hung-1");
    hung.hangs.store(true, Ordering::Relaxed);
    let before = node.proxy.activity().seq;
    let late = call(node.functions, get("hello.demo", "/")).await;
    assert_eq!((late.status, late.failure().executed), (StatusCode::GATEWAY_TIMEOUT, Executed::Unknown));
    until("the operator is told", || is_broken(&node, "uid-hung-1")).await;
    assert!(node.proxy.activity().seq > before);
    assert_eq!(node.counted("muon_proxy_events_total", "pod_broken"), 1.0);
    assert_eq!(node.counted("muon_proxy_failures_total", "Timeout"), 1.0);
    // Another one takes over.
    cluster.free_pod("hung-2").await;
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "hung-2");
}

#[tokio::test]
async fn a_pod_that_is_only_slow_stays() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(impatient()).await;
    cluster.function("hello", json!({"timeoutSeconds": 1}));
    cluster.own_pod("slow-1", "hello", "r1").await;
    let pod = cluster.own_pod("slow-2", "hello", "r1").await;
    let late = call(node.functions, get("hello.demo", "/slow")).await;
    assert_eq!(late.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.status, StatusCode::OK);
    assert_eq!(node.counted("muon_proxy_events_total", "pod_ejected"), 0.0);
    drop(pod);
}

#[tokio::test]
async fn a_pod_that_answers_garbage_is_given_up_and_said_so() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(impatient()).await;
    cluster.function("hello", json!({}));
    let mad = cluster.own_pod("mad-1", "hello", "r1").await;
    mad.garbage.store(true, Ordering::Relaxed);
    let answer = call(node.functions, get("hello.demo", "/")).await;
    let failure = answer.failure();
    assert_eq!(
        (answer.status, failure.component, failure.reason.as_str(), failure.executed),
        (StatusCode::BAD_GATEWAY, Component::Runtime, "BadAnswer", Executed::Unknown)
    );
    until("the operator is told", || is_broken(&node, "uid-mad-1")).await;
    cluster.free_pod("mad-2").await;
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "mad-2");
}

/// Sends this and reads until the proxy closes.
async fn to_the_end(node: &Node, pieces: &[&str]) -> String {
    let mut stream = TcpStream::connect(node.functions).await.unwrap();
    for piece in pieces {
        stream.write_all(piece.as_bytes()).await.ok();
    }
    let mut text = Vec::new();
    let reading = stream.read_to_end(&mut text);
    tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().ok();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(impatient()).await;
    assert_eq!(to_the_end(&node, &["GET / HTTP/1.1\r\nHost: hello.demo\r\n", "x-slow: "]).await, "");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(impatient()).await;
    cluster.function("hello", json!({}));
    let pod = cluster.own_pod("drip-1", "hello", "r1").await;
    let (pieces, _received) = tokio::sync::mpsc::unbounded_channel();
    *pod.pieces.lock().unwrap() = Some(pieces);
    let head = "POST /upload HTTP/1.1\r\nHost: hello.demo\r\nContent-Length: 500\r\n\r\n";
    let text = to_the_end(&node, &[head, "12345"]).await;
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("BodyTooSlow"), "{text}");
    until("its place is free", || node.proxy.activity().pods.iter().all(|pod| pod.in_flight == 0)).await;
    assert_eq!(node.counted("muon_proxy_events_total", "pod_ejected"), 0.0);
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_by_its_length_or_by_its_bytes() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(impatient()).await;
    cluster.function("hello", json!({}));
    let pod = cluster.own_pod("large-1", "hello", "r1").await;
    let head = "POST / HTTP/1.1\r\nHost: hello.demo\r\nContent-Length: 1073741824\r\nConnection: close\r\n\r\n";
    let text = to_the_end(&node, &[head]).await;
    assert!(text.starts_with("HTTP/1.1 413") && text.contains("BodyTooLarge") && text.contains("\"no\""), "{text}");
    assert_eq!(pod.requests.load(Ordering::SeqCst), 0);
    let (pieces, _received) = tokio::sync::mpsc::unbounded_channel();
    *pod.pieces.lock().unwrap() = Some(pieces);
    let head = "POST /upload HTTP/1.1\r\nHost: hello.demo\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("200\r\n{}\r\n", "a".repeat(512));
    let text = to_the_end(&node, &[head, &chunk, &chunk, &chunk]).await;
    assert!(text.starts_with("HTTP/1.1 413") && text.contains("\"unknown\""), "{text}");
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_goes_on_sending() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(impatient()).await;
    cluster.function("hello", json!({}));
    let pod = cluster.own_pod("large-1", "hello", "r1").await;
    let (pieces, _received) = tokio::sync::mpsc::unbounded_channel();
    *pod.pieces.lock().unwrap() = Some(pieces);
    // More than the proxy reads at once: a connection closed over it would be reset, and the client, which may take a
    // write that fails for the end, would not look for the answer.
    let rest = "a".repeat(8_000_000);
    for head in ["Content-Length: 8000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n7A1200\r\n"] {
        let mut stream = TcpStream::connect(node.functions).await.unwrap();
        let head = format!("POST /upload HTTP/1.1\r\nHost: hello.demo\r\n{head}");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(rest.as_bytes()).await.expect("all is taken");
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("the answer comes whole");
        assert!(text.starts_with("HTTP/1.1 413") && text.contains("BodyTooLarge"), "{text}");
    }
}

#[tokio::test]
async fn http2_is_not_spoken_and_floods_of_it_end_at_the_first_bytes() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(impatient()).await;
    cluster.function("hello", json!({}));
    let pod = cluster.own_pod("h2-1", "hello", "r1").await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = "\0\0\0\u{4}\0\0\0\0\0".repeat(10_000);
    let text = to_the_end(&node, &[preface, &settings]).await;
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    assert_eq!(pod.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_stream_that_is_silent_for_long_is_left_alone() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(impatient()).await;
    cluster.function("hello", json!({}));
    let pod = cluster.own_pod("sse-1", "hello", "r1").await;
    let (send, receive) = tokio::sync::mpsc::unbounded_channel();
    *pod.stream.lock().unwrap() = Some(receive);
    let mut stream = TcpStream::connect(node.functions).await.unwrap();
    stream.write_all(b"GET /stream HTTP/1.1\r\nHost: hello.demo\r\n\r\n").await.unwrap();
    let mut buffer = [0; 4096];
    for word in ["one", "two"] {
        // Every clock of a client's pace has run out several times before the second word.
        tokio::time::sleep(Duration::from_millis(if word == "two" { 500 } else { 0 })).await;
        send.send(word.into()).unwrap();
        let mut text = String::new();
        while !text.contains(word) {
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer)).await.unwrap().unwrap();
            assert!(read > 0, "closed after {text:?}");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }
}

#[tokio::test]
async fn a_full_house_lets_a_client_in_that_has_something_to_ask() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(Config { max_connections: 20, ..config("proxy-a") }).await;
    cluster.function("hello", json!({}));
    let pod = cluster.own_pod("crowd-1", "hello", "r1").await;
    let busy = tokio::spawn(call(node.functions, get("hello.demo", "/slow")));
    until("it is inside", || pod.slow.load(Ordering::SeqCst) == 1).await;
    let mut silent = Vec::new();
    for _ in 0..60 {
        let mut stream = TcpStream::connect(node.functions).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: hel").await.unwrap();
        silent.push(stream);
    }
    until("room was made", || node.counted("muon_proxy_events_total", "connection_evicted") >= 41.0).await;
    assert_eq!(call(node.functions, get("hello.demo", "/")).await.body, "crowd-1");
    pod.slow_gate.add_permits(1);
    assert_eq!(busy.await.unwrap().status, StatusCode::OK);
}

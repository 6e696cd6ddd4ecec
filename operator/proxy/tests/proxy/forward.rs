//! Bytes and headers on their way through.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::cluster::{Cluster, Node, call, get, read, try_send, until};
use crate::pod::Pod;

async fn world(pod: &str) -> (std::sync::Arc<Cluster>, Node, std::sync::Arc<Pod>) {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    let pod = cluster.own_pod(pod, "hello", "r1").await;
    (cluster, node, pod)
}

fn pieces() -> (mpsc::UnboundedSender<Bytes>, mpsc::UnboundedReceiver<Bytes>) {
    mpsc::unbounded_channel()
}

fn streamed(
    mut pieces: mpsc::UnboundedReceiver<Bytes>,
) -> impl http_body::Body<Data = Bytes, Error = std::io::Error> + Send + 'static {
    StreamBody::new(futures::stream::poll_fn(move |cx| {
        pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok::<_, std::io::Error>(Frame::data(piece))))
    }))
}

#[tokio::test]
async fn an_answer_streams_piece_by_piece() {
    let (_cluster, node, pod) = world("stream-1").await;
    let (send, receive) = pieces();
    *pod.stream.lock().unwrap() = Some(receive);
    let request = get("hello.demo", "/stream");
    send.send(Bytes::from("one")).unwrap();
    let mut response = try_send(node.functions, request).await.unwrap();
    for piece in ["one", "two", "three"] {
        if piece != "one" {
            send.send(Bytes::from(piece)).unwrap();
        }
        // Each piece is here before the next one is sent.
        let frame = response.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame, piece);
    }
    drop(send);
    assert!(response.frame().await.is_none());
}

#[tokio::test]
async fn a_request_streams_piece_by_piece() {
    let (_cluster, node, pod) = world("upload-1").await;
    let (seen, mut sees) = pieces();
    *pod.pieces.lock().unwrap() = Some(seen);
    let (send, receive) = pieces();
    let request = Request::post("/upload").header("host", "hello.demo").body(streamed(receive)).unwrap();
    let answer = tokio::spawn(try_send(node.functions, request));
    for piece in ["a", "b", "c"] {
        send.send(Bytes::from(piece)).unwrap();
        assert_eq!(sees.recv().await.unwrap(), piece);
    }
    drop(send);
    assert_eq!(read(answer.await.unwrap().unwrap()).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn both_ways_at_once() {
    let (_cluster, node, _pod) = world("duplex-1").await;
    let (send, receive) = pieces();
    let request = Request::post("/echo").header("host", "hello.demo").body(streamed(receive)).unwrap();
    send.send(Bytes::from("1")).unwrap();
    let mut response = try_send(node.functions, request).await.unwrap();
    assert!(!response.headers().contains_key("x-answer"), "a header that Connection names got through");
    for number in 1..5 {
        let frame = response.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame, number.to_string());
        send.send(Bytes::from((number + 1).to_string())).unwrap();
    }
}

#[tokio::test]
async fn a_large_body_is_whole_both_ways() {
    let (_cluster, node, _pod) = world("large-1").await;
    let body: Vec<u8> = (0..8 * 1024 * 1024_u32).map(|number| (number % 251) as u8).collect();
    let request =
        Request::post("/echo").header("host", "hello.demo").body(Full::new(Bytes::from(body.clone()))).unwrap();
    let response = try_send(node.functions, request).await.unwrap();
    assert!(response.into_body().collect().await.unwrap().to_bytes() == body);
}

#[tokio::test]
async fn trailers_come_through() {
    let (_cluster, node, _pod) = world("trailers-1").await;
    let request = Request::get("/trailers")
        .header("host", "hello.demo")
        .header("te", "trailers")
        .body(Full::<Bytes>::default())
        .unwrap();
    let collected = try_send(node.functions, request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "42");
}

#[tokio::test]
async fn the_pod_sees_a_clean_head() {
    let (cluster, node, _pod) = world("head-1").await;
    cluster.trigger(
        "user",
        json!({"host": "a.example", "path": "/users/{id}/{what}", "function": {"name": "hello"}, "ingress": {}}),
    );
    cluster.trigger(
        "head",
        json!({"host": "a.example", "path": "/headers", "function": {"name": "hello"}, "ingress": {}}),
    );
    let request = Request::get("/headers?a=1&b=%2F")
        .header("host", "a.example")
        .header("x-request-id", "mine")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
        .header("muon-function", "spoofed")
        .header("x-fission-function-name", "spoofed")
        .header("x-forwarded-for", "9.9.9.9")
        .header("x-forwarded-proto", "https")
        .body(Full::default())
        .unwrap();
    let answer = call(node.ingress, request).await;
    assert_eq!(answer.headers["x-request-id"], "mine");
    let expected = [
        "GET /headers?a=1&b=%2F",
        "forwarded: for=127.0.0.1;host=\"a.example\";proto=https",
        "host: a.example",
        "muon-function: hello",
        "muon-namespace: demo",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        "x-forwarded-for: 9.9.9.9, 127.0.0.1",
        "x-forwarded-host: a.example",
        "x-forwarded-proto: https",
        "x-request-id: mine",
    ];
    assert_eq!(answer.body, expected.join("\n"));
}

#[tokio::test]
async fn path_parameters_are_headers() {
    let (cluster, node, _pod) = world("params-1").await;
    cluster.trigger("user", json!({"pathPrefix": "/{tenant}/", "function": {"name": "hello"}}));
    let request = Request::get("/headers/x").header("host", "muon-gateway.demo").body(Full::default()).unwrap();
    assert_eq!(call(node.gateway, request).await.status, StatusCode::OK);
    cluster.trigger("exact", json!({"path": "/{page}", "function": {"name": "hello"}}));
    let answer = call(node.gateway, get("muon-gateway.demo", "/headers")).await;
    assert!(answer.body.contains("muon-path-param-page: headers"), "{}", answer.body);
    assert!(answer.body.contains("x-fission-params-page: headers"), "{}", answer.body);
}

/// Speaks raw HTTP and reads until the text is there.
async fn raw(stream: &mut TcpStream, request: &str, until: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(until) {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

#[tokio::test]
async fn another_protocol_is_tunnelled_and_is_in_flight_until_it_ends() {
    let (_cluster, node, _pod) = world("tunnel-1").await;
    let mut stream = TcpStream::connect(node.functions).await.unwrap();
    let head = "GET /tunnel HTTP/1.1\r\nHost: hello.demo\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n";
    let text = raw(&mut stream, head, "hello").await;
    assert!(text.starts_with("HTTP/1.1 101"), "{text}");
    assert!(text.to_lowercase().contains("upgrade: shout"));
    assert_eq!(raw(&mut stream, "quiet", "QUIET").await, "QUIET");
    assert_eq!(node.proxy.activity().functions[0].in_flight, 1);
    drop(stream);
    until("the tunnel has ended", || node.proxy.activity().functions[0].in_flight == 0).await;
}

#[tokio::test]
async fn old_and_careful_clients_are_served() {
    let (_cluster, node, _pod) = world("old-1").await;
    let mut stream = TcpStream::connect(node.functions).await.unwrap();
    let text = raw(&mut stream, "GET / HTTP/1.0\r\nHost: hello.demo\r\n\r\n", "old-1").await;
    assert!(text.starts_with("HTTP/1.0 200") || text.starts_with("HTTP/1.1 200"), "{text}");

    let mut stream = TcpStream::connect(node.functions).await.unwrap();
    let head = "POST /echo HTTP/1.1\r\nHost: hello.demo\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    let text = raw(&mut stream, head, "\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 100"), "{text}");
    let text = raw(&mut stream, "body", "body").await;
    assert!(text.contains("200 OK"), "{text}");

    let mut stream = TcpStream::connect(node.functions).await.unwrap();
    let text = raw(&mut stream, "HEAD / HTTP/1.1\r\nHost: hello.demo\r\nConnection: close\r\n\r\n", "\r\n\r\n").await;
    assert!(text.contains("content-length: 5") && text.ends_with("\r\n\r\n"), "{text}");

    let mut stream = TcpStream::connect(node.functions).await.unwrap();
    let text = raw(
        &mut stream,
        "GET http://hello.demo/headers HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n",
        "namespace",
    )
    .await;
    assert!(text.contains("host: hello.demo"), "{text}");
}

#[tokio::test]
async fn two_hosts_or_none_are_refused() {
    let (_cluster, node, _pod) = world("hosts-1").await;
    for head in ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: hello.demo\r\nHost: other\r\n\r\n"] {
        let mut stream = TcpStream::connect(node.functions).await.unwrap();
        let text = raw(&mut stream, head, "BadHost").await;
        assert!(text.starts_with("HTTP/1.1 400"), "{text}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let (_cluster, node, pod) = world("endless-1").await;
    for lines in [200, 100_000] {
        let mut stream = TcpStream::connect(node.functions).await.unwrap();
        let mut head = "GET / HTTP/1.1\r\nHost: hello.demo\r\n".to_owned();
        for number in 0..lines {
            head.push_str(&format!("x-{number}: {number}\r\n"));
        }
        // The proxy may close before all of it is written.
        stream.write_all(head.as_bytes()).await.ok();
        stream.write_all(b"\r\n").await.ok();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await.ok();
        let text = String::from_utf8_lossy(&text);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 431"), "{text}");
    }
    assert_eq!(pod.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_request_in_the_pod() {
    let (_cluster, node, pod) = world("gone-1").await;
    let (send, receive) = pieces();
    *pod.stream.lock().unwrap() = Some(receive);
    send.send(Bytes::from("one")).unwrap();
    let mut stream = TcpStream::connect(node.functions).await.unwrap();
    raw(&mut stream, "GET /stream HTTP/1.1\r\nHost: hello.demo\r\n\r\n", "one").await;
    assert_eq!(node.proxy.activity().pods[0].in_flight, 1);
    drop(stream);
    until("the place is free", || node.proxy.activity().pods[0].in_flight == 0).await;
    send.closed().await;
}

#[tokio::test]
async fn one_connection_serves_many_requests_and_the_pod_sees_one() {
    let (_cluster, node, pod) = world("keep-1").await;
    let mut stream = TcpStream::connect(node.functions).await.unwrap();
    for _ in 0..50 {
        raw(&mut stream, "GET / HTTP/1.1\r\nHost: hello.demo\r\n\r\n", "keep-1").await;
    }
    assert_eq!((pod.requests.load(Ordering::SeqCst), pod.connections.load(Ordering::SeqCst)), (50, 1));
}

//! What passes between a client and its function: bodies, streams, upgrades, headers, and errors with their origin.

use http::Method;
use muon_crds::wire::{Component, Executed};
use muon_crds::words;
use muon_e2e::route::{Reply, Route};
use muon_e2e::scene::Scene;
use muon_e2e::socket::Socket;
use serde_json::{Value, json};

use crate::together;

/// Tells what the function saw of a request.
const MIRROR: &str = "
import hashlib

from muon import request


def main():
    body = request.body
    return {
        'method': request.method, 'path': request.path, 'params': dict(request.params),
        'headers': {name: request.headers[name] for name in request.headers},
        'length': len(body), 'sha256': hashlib.sha256(body).hexdigest(),
    }
";

fn seen(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply}");
    serde_json::from_slice(&reply.body).expect("JSON")
}

#[tokio::test]
async fn e2e_headers_are_right() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let route = scene.python("mirror", MIRROR, json!({})).await;
    let request = route
        .request(Method::GET, "/some/path?a=b")
        .header("x-request-id", "kept-7")
        .header("muon-function", "somebody-else")
        .header("muon-path-param-id", "spoofed")
        .header("muon-order", "forged")
        .header("x-own", "mine");
    let reply = route.send(request).await;
    let told = seen(&reply);
    let headers = &told["headers"];
    assert_eq!(told["path"], "/some/path");
    assert_eq!(headers["x-own"], "mine");
    assert_eq!(headers["host"], json!(route.host));
    assert_eq!((&headers["x-request-id"], reply.header("x-request-id")), (&json!("kept-7"), "kept-7"));
    assert_eq!(headers["muon-function"], "mirror");
    assert_eq!(headers["muon-namespace"], json!(scene.namespace));
    assert!(headers["muon-path-param-id"].is_null() && headers["muon-order"].is_null(), "{headers}");
    assert!(headers["x-forwarded-for"].as_str().is_some_and(|hops| hops.contains(',')), "both hops: {headers}");
    assert_eq!(headers["x-forwarded-host"], json!(route.host));

    let minted = route.get("/").await;
    assert!(!minted.header("x-request-id").is_empty());
    assert_eq!(seen(&minted)["headers"]["x-request-id"], json!(minted.header("x-request-id")));
    let bad = route.send(route.request(Method::GET, "/").header("x-request-id", "a b")).await;
    assert_ne!(bad.header("x-request-id"), "a b", "an id that is none is replaced");
    scene.drop_function("mirror").await;
}

#[tokio::test]
async fn e2e_path_parameters_are_headers() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    scene.python_function("params", MIRROR, json!({})).await;
    let host = format!("params.{}.example", scene.namespace);
    scene
        .apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": {"name": "params"},
            "spec": {
                "host": host, "path": "/users/{user}/files/{file}", "methods": ["GET"],
                "function": {"name": "params"}, "ingress": {},
            },
        }))
        .await;
    scene.ready::<muon_crds::HTTPTrigger>("params").await;
    let route = Route::new(&scene.cluster.ingress, &host);
    let path = "/users/ada/files/notes%20of%20mine";
    let reply = muon_e2e::wait::until("routed", muon_e2e::space::READY_WITHIN, async || {
        Some(route.get(path).await).filter(|reply| reply.status == 200)
    })
    .await;
    assert_eq!(seen(&reply)["params"], json!({"user": "ada", "file": "notes of mine"}));
    scene.drop_function("params").await;
}

fn large() -> Vec<u8> {
    (0..8 * 1024 * 1024_u32).map(|n| (n / 7 % 251) as u8).collect()
}

/// The same bytes without a length: chunks as they come.
pub(crate) fn chunked(body: &[u8]) -> reqwest::Body {
    let chunks: Vec<Result<Vec<u8>, std::io::Error>> = body.chunks(100_000).map(|part| Ok(part.to_vec())).collect();
    reqwest::Body::wrap_stream(futures::stream::iter(chunks))
}

#[tokio::test]
async fn e2e_large_bodies_pass_both_ways() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let code = "from muon import request\n\n\ndef main():\n    return request.body\n";
    let route = scene.python("echo", code, json!({})).await;
    let body = large();
    for reply in [route.post("/", body.clone()).await, route.post("/", chunked(&body)).await] {
        assert!(reply.status == 200 && reply.body == body, "{} of {} bytes", reply.body.len(), body.len());
    }
    scene.drop_function("echo").await;
}

/// A reply that begins while the request still arrives. Not through the Ingress controller: a server made with Go
/// throws up to 256 KiB of a request's body away once its reply has begun.
#[tokio::test]
async fn e2e_bodies_are_answered_while_they_arrive() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let code = "
import muon


@muon.streaming
async def main(request):
    async def pieces():
        async for piece in request.stream():
            yield piece
    return muon.Response(pieces())
";
    scene.python_function("duplex", code, json!({})).await;
    let route = scene.service(words::FUNCTIONS_SERVICE, 80, &format!("duplex.{}", scene.namespace)).await;
    let body = large();
    for reply in [route.post("/", body.clone()).await, route.post("/", chunked(&body)).await] {
        assert!(reply.status == 200 && reply.body == body, "{} of {} bytes", reply.body.len(), body.len());
    }
    scene.drop_function("duplex").await;
}

/// The first piece arrives while the function still waits to make the second: until the test lets it.
#[tokio::test]
async fn e2e_streams_are_not_held_back() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let code = "
import asyncio

import muon

go_on = asyncio.Event()


async def main(request):
    if request.path == '/go-on':
        go_on.set()
        return 'ok'

    async def pieces():
        yield 'data: first\\n\\n'
        await go_on.wait()
        yield 'data: second\\n\\n'
    return muon.Response(pieces(), headers={'content-type': 'text/event-stream'})
";
    let route = scene.python("events", code, json!({})).await;
    let mut reply = route.request(Method::GET, "/").send().await.expect("an answer");
    assert_eq!(reply.headers()["content-type"], "text/event-stream");
    let first = reply.chunk().await.expect("a piece").expect("not the end");
    assert_eq!(&first[..], b"data: first\n\n");
    route.get("/go-on").await.ok();
    let mut rest = Vec::new();
    while let Some(piece) = reply.chunk().await.expect("a piece") {
        rest.extend_from_slice(&piece);
    }
    assert_eq!(rest, b"data: second\n\n");
    scene.drop_function("events").await;
}

#[tokio::test]
async fn e2e_websocket_passes() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let code = "async def main(ws):\n    async for message in ws:\n        await ws.send('echo: ' + message)\n";
    let route = scene.python("socket", code, json!({})).await;
    let mut socket = Socket::open(&route, "/").await.expect("an upgrade");
    for text in ["one", "two", "three"] {
        socket.send(text).await;
        assert_eq!(socket.receive().await, format!("echo: {text}"));
    }
    socket.close().await;
    scene.drop_function("socket").await;
}

#[tokio::test]
async fn e2e_errors_say_whose_they_are() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let route = scene.python("plain", "def main():\n    return 'ok'\n", json!({})).await;
    let told = |reply: &Reply, status: u16, reason: &str| {
        assert_eq!(reply.status, status, "{reply}");
        let failure = reply.failure();
        assert_eq!((failure.component, failure.executed), (Component::Proxy, Executed::No), "{reply}");
        assert_eq!(failure.reason, reason);
        assert_eq!(failure.request_id.as_deref(), Some(reply.header("x-request-id")), "{reply}");
    };

    let method = route.send(route.request(Method::DELETE, "/")).await;
    told(&method, 405, "MethodNotAllowed");
    assert_eq!(method.header("allow").replace(' ', ""), "GET,POST");

    let gateway = scene.service(words::GATEWAY_SERVICE, 80, &format!("muon-gateway.{}", scene.namespace)).await;
    told(&gateway.get("/no-such-route").await, 404, "NoRoute");

    let bare = scene.service(words::FUNCTIONS_SERVICE, 80, "plain").await;
    let misdirected = bare.get("/").await;
    assert_eq!(misdirected.status, 421, "{misdirected}");
    assert!(misdirected.failure().message.contains("plain.<namespace>"), "{misdirected}");
    let named = scene.service(words::FUNCTIONS_SERVICE, 80, &format!("plain.{}", scene.namespace)).await;
    let forwarded = named.send(named.request(Method::GET, "/").header("x-forwarded-for", "203.0.113.7")).await;
    assert_eq!(forwarded.status, 400, "{forwarded}");
    let unknown = scene.service(words::FUNCTIONS_SERVICE, 80, &format!("nobody.{}", scene.namespace)).await;
    assert_eq!(unknown.get("/").await.status, 404);
    assert_eq!(named.get("/").await.ok(), "ok");

    // The listener of the Ingress has the routes that ask for one, and no others.
    let hidden = format!("hidden.{}.example", scene.namespace);
    scene
        .apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": {"name": "hidden"},
            "spec": {"host": hidden, "path": "/", "function": {"name": "plain"}},
        }))
        .await;
    scene.ready::<muon_crds::HTTPTrigger>("hidden").await;
    let ingress = scene.service(words::GATEWAY_SERVICE, 8080, &hidden).await;
    told(&ingress.get("/").await, 404, "NoRoute");
    let inside = scene.service(words::GATEWAY_SERVICE, 80, &hidden).await;
    assert_eq!(inside.get("/").await.ok(), "ok");
    scene.delete::<muon_crds::HTTPTrigger>("hidden").await;
    scene.drop_function("plain").await;
}

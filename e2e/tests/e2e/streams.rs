//! Streams and WebSockets that last for many times what a function may lie idle: what is in flight is never cut, neither
//! by idleness, nor by a new revision, nor by a proxy that goes.

use std::time::Duration;

use futures::future::join_all;
use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use muon_crds::{Function, words};
use muon_e2e::cluster::SYSTEM;
use muon_e2e::load::{Load, none_lost};
use muon_e2e::route::Route;
use muon_e2e::scene::{Scene, is_ready, python};
use muon_e2e::socket::Socket;
use muon_e2e::space::READY_WITHIN;
use muon_e2e::wait::until;
use serde_json::{Value, json};

use crate::{alone, together};

const ECHO: &str = "async def main(ws):\n    async for message in ws:\n        await ws.send('echo: ' + message)\n";

/// Pieces without an end, until the client goes.
const TICKS: &str = "
import asyncio

import muon


async def main():
    async def pieces():
        while True:
            yield 'data: tick\\n\\n'
            await asyncio.sleep(0.1)
    return muon.Response(pieces(), headers={'content-type': 'text/event-stream'})
";

/// The settings of a function whose pods go after a second; `own` gives it pods of its own.
fn hasty(own: bool) -> Value {
    let mut more = json!({"scaling": {"idleSeconds": 1, "max": 1}});
    if own {
        more["resources"] = json!({"requests": {"cpu": "10m"}});
    }
    more
}

async fn claimed(scene: &Scene, function: &str) -> Vec<Pod> {
    scene.pods(&format!("{}={function},{}=claimed", words::FUNCTION, words::STATE)).await
}

/// Another function of the same settings is called and left to itself until its pod goes, as often as that. What did not
/// go meanwhile is held by more than chance.
async fn others_go(scene: &Scene, name: &str, times: usize) {
    let code = "import os\n\ndef main():\n    return os.environ['HOSTNAME']\n";
    let route = scene.python(name, code, hasty(false)).await;
    for _ in 0..times {
        let pod = route.get("/").await.ok();
        // Reserved, claimed, then draining: it is not waited for that it is deleted, which takes longer than pings do.
        let serving = format!("{},{} in (reserved,claimed)", words::ENVIRONMENT, words::STATE);
        let gone = async || scene.pods(&serving).await.iter().all(|one| one.name_any() != pod).then_some(());
        until(&format!("{pod} of {name} goes"), READY_WITHIN, gone).await;
    }
    scene.drop_function(name).await;
}

/// A pod that was reserved serves before it is labelled with the function's name.
async fn only_pod(scene: &Scene, function: &str) -> Pod {
    let one = async || <[Pod; 1]>::try_from(claimed(scene, function).await).ok();
    let [pod] = until(&format!("one pod serves {function}"), READY_WITHIN, one).await;
    pod
}

async fn goes(scene: &Scene, function: &str) {
    let gone = async || claimed(scene, function).await.is_empty().then_some(());
    until(&format!("no pod serves {function} any more"), READY_WITHIN, gone).await;
}

async fn echo(socket: &mut Socket, text: &str) {
    socket.send(text).await;
    assert_eq!(socket.receive().await, format!("echo: {text}"));
}

async fn quiet_websocket_stays(name: &str, own: bool) {
    let scene = Scene::shared().await;
    let route = scene.python(name, ECHO, hasty(own)).await;
    let mut socket = Socket::open(&route, "/").await.expect("an upgrade");
    echo(&mut socket, "first").await;
    let pod = only_pod(&scene, name).await.uid();
    others_go(&scene, &format!("beside-{name}"), 3).await;
    echo(&mut socket, "after a long silence").await;
    assert_eq!(only_pod(&scene, name).await.uid(), pod, "the same pod");
    socket.close().await;
    goes(&scene, name).await;
    scene.drop_function(name).await;
}

#[tokio::test]
async fn e2e_streams_websocket_outlasts_idleness() {
    let _cluster = together().await;
    quiet_websocket_stays("ws-pool", false).await;
}

#[tokio::test]
async fn e2e_streams_websocket_outlasts_idleness_in_own_pod() {
    let _cluster = together().await;
    quiet_websocket_stays("ws-own", true).await;
}

#[tokio::test]
async fn e2e_streams_events_outlast_idleness() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let route = scene.python("ticks", TICKS, hasty(false)).await;
    let mut reply = route.request(Method::GET, "/").timeout(Duration::from_secs(600)).send().await.expect("an answer");
    let pod = {
        reply.chunk().await.expect("a piece").expect("not the end");
        only_pod(&scene, "ticks").await.uid()
    };
    let passing = others_go(&scene, "beside-ticks", 3);
    tokio::pin!(passing);
    let mut pieces = 0_usize;
    loop {
        tokio::select! {
            () = &mut passing => break,
            piece = reply.chunk() => {
                piece.expect("a piece").expect("not the end");
                pieces += 1;
            }
        }
    }
    assert!(pieces > 10, "{pieces} pieces");
    assert_eq!(only_pod(&scene, "ticks").await.uid(), pod, "the same pod");
    drop(reply);
    goes(&scene, "ticks").await;
    scene.drop_function("ticks").await;
}

/// The old code's pod drains for as long as it takes, and no request but the one that is in it reaches it.
async fn websocket_outlasts_its_revision(name: &str, own: bool) {
    let scene = Scene::shared().await;
    let code = |version: u32| ECHO.replace("echo: ", &format!("v{version}: "));
    let route = scene.python(name, &code(1), hasty(own)).await;
    let mut old = Socket::open(&route, "/").await.expect("an upgrade");
    let say = async |socket: &mut Socket, version: u32| {
        socket.send("hello").await;
        assert_eq!(socket.receive().await, format!("v{version}: hello"));
    };
    say(&mut old, 1).await;
    scene.apply_value(python(name, &code(2), hasty(own))).await;
    scene.ready::<Function>(name).await;
    let mut new = Socket::open(&route, "/").await.expect("an upgrade");
    say(&mut new, 2).await;
    new.close().await;
    others_go(&scene, &format!("beside-{name}"), 2).await;
    say(&mut old, 1).await;
    old.close().await;
    let gone = async || scene.pods_of(name).await.is_empty().then_some(());
    until("the pods of both revisions are gone", READY_WITHIN, gone).await;
    scene.drop_function(name).await;
}

#[tokio::test]
async fn e2e_streams_websocket_outlasts_its_revision() {
    let _cluster = together().await;
    websocket_outlasts_its_revision("ws-update", false).await;
}

#[tokio::test]
async fn e2e_streams_websocket_outlasts_its_revision_in_own_pod() {
    let _cluster = together().await;
    websocket_outlasts_its_revision("ws-own-update", true).await;
}

/// As where a node is drained: the pod is told to end while requests are in it and more come. Its runtime ends after them, and
/// before its agent, which keeps the door open until every proxy knows.
async fn told_to_end_it_finishes(name: &str, own: bool) {
    let scene = Scene::shared().await;
    let code = "
import asyncio

from muon import request


async def main():
    await asyncio.sleep(float(request.query['seconds']))
    return 'ok'
";
    let more = if own { json!({"resources": {"requests": {"cpu": "10m"}}}) } else { json!({}) };
    let route = scene.python(name, code, more).await;
    route.get("/?seconds=0").await.ok();
    let pod = only_pod(&scene, name).await;
    let load = Load::start(&route, "/?seconds=0.05", 20);
    let slow = {
        let route = route.clone();
        tokio::spawn(async move { route.get("/?seconds=3").await })
    };
    load.more(20).await;
    scene.api::<Pod>().delete(&pod.name_any(), &DeleteParams::default()).await.expect("it can be deleted");
    slow.await.expect("an answer").ok();
    load.more(20).await;
    none_lost(&load.stop().await);
    let other = async || claimed(&scene, name).await.iter().any(|now| now.uid() != pod.uid()).then_some(());
    until("another pod serves", READY_WITHIN, other).await;
    scene.drop_function(name).await;
}

#[tokio::test]
async fn e2e_streams_pod_told_to_end_finishes() {
    let _cluster = together().await;
    told_to_end_it_finishes("ends-pool", false).await;
}

#[tokio::test]
async fn e2e_streams_own_pod_told_to_end_finishes() {
    let _cluster = together().await;
    told_to_end_it_finishes("ends-own", true).await;
}

/// Proxies told to go finish what they have, and the operator hears of it until then: to the proxies that come the pod
/// has long been idle. The request takes longer than a proxy still takes connections, and than the pod would live on.
#[tokio::test]
async fn e2e_streams_outlast_a_roll_of_the_proxies() {
    let _cluster = alone().await;
    let scene = Scene::open("roll", json!({"min": 1, "max": 4})).await;
    let code = "import asyncio\n\nasync def main():\n    await asyncio.sleep(30)\n    return 'ok'\n";
    let mut routes: Vec<Route> = Vec::new();
    for (name, own) in [("pooled", false), ("owned", true)] {
        routes.push(scene.python(name, code, hasty(own)).await);
    }
    // Both proxies have some.
    let requests = routes.iter().flat_map(|route| (0..4).map(move |_| route.get("/")));
    let answering = join_all(requests);
    let rolling = async {
        let inside = async || {
            let (pooled, owned) = (claimed(&scene, "pooled").await, claimed(&scene, "owned").await);
            (pooled.iter().any(is_ready) && owned.iter().any(is_ready)).then_some(())
        };
        until("both functions have their pod", READY_WITHIN, inside).await;
        let pods: Api<Pod> = Api::namespaced(scene.client.clone(), SYSTEM);
        let labels = format!("{}=proxy,{}={}", words::APP_COMPONENT, words::APP_PART_OF, words::MUON);
        for proxy in pods.list(&ListParams::default().labels(&labels)).await.expect("the proxies").items {
            pods.delete(&proxy.name_any(), &DeleteParams::default()).await.expect("it can be deleted");
        }
    };
    let (replies, ()) = tokio::join!(answering, rolling);
    for reply in replies {
        reply.ok();
    }
    scene.close().await;
}

//! An upgrade as it happens: operator, proxies and the pool's template are replaced while clients go on calling, warm
//! and cold. Nothing is lost, and the new settings are in force.

use std::time::Duration;

use http::Method;
use muon_crds::wire::{Component, Executed};
use muon_crds::{Environment, words};
use muon_e2e::cluster::{Cluster, SYSTEM};
use muon_e2e::load::{Load, none_lost};
use muon_e2e::route::Route;
use muon_e2e::scene::Scene;
use serde_json::json;
use tokio::sync::watch;

use crate::{alone, transport::chunked};

/// Warm requests in a second.
const RATE: u32 = 20;
/// Functions that are called cold, one after the other and from the first again: their pods are gone by then, or they
/// are warm, which is as good.
const COLD: usize = 12;
/// Between two cold requests, so that a pool on a small machine can refill.
const PAUSE: Duration = Duration::from_millis(500);
/// The new setting of the proxies.
const MOST_BYTES: usize = 1_000_000;

/// Puts the proxies' setting back, whatever becomes of the test.
struct Changed(&'static Cluster);

impl Changed {
    fn new(cluster: &'static Cluster) -> Self {
        let setting = format!("MUON_MAX_BODY_BYTES={MOST_BYTES}");
        cluster.kubectl_ok(&["-n", SYSTEM, "set", "env", "deployment/muon-proxy", &setting]);
        Self(cluster)
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        self.0.kubectl(&["-n", SYSTEM, "set", "env", "deployment/muon-proxy", "MUON_MAX_BODY_BYTES-"]);
        self.0.kubectl(&["-n", SYSTEM, "rollout", "status", "deployment/muon-proxy", "--timeout=120s"]);
    }
}

/// Calls one cold function after the other until told to stop. Gives what went wrong, and how many went well.
async fn call_cold(routes: Vec<Route>, stop: watch::Receiver<bool>) -> (Vec<String>, usize) {
    let (mut bad, mut good) = (Vec::new(), 0);
    for route in routes.iter().cycle() {
        if *stop.borrow() {
            break;
        }
        match route.try_send(route.request(Method::GET, "/").header("connection", "close")).await {
            Ok(reply) if reply.status == 200 => good += 1,
            Ok(reply) => bad.push(format!("{}: {reply}", route.host)),
            Err(error) => bad.push(format!("{}: {error}", route.host)),
        }
        tokio::time::sleep(PAUSE).await;
    }
    (bad, good)
}

/// The name of the pool that the Environment counts.
fn pool(environment: &Environment) -> Option<String> {
    environment.status.as_ref()?.pool.clone()
}

async fn rolled(cluster: &'static Cluster, workload: &'static str) {
    let wait = move || cluster.kubectl_ok(&["-n", SYSTEM, "rollout", "status", workload, "--timeout=120s"]);
    tokio::task::spawn_blocking(wait).await.expect("it ends");
}

#[tokio::test]
async fn e2e_all_parts_rolled_under_traffic() {
    let _cluster = alone().await;
    let scene = Scene::open("rolls", json!({"min": 3, "max": 8})).await;
    let cluster = scene.cluster;
    let warm = scene.python("warm", "def main():\n    return 'ok'\n", json!({"concurrency": 100})).await;
    warm.get("/").await.ok();
    let echo = "def main(request):\n    return str(len(request.body))\n";
    let echo = scene.python("echo", echo, json!({})).await;
    let mut cold = Vec::new();
    for name in (0..COLD).map(|n| format!("cold-{n}")) {
        let code = format!("def main():\n    return '{name}'\n");
        scene.python_function(&name, &code, json!({"scaling": {"idleSeconds": 1}})).await;
        let host = format!("{name}.{}", scene.namespace);
        cold.push(scene.service(words::FUNCTIONS_SERVICE, 80, &host).await);
    }

    let load = Load::start(&warm, "/", RATE);
    let (stop, stopped) = watch::channel(false);
    let prober = tokio::spawn(call_cold(cold, stopped));
    load.more(20).await;

    let before = pool(&scene.ready::<Environment>("python").await);
    let changed = Changed::new(cluster);
    cluster.kubectl_ok(&["-n", SYSTEM, "rollout", "restart", "deployment/muon-operator"]);
    let template = json!({"spec": {"resources": {"requests": {"memory": "65Mi"}}}}).to_string();
    cluster.kubectl_ok(&["-n", &scene.namespace, "patch", "environment/python", "--type=merge", "-p", &template]);
    rolled(cluster, "deployment/muon-operator").await;
    rolled(cluster, "deployment/muon-proxy").await;
    scene.has::<Environment>("python", "another pool", |now| pool(now) != before).await;
    load.more(20).await;
    stop.send(true).expect("the prober listens");
    none_lost(&load.stop().await);
    let (bad, good) = prober.await.expect("it ran to its end");
    // While it ran, it took pods as fast as they came.
    scene.ready::<Environment>("python").await;
    assert!(bad.is_empty(), "{} of {} cold requests were lost:\n{}", bad.len(), bad.len() + good, bad.join("\n"));
    assert!(good > 0);

    bodies_end_at(&echo, MOST_BYTES).await;
    drop(changed);
    scene.close().await;
}

/// A body of the allowed length passes, and one byte more is refused: by its length, or where it is passed when no
/// length was told.
async fn bodies_end_at(echo: &Route, most: usize) {
    assert_eq!(echo.post("/", vec![b'x'; most]).await.ok(), most.to_string());
    assert_eq!(echo.post("/", chunked(&vec![b'x'; most])).await.ok(), most.to_string());
    for (body, executed) in
        [(reqwest::Body::from(vec![b'x'; most + 1]), Executed::No), (chunked(&vec![b'x'; most + 1]), Executed::Unknown)]
    {
        let reply = echo.post("/", body).await;
        assert_eq!(reply.status, 413, "{reply}");
        let failure = reply.failure();
        assert_eq!((failure.component, failure.executed), (Component::Proxy, executed), "{reply}");
        assert_eq!(failure.reason, "BodyTooLarge");
        assert!(failure.message.contains(&most.to_string()), "{reply}");
    }
    assert_eq!(echo.post("/", "again").await.ok(), "5");
}

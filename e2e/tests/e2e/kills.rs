//! Processes of Muon's killed under load, and the API server stopped: warm traffic loses nothing but what was inside
//! a killed process.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::Api;
use muon_e2e::cluster::Cluster;
use muon_e2e::load::{Load, Shot, none_lost};
use muon_e2e::route::Route;
use muon_e2e::scene::{Scene, is_ready};
use muon_e2e::space::READY_WITHIN;
use muon_e2e::wait::until;
use serde_json::json;
use tokio::time::Instant;

use crate::alone;

/// Requests in a second; enough that some are always under way.
const RATE: u32 = 50;

/// A warm function in a namespace of its own.
async fn warm(name: &str) -> (Scene, Route) {
    let scene = Scene::open(name, json!({"min": 1, "max": 2})).await;
    let code = "import asyncio\n\nasync def main():\n    await asyncio.sleep(0.02)\n    return 'ok'\n";
    let route = scene.python("warm", code, json!({"concurrency": 100})).await;
    route.get("/").await.ok();
    scene.claimed("warm", 1).await;
    (scene, route)
}

/// The id and the restarts of a pod's container, a native sidecar among them.
fn container(pod: &Pod, name: &str) -> Option<(String, i32)> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
    let found = all.into_iter().find(|found| found.name == name)?;
    Some((found.container_id.clone()?, found.restart_count))
}

/// Until the container runs again and its pod is ready.
async fn back(scene: &Scene, pod: &Pod, name: &str) {
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), &pod.namespace().unwrap_or_default());
    let before = container(pod, name).map_or(0, |(_, restarts)| restarts);
    until(&format!("{name} of {} is back", pod.name_any()), READY_WITHIN, async || {
        let now = pods.get(&pod.name_any()).await.ok()?;
        let restarted = container(&now, name).is_some_and(|(_, restarts)| restarts > before);
        (restarted && is_ready(&now)).then_some(())
    })
    .await;
}

/// Kills a container's process under load, lets the load go on until it is back, and gives all requests with the
/// time of the kill.
async fn kill(scene: &Scene, route: &Route, pods: &[Pod], name: &str) -> (Vec<Shot>, Instant, Instant) {
    let load = Load::start(route, "/", RATE);
    load.more(50).await;
    let before = Instant::now();
    for pod in pods {
        let (id, _) = container(pod, name).expect("a container that runs");
        scene.cluster.kill_container(&id);
    }
    let after = Instant::now();
    load.more(50).await;
    for pod in pods {
        back(scene, pod, name).await;
    }
    load.more(50).await;
    (load.stop().await, before, after)
}

#[tokio::test]
async fn e2e_operators_killed_under_load() {
    let _cluster = alone().await;
    let (scene, route) = warm("operator").await;
    let operators = scene.parts("operator").await;
    assert!(!operators.is_empty());
    let (shots, ..) = kill(&scene, &route, &operators, "operator").await;
    none_lost(&shots);
    // It works as before, too.
    scene.python_function("after", "def main():\n    return 'ok'\n", json!({})).await;
    scene.close().await;
}

#[tokio::test]
async fn e2e_proxy_killed_under_load() {
    let _cluster = alone().await;
    let (scene, route) = warm("proxy").await;
    let proxies = scene.parts("proxy").await;
    assert!(proxies.len() >= 2, "two proxies by default");
    let (shots, before, after) = kill(&scene, &route, &proxies[..1], "proxy").await;
    // What was inside the killed process had been sent before it was gone, and was not answered when it was killed.
    let outside: Vec<Shot> =
        shots.into_iter().filter(|shot| shot.text().is_some() || shot.sent > after || shot.answered < before).collect();
    none_lost(&outside);
    scene.close().await;
}

#[tokio::test]
async fn e2e_agent_killed_under_load() {
    let _cluster = alone().await;
    let (scene, route) = warm("agent").await;
    let pods = scene.pods_of("warm").await;
    let (shots, ..) = kill(&scene, &route, &pods, "agent").await;
    none_lost(&shots);
    let now = scene.pods_of("warm").await;
    assert!(now.iter().any(|pod| pod.uid() == pods[0].uid() && is_ready(pod)), "the same pod serves on");
    scene.close().await;
}

/// Lets the API server go on, whatever becomes of the test.
struct Stopped(&'static Cluster);

impl Stopped {
    fn new(cluster: &'static Cluster) -> Self {
        cluster.signal("kube-apiserver", "STOP");
        Self(cluster)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.signal("kube-apiserver", "CONT");
    }
}

#[tokio::test]
async fn e2e_api_server_stopped_under_load() {
    let _cluster = alone().await;
    let (scene, route) = warm("apiserver").await;
    let load = Load::start(&route, "/", RATE);
    load.more(50).await;
    let stopped = Stopped::new(scene.cluster);
    load.more(300).await;
    drop(stopped);
    load.more(50).await;
    none_lost(&load.stop().await);
    until("the API server answers again", READY_WITHIN, async || {
        scene.cluster.kubectl(&["get", "--raw", "/readyz"]).status.success().then_some(())
    })
    .await;
    // What needs it goes on as well.
    let cold = scene.python("after", "def main():\n    return 'ok'\n", json!({})).await;
    cold.get("/").await.ok();
    scene.close().await;
}

//! Pods that nobody uses are drained and deleted; a request in flight is never cut.

use std::time::Duration;

use kube::ResourceExt as _;
use muon_e2e::scene::Scene;
use muon_e2e::space::READY_WITHIN;
use muon_e2e::wait::until;
use serde_json::json;

use crate::together;

const CODE: &str = "
import asyncio

from muon import request


async def main():
    await asyncio.sleep(float(request.query.get('seconds', '0')))
    return 'ok'
";

async fn idle(scene: &Scene, name: &str) {
    until(&format!("no pod serves {name}"), READY_WITHIN, async || scene.pods_of(name).await.is_empty().then_some(()))
        .await;
}

#[tokio::test]
async fn e2e_idle_pods_go_and_come_back() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let route = scene.python("sleepy", CODE, json!({"scaling": {"idleSeconds": 1}})).await;
    assert_eq!(route.get("/").await.start(), "cold");
    let first = scene.claimed("sleepy", 1).await;
    idle(&scene, "sleepy").await;
    let again = route.get("/").await;
    assert_eq!((again.ok().as_str(), again.start()), ("ok", "cold"));
    let second = scene.claimed("sleepy", 1).await;
    assert_ne!(first.first().and_then(|pod| pod.uid()), second.first().and_then(|pod| pod.uid()));
    scene.drop_function("sleepy").await;
}

#[tokio::test]
async fn e2e_idle_never_cuts_a_request() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let route = scene.python("slow", CODE, json!({"scaling": {"idleSeconds": 1}})).await;
    route.get("/").await.ok();
    route.get("/?seconds=6").await.ok();
    // Requests that come just when the pod is about to go: each is answered, by this pod or by the next one.
    for n in 0..8_u64 {
        route.get("/").await.ok();
        tokio::time::sleep(Duration::from_millis(900 + 100 * n)).await;
    }
    scene.drop_function("slow").await;
}

/// Pods of its own go as well: the Deployment is scaled to zero, and back by the next request.
#[tokio::test]
async fn e2e_idle_own_deployment_scales_to_zero() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let more =
        json!({"scaling": {"idleSeconds": 1}, "volumes": [{"name": "v", "mountPath": "/scratch", "emptyDir": {}}]});
    let route = scene.python("owned", CODE, more).await;
    assert!(scene.pods_of("owned").await.is_empty());
    route.get("/").await.ok();
    idle(&scene, "owned").await;
    route.get("/").await.ok();
    scene.drop_function("owned").await;
}

#[tokio::test]
async fn e2e_minimum_is_kept() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let more = json!({"scaling": {"min": 1, "idleSeconds": 1}});
    let route = scene.python("kept", CODE, more).await;
    until("one pod is kept loaded", READY_WITHIN, async || (scene.pods_of("kept").await.len() == 1).then_some(()))
        .await;
    let pod = scene.pods_of("kept").await.remove(0);
    idle_elsewhere(&scene).await;
    route.get("/").await.ok();
    assert_eq!(scene.pods_of("kept").await[0].uid(), pod.uid());
    scene.drop_function("kept").await;
}

/// As long as another function needs to be idled, this one would have been as well.
async fn idle_elsewhere(scene: &Scene) {
    let route = scene.python("beside", CODE, json!({"scaling": {"idleSeconds": 1}})).await;
    route.get("/").await.ok();
    scene.claimed("beside", 1).await;
    idle(scene, "beside").await;
    scene.drop_function("beside").await;
}

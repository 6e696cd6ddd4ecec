//! Many requests at once, and requests that come just when their function goes to sleep.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use muon_crds::words;
use muon_e2e::cluster::SYSTEM;
use muon_e2e::load::{Shot, none_lost};
use muon_e2e::route::Route;
use muon_e2e::scene::{Scene, is_ready, python};
use serde_json::json;
use tokio::time::Instant;

use crate::{alone, together};

/// Whose pod it was.
const HOST: &str = "
import asyncio
import os


async def main():
    await asyncio.sleep(0.2)
    return os.environ['HOSTNAME']
";

#[tokio::test]
async fn e2e_burst_of_500_uses_the_pods_it_may_and_loses_none() {
    let _cluster = together().await;
    let scene = Scene::open("flood", json!({"min": 7, "max": 8})).await;
    let route = scene.python("flood", HOST, json!({"concurrency": 10, "scaling": {"max": 5}})).await;
    scene.free("python", 7).await;
    let replies = join_all((0..500).map(|_| route.get("/"))).await;
    let pods: BTreeSet<String> = replies.iter().map(|reply| reply.ok()).collect();
    assert_eq!(pods.len(), 5, "{pods:?}");
    // And no other one was claimed.
    scene.claimed("flood", 5).await;
    scene.close().await;
}

/// Requests sent after pauses around the time at which the operator drains an idle pod, up to the end of the drain: before,
/// between label and deletion, while the pod ends, after. Each is answered, by the old pod or by the next one.
#[tokio::test]
async fn e2e_burst_racing_sleep_gets_no_error() {
    let _cluster = together().await;
    let scene = Scene::open("race", json!({"min": 4, "max": 8})).await;
    let more = json!({"scaling": {"idleSeconds": 1, "max": 2}});
    let mut routes = Vec::new();
    for n in 0..3 {
        routes.push(scene.python(&format!("sleeper-{n}"), "def main():\n    return 'ok'\n", more.clone()).await);
    }
    // 80 ms apart from 0.9 s to 2.7 s, in another order for each function.
    let rounds = |route: Route, stride: u64| async move {
        let mut shots = Vec::new();
        for n in 0..24 {
            shots.push(shoot(&route).await);
            tokio::time::sleep(Duration::from_millis(900 + 80 * (n * stride % 24))).await;
        }
        shots
    };
    let strides = [5, 7, 11];
    let shots = join_all(routes.into_iter().zip(strides).map(|(route, stride)| rounds(route, stride))).await;
    none_lost(&shots.concat());
    scene.close().await;
}

async fn shoot(route: &Route) -> Shot {
    let sent = Instant::now();
    let result = route.try_send(route.request(http::Method::GET, "/")).await;
    Shot { sent, answered: Instant::now(), result }
}

/// One proxy of two dies without a word while functions start through both. What the other one took is answered, also
/// where the dead one was home and may have claimed a pod that it told nobody of.
#[tokio::test]
async fn e2e_burst_of_cold_starts_survives_the_death_of_a_proxy() {
    let _cluster = alone().await;
    let scene = Scene::open("death", json!({"min": 8, "max": 12})).await;
    let names: Vec<String> = (0..8).map(|n| format!("orphan-{n}")).collect();
    for name in &names {
        scene.apply_value(python(name, "def main():\n    return 'ok'\n", json!({"scaling": {"max": 2}}))).await;
    }
    for name in &names {
        scene.ready::<muon_crds::Function>(name).await;
    }
    scene.free("python", 8).await;
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), SYSTEM);
    let labels = format!("{}=proxy,{}={}", words::APP_COMPONENT, words::APP_PART_OF, words::MUON);
    let mut proxies = pods.list(&ListParams::default().labels(&labels)).await.expect("the proxies").items;
    proxies.retain(is_ready);
    let [dies, stays] = proxies.as_slice() else { panic!("two proxies by default, {} are ready", proxies.len()) };
    let to = |proxy: &Pod, name: &str| {
        let ip = proxy.status.as_ref().and_then(|status| status.pod_ip.clone()).expect("an address");
        Route::new(&format!("http://{ip}:{}", words::PORT_FUNCTIONS), &format!("{name}.{}", scene.namespace))
    };
    let through = |proxy: &Pod| {
        let routes: Vec<Route> = names.iter().map(|name| to(proxy, name)).collect();
        async move { join_all(routes.iter().map(shoot)).await }
    };
    let death = async {
        // kubelet would leave it two seconds.
        let containers = dies.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let id = containers.filter_map(|container| container.container_id.clone()).next().expect("it runs");
        pods.delete(&dies.name_any(), &DeleteParams::default().grace_period(0)).await.expect("it can be deleted");
        scene.cluster.kill_container(&id);
    };
    let (held, answered, ()) = tokio::join!(through(dies), through(stays), death);
    none_lost(&answered);
    for shot in held {
        // Answered before it died, or the connection broke; nothing in between.
        assert!(shot.result.as_ref().is_err() || shot.text().is_some(), "{:?}", shot.result);
    }
    none_lost(&through(stays).await);
    scene.close().await;
}

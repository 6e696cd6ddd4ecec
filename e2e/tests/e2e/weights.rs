//! Which function answers is a matter of labels and weights, and the proxies read them by themselves: the operator
//! is not running while this is tried.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams, Patch, PatchParams};
use muon_crds::Function;
use muon_e2e::cluster::SYSTEM;
use muon_e2e::route::Route;
use muon_e2e::scene::Scene;
use muon_e2e::space::READY_WITHIN;
use muon_e2e::wait::until;
use serde_json::{Value, json};

use crate::alone;

const OPERATOR_PODS: &str = "app.kubernetes.io/component=operator,app.kubernetes.io/part-of=muon";

fn code(name: &str) -> String {
    format!("def main():\n    return '{name}'\n")
}

async fn change(scene: &Scene, function: &str, metadata: Value) {
    let functions: Api<Function> = scene.api();
    let patch = Patch::Merge(json!({"metadata": metadata}));
    functions.patch(function, &PatchParams::default(), &patch).await.expect("a changed Function");
}

/// How often each function answers.
async fn shares(route: &Route, requests: usize) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for _ in 0..requests {
        *found.entry(route.get("/").await.ok()).or_default() += 1;
    }
    found
}

/// Until none but this one answers, twenty times in a row (the proxies are two).
async fn only(route: &Route, name: &str) {
    until(&format!("only {name} answers"), Duration::from_secs(30), async || {
        let found = shares(route, 20).await;
        (found.len() == 1 && found.contains_key(name)).then_some(())
    })
    .await;
}

async fn operators(scene: &Scene, replicas: i32) {
    let deployments: Api<Deployment> = Api::namespaced(scene.client.clone(), SYSTEM);
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    deployments.patch("muon-operator", &PatchParams::default(), &patch).await.expect("a scaled operator");
    until(&format!("{replicas} operators"), READY_WITHIN, async || {
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(scene.client.clone(), SYSTEM);
        let running = pods.list(&ListParams::default().labels(OPERATOR_PODS)).await.ok()?.items;
        let ready = running.iter().filter(|pod| muon_e2e::scene::is_ready(pod)).count();
        (running.len() == replicas as usize && ready == running.len()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn e2e_labels_and_weights_move_traffic_without_the_operator() {
    let _cluster = alone().await;
    let scene = Scene::open("labels", json!({"min": 3, "max": 4})).await;
    let labels = |app: &str| json!({"labels": {"app": app}});
    scene.python_function("v1", &code("v1"), labels("greeter")).await;
    scene.python_function("v2", &code("v2"), labels("shelf")).await;
    let route = scene.route("greeter", json!({"selector": {"matchLabels": {"app": "greeter"}}})).await;
    only(&route, "v1").await;

    operators(&scene, 0).await;
    let moved = AssertUnwindSafe(move_traffic(&scene, &route)).catch_unwind().await;
    operators(&scene, 2).await;
    if let Err(panic) = moved {
        std::panic::resume_unwind(panic);
    }
    scene.close().await;
}

async fn move_traffic(scene: &Scene, route: &Route) {
    let both = async || (shares(route, 20).await.len() == 2).then_some(());
    // A canary is a label: v2, which never ran before, gets its share of the requests.
    change(scene, "v2", json!({"labels": {"app": "greeter"}})).await;
    until("both answer", READY_WITHIN, both).await;
    change(scene, "v1", json!({"annotations": {"muon.dev/weight": "0"}})).await;
    only(route, "v2").await;
    change(scene, "v1", json!({"annotations": {"muon.dev/weight": "300"}})).await;
    until("both answer", READY_WITHIN, both).await;
    let found = shares(route, 200).await;
    // Three of four; by chance a share of 200 lies outside of this in less than one run of a million.
    assert!((110..=185).contains(&found["v1"]), "{found:?}");
    change(scene, "v2", json!({"labels": {"app": "shelf"}})).await;
    only(route, "v1").await;
}

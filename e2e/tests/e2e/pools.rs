//! Pools that shrink or get another template while their pods are claimed: no claimed pod is lost, none is stuck.

use std::collections::BTreeMap;

use futures::future::join_all;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use muon_crds::{Environment, words};
use muon_e2e::route::Route;
use muon_e2e::scene::{Scene, is_ready};
use muon_e2e::space::READY_WITHIN;
use muon_e2e::wait::until;
use serde_json::{Value, json};

use crate::together;

const CODE: &str = "import os\n\ndef main():\n    return os.environ['HOSTNAME']\n";

/// Functions with routes, none of them called yet.
async fn functions(scene: &Scene, count: usize) -> Vec<Route> {
    for n in 0..count {
        scene.apply_value(muon_e2e::scene::python(&format!("fn-{n}"), CODE, json!({}))).await;
    }
    join_all((0..count).map(async |n| scene.route(&format!("fn-{n}"), json!({"name": format!("fn-{n}")})).await)).await
}

async fn change(scene: &Scene, spec: Value) {
    let environments: Api<Environment> = scene.api();
    let patch = Patch::Merge(json!({"spec": spec}));
    environments.patch("python", &PatchParams::default(), &patch).await.expect("a changed Environment");
}

/// Calls every function while the Environment changes, and says which pod serves which.
async fn race(scene: &Scene, routes: &[Route], spec: Value) -> BTreeMap<usize, String> {
    let calls = join_all(routes.iter().map(|route| route.get("/")));
    let (replies, ()) = tokio::join!(calls, change(scene, spec));
    replies.iter().enumerate().map(|(n, reply)| (n, reply.ok())).collect()
}

async fn settles(scene: &Scene, free: usize) {
    scene.ready::<Environment>("python").await;
    let selector = format!("{}=python", words::ENVIRONMENT);
    until(&format!("{free} free pods and none on its way out"), READY_WITHIN, async || {
        let pods = scene.pods(&selector).await;
        let state = |pod: &k8s_openapi::api::core::v1::Pod| pod.labels().get(words::STATE).cloned().unwrap_or_default();
        // Proxies set some of them aside.
        let free_pods = || pods.iter().filter(|pod| ["free", "reserved"].contains(&state(pod).as_str()));
        let ready = free_pods().filter(|pod| is_ready(pod)).count();
        let leaving = pods.iter().any(|pod| state(pod) == "retiring" || pod.metadata.deletion_timestamp.is_some());
        (ready == free && free_pods().count() == free && !leaving).then_some(())
    })
    .await;
}

/// The same pod answers as before: it was neither deleted nor replaced.
async fn same_pods(routes: &[Route], before: &BTreeMap<usize, String>) {
    for (n, route) in routes.iter().enumerate() {
        assert_eq!(route.get("/").await.ok(), before[&n], "fn-{n} lost its pod");
    }
}

#[tokio::test]
async fn e2e_claims_race_a_shrinking_pool() {
    let _cluster = together().await;
    let scene = Scene::open("shrink", json!({"min": 5, "max": 6})).await;
    let routes = functions(&scene, 4).await;
    scene.free("python", 5).await;
    // No more than one even if requests ask for more: a pool grows with its demand up to `max`.
    let served = race(&scene, &routes, json!({"pool": {"min": 1, "max": 1}})).await;
    settles(&scene, 1).await;
    same_pods(&routes, &served).await;
    scene.close().await;
}

/// A changed template is a new pool. The functions' revision has the runtime in it, so a change of the image would
/// move them; the resources of generic pods do not say what runs.
#[tokio::test]
async fn e2e_claims_race_a_new_template() {
    let _cluster = together().await;
    let scene = Scene::open("template", json!({"min": 3, "max": 4})).await;
    let routes = functions(&scene, 3).await;
    scene.free("python", 3).await;
    let before = scene.api::<Environment>().get("python").await.unwrap().status.and_then(|status| status.pool);
    race(&scene, &routes, json!({"terminationGracePeriodSeconds": 12})).await;
    settles(&scene, 3).await;
    let after = scene.api::<Environment>().get("python").await.unwrap().status.and_then(|status| status.pool);
    assert_ne!(before, after, "the pool has a new Deployment");
    for route in &routes {
        route.get("/").await.ok();
    }
    for n in 0..routes.len() {
        // One pod each, as before.
        scene.claimed(&format!("fn-{n}"), 1).await;
    }
    let deployments = scene.api::<k8s_openapi::api::apps::v1::Deployment>();
    until("the old pool's Deployment is gone", READY_WITHIN, async || {
        let all = deployments.list(&kube::api::ListParams::default()).await.ok()?;
        (all.items.len() == 1).then_some(())
    })
    .await;
    scene.close().await;
}

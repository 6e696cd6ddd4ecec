//! `scaling.min` keeps pods that have loaded the code: the first request is warm, also after a new revision and after
//! the loss of a pod.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use muon_crds::Function;
use muon_e2e::scene::{Scene, python};
use muon_e2e::space::READY_WITHIN;
use muon_e2e::wait::until;
use serde_json::json;

use crate::together;

fn code(says: &str) -> String {
    format!("def main():\n    return '{says}'\n")
}

/// Waits until the one pod that is kept has the code, though nobody has called; its UID. It is not `before`.
async fn loaded(scene: &Scene, name: &str, before: &str) -> String {
    until(&format!("a pod of {name} is kept loaded"), READY_WITHIN, async || {
        let function = scene.api::<Function>().get(name).await.ok()?;
        let status = function.status?;
        let revision = status.serving?.revision;
        let mut pods = scene.pods_of(name).await;
        pods.retain(|pod| pod.labels().get(muon_crds::words::REVISION) == Some(&revision));
        let [pod] = pods.as_slice() else { return None };
        (status.ready_replicas == 1).then(|| pod.uid()).flatten().filter(|uid| uid != before)
    })
    .await
}

#[tokio::test]
async fn e2e_kept_pod_is_loaded_before_the_first_request() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let more = json!({"scaling": {"min": 1, "idleSeconds": 1}});
    let route = scene.python("preloaded", &code("one"), more.clone()).await;
    let first = loaded(&scene, "preloaded", "").await;
    let reply = route.get("/").await;
    assert_eq!((reply.ok().as_str(), reply.start()), ("one", "warm"));

    scene.apply_value(python("preloaded", &code("two"), more)).await;
    scene.ready::<Function>("preloaded").await;
    let second = loaded(&scene, "preloaded", &first).await;
    let reply = route.get("/").await;
    assert_eq!((reply.ok().as_str(), reply.start()), ("two", "warm"));

    let pod = scene.pods_of("preloaded").await.into_iter().find(|pod| pod.uid().as_ref() == Some(&second));
    let pod = pod.expect("the pod that has just answered");
    scene.api::<Pod>().delete(&pod.name_any(), &DeleteParams::default()).await.expect("it can be deleted");
    loaded(&scene, "preloaded", &second).await;
    let reply = route.get("/").await;
    assert_eq!((reply.ok().as_str(), reply.start()), ("two", "warm"));
    scene.drop_function("preloaded").await;
}

//! What user code can do to its pod, and what people are told of it.

use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::ListParams;
use muon_crds::wire::{Component, Executed};
use muon_crds::{ConditionType, Function, condition};
use muon_e2e::scene::{Scene, python};
use muon_e2e::space::{Conditioned as _, READY_WITHIN};
use muon_e2e::wait::until;
use serde_json::json;

use crate::together;

#[tokio::test]
async fn e2e_crashed_runtime_is_loaded_again() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let code = "
import os

from muon import request


def main():
    if request.path == '/crash':
        os._exit(3)
    return 'alive'
";
    let route = scene.python("fragile", code, json!({})).await;
    route.get("/").await.ok();
    let pod = scene.claimed("fragile", 1).await.remove(0);
    let crash = route.get("/crash").await;
    assert!(matches!(crash.status, 502..=504), "{crash}");
    let failure = crash.failure();
    assert_eq!(failure.executed, Executed::Unknown, "user code had the request");
    assert_eq!(failure.request_id.as_deref(), Some(crash.header("x-request-id")));
    until("it answers again", READY_WITHIN, async || (route.get("/").await.status == 200).then_some(())).await;
    until("the same pod serves it", READY_WITHIN, async || {
        let pods = scene.pods_of("fragile").await;
        pods.iter().any(|found| found.uid() == pod.uid() && muon_e2e::scene::is_ready(found)).then_some(())
    })
    .await;
    scene.drop_function("fragile").await;
}

async fn events(scene: &Scene, about: &str) -> Vec<Event> {
    let all = scene.api::<Event>().list(&ListParams::default()).await.expect("the API server answers").items;
    all.into_iter().filter(|event| event.regarding.as_ref().and_then(|it| it.name.as_deref()) == Some(about)).collect()
}

#[tokio::test]
async fn e2e_failed_import_is_told_everywhere() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let broken = "import a_module_that_is_not_there\n\ndef main():\n    return 'ok'\n";
    let route = scene.python("broken", broken, json!({})).await;
    let reply = route.get("/").await;
    assert!(reply.status >= 500, "{reply}");
    let failure = reply.failure();
    assert_eq!((failure.component, failure.executed), (Component::Runtime, Executed::No), "{reply}");
    assert!(failure.message.contains("a_module_that_is_not_there"), "{reply}");
    let told = scene
        .has::<Function>("broken", "Loaded=False", |function| {
            condition::find(function.conditions(), ConditionType::Loaded).is_some_and(|found| found.status == "False")
        })
        .await;
    let loaded = condition::find(told.conditions(), ConditionType::Loaded).expect("it is there");
    assert!(loaded.message.contains("a_module_that_is_not_there"), "{loaded:?}");
    assert!(!condition::is_true(told.conditions(), ConditionType::Ready), "{:?}", told.conditions());
    until("an Event tells of it", READY_WITHIN, async || {
        let all = events(&scene, "broken").await;
        all.iter().any(|event| event.note.as_deref().unwrap_or_default().contains("a_module")).then_some(())
    })
    .await;

    scene.apply_value(python("broken", "def main():\n    return 'mended'\n", json!({}))).await;
    scene.ready::<Function>("broken").await;
    assert_eq!(route.get("/").await.ok(), "mended");
    scene.drop_function("broken").await;
}

#[tokio::test]
async fn e2e_exception_is_a_reply_and_no_crash() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let route = scene.python("raising", "def main():\n    raise ValueError('no luck')\n", json!({})).await;
    let reply = route.get("/").await;
    assert_eq!(reply.status, 500, "{reply}");
    let pods = scene.claimed("raising", 1).await;
    assert_eq!(route.get("/").await.status, 500);
    assert_eq!(scene.pods_of("raising").await[0].uid(), pods[0].uid());
    scene.drop_function("raising").await;
}

#[tokio::test]
async fn e2e_events_tell_what_happened() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    scene.python_function("told", "def main():\n    return 'ok'\n", json!({})).await;
    until("there is an Event", READY_WITHIN, async || (!events(&scene, "told").await.is_empty()).then_some(())).await;
    let shown = scene.cluster.kubectl_ok(&["describe", "-n", &scene.namespace, "fn/told"]);
    assert!(shown.contains("Events:") && shown.contains("Normal"), "{shown}");
    scene.drop_function("told").await;
}

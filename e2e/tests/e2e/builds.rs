//! Builds on a node: a good one is served, a broken one says where it is broken while the last good one answers on.

use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;
use muon_crds::{ConditionType, Function, Package};
use muon_e2e::scene::Scene;
use muon_e2e::space::says;
use serde_json::{Value, json};

use crate::together;

fn package(main: &str) -> Value {
    json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Package", "metadata": {"name": "code"},
        "spec": {"environment": "python", "source": {"files": {"main.py": main}}, "build": {}},
    })
}

#[tokio::test]
async fn e2e_a_broken_build_is_told_and_the_last_good_one_answers_on() {
    let _cluster = together().await;
    let scene = Scene::open("builds", json!({"min": 1, "max": 4})).await;
    let first = "def main():\n    return 'first'\n";
    scene.apply_value(package(first)).await;
    scene
        .apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Function", "metadata": {"name": "built"},
            "spec": {"environment": "python", "package": "code", "entrypoint": "main.main"},
        }))
        .await;
    scene.built("code").await;
    scene.ready::<Function>("built").await;
    let route = scene.route("built", json!({"name": "built"})).await;
    assert_eq!(route.get("/").await.ok(), "first");

    scene.apply_value(package("def main():\n    return (\n")).await;
    let failed = |package: &Package| {
        package.status.as_ref().and_then(|status| status.observed_generation) == package.metadata.generation
            && says(package, ConditionType::Built).is_some_and(|built| built.reason == "BuildFailed")
    };
    scene.package("code", "its build has failed", failed).await;
    let told = scene.cluster.kubectl_ok(&["describe", "pkg", "-n", &scene.namespace, "code"]);
    assert!(told.contains("File \"main.py\", line 2") && told.contains("SyntaxError"), "{told}");
    assert_eq!(route.get("/").await.ok(), "first");

    // Going back takes no build: the store knows what it came to.
    let before = jobs(&scene).await;
    scene.apply_value(package(first)).await;
    scene.ready::<Package>("code").await;
    scene.ready::<Function>("built").await;
    assert_eq!(jobs(&scene).await, before);

    scene.apply_value(package("def main():\n    return 'second'\n")).await;
    scene.built("code").await;
    scene.ready::<Function>("built").await;
    assert_eq!(route.get("/").await.ok(), "second");
    scene.close().await;
}

async fn jobs(scene: &Scene) -> Vec<Option<String>> {
    let all = scene.api::<Job>().list(&ListParams::default()).await.expect("the API server answers");
    all.iter().map(kube::ResourceExt::uid).collect()
}

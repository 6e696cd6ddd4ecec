//! New code, under load: after `Ready` the old code never answers again, and no request is lost on the way.

use muon_crds::{ConditionType, Function, Package, condition};
use muon_e2e::load::{Load, none_lost};
use muon_e2e::scene::{Scene, python};
use muon_e2e::space::Conditioned as _;
use serde_json::json;
use tokio::time::Instant;

use crate::together;

fn code(version: u32) -> String {
    format!("def main():\n    return 'v{version}'\n")
}

#[tokio::test]
async fn e2e_update_under_load_never_answers_with_old_code_after_ready() {
    let _cluster = together().await;
    let scene = Scene::open("update", json!({"min": 3, "max": 6})).await;
    let route = scene.python("changing", &code(0), json!({})).await;
    route.get("/").await.ok();
    let load = Load::start(&route, "/", 40);
    let mut served = Vec::new();
    for version in 1..=3 {
        load.more(20).await;
        scene.apply_value(python("changing", &code(version), json!({}))).await;
        scene.ready::<Function>("changing").await;
        served.push((Instant::now(), version));
    }
    load.more(20).await;
    let shots = load.stop().await;
    none_lost(&shots);
    for (since, version) in served {
        for shot in shots.iter().filter(|shot| shot.sent > since) {
            let text = shot.text().unwrap_or_default();
            let found: u32 = text.strip_prefix('v').and_then(|text| text.parse().ok()).unwrap_or_default();
            assert!(found >= version, "{text} was answered after v{version} was Ready");
        }
    }
    scene.close().await;
}

/// The same for a function with pods of its own: the old ones serve until a new one is up.
#[tokio::test]
async fn e2e_update_of_an_own_deployment_loses_nothing() {
    let _cluster = together().await;
    let scene = Scene::open("own", json!({"min": 0, "max": 1})).await;
    let volumes = json!([{"name": "v", "mountPath": "/scratch", "emptyDir": {}}]);
    let env = |value: &str| json!({"env": [{"name": "VERSION", "value": value}], "volumes": volumes});
    let code = "import os\n\ndef main():\n    return os.environ['VERSION']\n";
    let route = scene.python("own", code, env("1")).await;
    assert_eq!(route.get("/").await.ok(), "1");
    let load = Load::start(&route, "/", 20);
    load.more(10).await;
    scene.apply_value(python("own", code, env("2"))).await;
    scene.ready::<Function>("own").await;
    let since = Instant::now();
    load.more(10).await;
    let shots = load.stop().await;
    none_lost(&shots);
    assert!(shots.iter().filter(|shot| shot.sent > since).all(|shot| shot.text().as_deref() == Some("2")));
    scene.close().await;
}

#[tokio::test]
async fn e2e_changed_package_is_a_new_revision() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let package = |text: &str| {
        json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Package", "metadata": {"name": "shared-code"},
            "spec": {"environment": "python", "source": {"files": {"main.py": code_of(text)}}},
        })
    };
    scene.apply_value(package("one")).await;
    scene
        .apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Function", "metadata": {"name": "packaged"},
            "spec": {"environment": "python", "package": "shared-code"},
        }))
        .await;
    let first = serving(&scene.ready::<Function>("packaged").await);
    let route = scene.route("packaged", json!({"name": "packaged"})).await;
    assert_eq!(route.get("/").await.ok(), "one");
    scene.apply_value(package("two")).await;
    let stored = scene.ready::<Package>("shared-code").await.status.and_then(|status| status.digest);
    let second = scene
        .has::<Function>("packaged", "serving the new digest", |function| {
            let digest = function.status.as_ref().and_then(|status| status.serving.as_ref()).map(|it| &it.digest);
            digest == stored.as_ref()
        })
        .await;
    assert_ne!(first, serving(&second), "another content is another revision");
    scene.ready::<Function>("packaged").await;
    assert_eq!(route.get("/").await.ok(), "two");
    scene.drop_function("packaged").await;
    scene.delete::<Package>("shared-code").await;
}

fn code_of(text: &str) -> String {
    format!("def main():\n    return '{text}'\n")
}

fn serving(function: &Function) -> String {
    function.status.as_ref().and_then(|status| status.serving.as_ref()).expect("it is served").revision.clone()
}

#[tokio::test]
async fn e2e_applying_the_same_again_writes_nothing() {
    let _cluster = together().await;
    let scene = Scene::open("again", json!({"min": 1, "max": 2})).await;
    let own = json!({"volumes": [{"name": "v", "mountPath": "/scratch", "emptyDir": {}}]});
    let env = json!({"env": [{"name": "A", "value": "b"}]});
    let route = scene.python("same", &code(1), own.clone()).await;
    let pooled = scene.python("pooled", &code(1), env.clone()).await;
    pooled.get("/").await.ok();
    drop(route);
    scene
        .has::<Function>("pooled", "loaded, with one pod", |function| {
            let loaded = condition::is_true(function.conditions(), ConditionType::Loaded);
            loaded && function.status.as_ref().is_some_and(|status| status.replicas == 1)
        })
        .await;
    scene.free("python", 1).await;
    let mark = scene.cluster.audit().mark();
    for _ in 0..2 {
        scene.apply_value(python("same", &code(1), own.clone())).await;
        scene.apply_value(python("pooled", &code(1), env.clone())).await;
        scene.route("same", json!({"name": "same"})).await;
    }
    // Something new, seen through to its end, comes after all that the repetition could have set going.
    scene.python_function("after", &code(2), json!({})).await;
    let mut written = scene.cluster.audit().writes_by("system:serviceaccount:muon-system:", mark);
    written.retain(|entry| {
        let object = entry.object();
        object.namespace == scene.namespace && ["same", "pooled"].iter().any(|name| object.name.starts_with(name))
    });
    let told: Vec<String> = written.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{told:#?}");
    scene.close().await;
}

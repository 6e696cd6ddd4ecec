//! Whose is what: nothing of the user's is taken over, nothing of ours is left behind, and what is missing is waited for.

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams};
use muon_crds::{Condition, ConditionType, Environment, Function, HTTPTrigger, Package};
use muon_e2e::manifest::parse;
use muon_e2e::scene::Scene;
use muon_e2e::space::says as reason;
use serde_json::json;

use crate::together;

#[tokio::test]
async fn e2e_a_service_of_the_users_is_never_taken_over() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let service: Service = parse(json!({
        "metadata": {"name": "taken", "labels": {"team": "bank"}},
        "spec": {"selector": {"app": "bank"}, "ports": [{"port": 80}]},
    }));
    let services = scene.api::<Service>();
    let mine = services.create(&PostParams::default(), &service).await.expect("a Service");
    scene.apply_value(muon_e2e::scene::python("taken", "def main():\n    return 'ok'\n", json!({}))).await;
    let told = scene
        .has::<Function>("taken", "Stalled for NameConflict", |function| {
            reason(function, ConditionType::Stalled).is_some_and(|found| found.reason == "NameConflict")
        })
        .await;
    assert!(reason(&told, ConditionType::Ready).is_some_and(|found| found.status == "False"));
    let now = services.get("taken").await.expect("it is still there");
    assert_eq!((now.uid(), now.resource_version()), (mine.uid(), mine.resource_version()), "not one write");

    services.delete("taken", &DeleteParams::default()).await.expect("it can be deleted");
    scene.ready::<Function>("taken").await;
    let ours = services.get("taken").await.expect("the function's own");
    assert!(ours.owner_references().iter().any(|owner| owner.kind == "Function" && owner.controller == Some(true)));
    scene.drop_function("taken").await;
}

#[tokio::test]
async fn e2e_what_is_missing_is_waited_for() {
    let _cluster = together().await;
    let scene = Scene::empty("waiting").await;
    scene
        .apply(
            "
apiVersion: muon.dev/v1alpha1
kind: HTTPTrigger
metadata: {name: early}
spec: {path: /, function: {name: early}}
---
apiVersion: muon.dev/v1alpha1
kind: Function
metadata: {name: early}
spec: {environment: python, package: early}
",
        )
        .await;
    let waits = |what: &'static str| move |found: &Condition| found.status == "True" && found.message.contains(what);
    for missing in ["python", "early"] {
        let says = waits(missing);
        let function = scene
            .has::<Function>("early", "Reconciling, for something is missing", |function| {
                reason(function, ConditionType::Reconciling).is_some_and(|found| found.status == "True")
            })
            .await;
        assert!(reason(&function, ConditionType::Stalled).is_none_or(|found| found.status != "True"));
        let found = reason(&function, ConditionType::Reconciling).expect("it is there");
        assert!(says(found) || missing == "early", "{found:?}");
    }
    scene
        .apply(
            "
apiVersion: muon.dev/v1alpha1
kind: Package
metadata: {name: early}
spec: {environment: python, source: {files: {main.py: \"def main():\\n    return 'ok'\\n\"}}}
",
        )
        .await;
    scene.environment("python", json!({"min": 1, "max": 1})).await;
    scene.ready::<Package>("early").await;
    scene.ready::<Function>("early").await;
    scene.ready::<HTTPTrigger>("early").await;
    scene.close().await;
}

#[tokio::test]
async fn e2e_deletion_leaves_nothing_behind() {
    let _cluster = together().await;
    let scene = Scene::open("leftovers", json!({"min": 1, "max": 3})).await;
    let route = scene.python("pooled", "def main():\n    return 'ok'\n", json!({})).await;
    let owned = scene
        .python(
            "owned",
            "def main():\n    return 'ok'\n",
            json!({"volumes": [{"name": "v", "mountPath": "/scratch", "emptyDir": {}}]}),
        )
        .await;
    route.get("/").await.ok();
    owned.get("/").await.ok();
    for name in ["pooled", "owned"] {
        scene.delete::<Function>(name).await;
        scene.delete::<HTTPTrigger>(name).await;
    }
    scene.delete::<Environment>("python").await;
    scene.nothing_left(|_| false).await;
    let gone = route.get("/").await;
    assert_eq!(gone.status, 404, "{gone}");
    scene.close().await;
}

/// What the status says is what the proxies do: the winner's function answers, and after it the other one's.
#[tokio::test]
async fn e2e_one_of_two_triggers_has_the_route() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let names = ["quarrel-a", "quarrel-b"];
    let host = format!("quarrel.{}.example", scene.namespace);
    for name in names {
        scene.python_function(name, &format!("def main():\n    return '{name}'\n"), json!({})).await;
        scene
            .apply_value(json!({
                "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": {"name": name},
                "spec": {"host": host, "path": "/", "function": {"name": name}},
            }))
            .await;
    }
    let accepted = |trigger: &HTTPTrigger| {
        let accepted = reason(trigger, ConditionType::Accepted)?;
        let decided = accepted.status == "True" || accepted.reason == "Conflict";
        decided.then(|| (accepted.status == "True", accepted.message.clone()))
    };
    let mut decided = Vec::new();
    for name in names {
        let trigger = scene.has::<HTTPTrigger>(name, "decided", |trigger| accepted(trigger).is_some()).await;
        decided.push((trigger.creation_timestamp().map(|time| time.0), name));
    }
    // The older one, and the first by name when both are of one second.
    decided.sort();
    let (winner, loser) = (decided[0].1, decided[1].1);
    scene.ready::<HTTPTrigger>(winner).await;
    let refused =
        scene.has::<HTTPTrigger>(loser, "lost", |it| accepted(it).is_some_and(|(accepted, _)| !accepted)).await;
    let (_, message) = accepted(&refused).expect("it is decided");
    assert!(message.contains(winner), "the winner is named: {message}");
    let route = scene.service(muon_crds::words::GATEWAY_SERVICE, 80, &host).await;
    assert_eq!(route.get("/").await.ok(), winner);
    scene.delete::<HTTPTrigger>(winner).await;
    scene.ready::<HTTPTrigger>(loser).await;
    assert_eq!(route.get("/").await.ok(), loser);
    for name in names {
        scene.drop_function(name).await;
    }
}

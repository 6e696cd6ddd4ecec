//! What is missing, foreign or malformed: told, waited for, and never in the way of others.

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use muon_crds::wire::LoadFailure;
use muon_crds::{ConditionType, Environment, Function, HTTPTrigger};
use muon_e2e::control_plane::ControlPlane;
use muon_e2e::manifest::parse;
use muon_e2e::space::{Conditioned, Space, says};
use serde_json::json;

use crate::installation::{Installation, environment, function, space, trigger};

fn is<K: Conditioned>(object: &K, type_: ConditionType, status: &str) -> bool {
    says(object, type_).is_some_and(|found| found.status == status)
}

#[tokio::test]
async fn api_missing_references_are_waited_for() {
    let space = space("healing-missing");
    space.apply_value(trigger("early", "early", json!({}))).await;
    let told = space.has::<HTTPTrigger>("early", "waiting", |it| is(it, ConditionType::Reconciling, "True")).await;
    let resolved = says(&told, ConditionType::Resolved).expect("it is there");
    assert!(resolved.status == "False" && resolved.message.contains("early"), "{resolved:?}");
    assert!(told.conditions().iter().all(|found| found.observed_generation == Some(1)), "{:?}", told.conditions());

    space.apply_value(function("early", json!({}))).await;
    let told = space.has::<Function>("early", "waiting", |it| is(it, ConditionType::Reconciling, "True")).await;
    let resolved = says(&told, ConditionType::Resolved).expect("it is there");
    assert!(resolved.status == "False" && resolved.message.contains("python"), "{resolved:?}");
    assert!(!is(&told, ConditionType::Stalled, "True"), "it heals by itself");

    environment(&space).await;
    let healed = space.ready::<Function>("early").await;
    assert!(!is(&healed, ConditionType::Reconciling, "True"), "{:?}", healed.conditions());
    space.ready::<HTTPTrigger>("early").await;
}

async fn foreign_service(space: &Space, name: &str) -> Service {
    let service: Service = parse(json!({
        "metadata": {"name": name, "labels": {"team": "bank"}},
        "spec": {"selector": {"app": "bank"}, "ports": [{"port": 80}]},
    }));
    space.api::<Service>().create(&PostParams::default(), &service).await.expect("a Service of the user's")
}

#[tokio::test]
async fn api_foreign_service_is_never_taken_over() {
    let space = space("healing-foreign");
    environment(&space).await;
    let mine = foreign_service(&space, "taken").await;
    space.apply_value(function("taken", json!({}))).await;
    let told = space
        .has::<Function>("taken", "Stalled for NameConflict", |it| {
            says(it, ConditionType::Stalled).is_some_and(|found| found.reason == "NameConflict")
        })
        .await;
    assert!(is(&told, ConditionType::Ready, "False"));
    let services = space.api::<Service>();
    assert_eq!(services.get("taken").await.unwrap().resource_version(), mine.resource_version(), "not one write");
    services.delete("taken", &DeleteParams::default()).await.expect("it can be deleted");
    space.ready::<Function>("taken").await;
}

#[tokio::test]
async fn api_foreign_gateway_is_never_taken_over() {
    let space = space("healing-gateway");
    environment(&space).await;
    let mine = foreign_service(&space, muon_crds::words::GATEWAY_SERVICE).await;
    space.apply_value(function("hello", json!({}))).await;
    space.apply_value(trigger("hello", "hello", json!({}))).await;
    space
        .has::<HTTPTrigger>("hello", "NameConflict", |it| {
            it.conditions().iter().any(|found| found.reason == "NameConflict")
        })
        .await;
    let services = space.api::<Service>();
    let now = services.get(muon_crds::words::GATEWAY_SERVICE).await.unwrap();
    assert_eq!(now.resource_version(), mine.resource_version(), "not one write");
}

/// Children that somebody changes or deletes come back as they were.
#[tokio::test]
async fn api_changed_children_are_mended() {
    let space = space("healing-children");
    environment(&space).await;
    space.apply_value(function("hello", json!({}))).await;
    space.ready::<Function>("hello").await;
    let services = space.api::<Service>();
    let target = |service: &Service| service.spec.as_ref().and_then(|spec| spec.external_name.clone());
    let before = target(&services.get("hello").await.unwrap());
    let patch = Patch::Merge(json!({"spec": {"externalName": "evil.example"}}));
    services.patch("hello", &PatchParams::default(), &patch).await.expect("a changed Service");
    let mended = async || {
        let now = services.get_opt("hello").await.ok()??;
        (target(&now) == before).then_some(now)
    };
    let mended = muon_e2e::wait::until("mended", muon_e2e::space::READY_WITHIN, mended).await;
    services.delete("hello", &DeleteParams::default()).await.expect("it can be deleted");
    muon_e2e::wait::until("made anew", muon_e2e::space::READY_WITHIN, async || {
        let now = services.get_opt("hello").await.ok()??;
        (now.uid() != mended.uid() && target(&now) == before).then_some(())
    })
    .await;
}

/// Stored by an older release, say, or by a hand in etcd: an object that no type fits is told of, if it can be, and
/// the others are served.
#[tokio::test]
async fn api_malformed_objects_stop_nobody() {
    let space = space("healing-malformed");
    environment(&space).await;
    for (plural, kind) in [
        ("functions", "Function"),
        ("httptriggers", "HTTPTrigger"),
        ("packages", "Package"),
        ("environments", "Environment"),
    ] {
        let key = format!("/registry/muon.dev/{plural}/{}/malformed", space.namespace);
        let object = json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": kind,
            "metadata": {
                "name": "malformed", "namespace": space.namespace, "uid": format!("00000000-0000-4000-8000-{:012}", plural.len()),
                "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1,
            },
            "spec": {"environment": 7, "function": [], "runtime": "none", "source": "text"},
        });
        ControlPlane::shared().put_in_etcd(&key, &object).await;
        let listed = ControlPlane::shared().kubectl_ok(&["get", "-n", &space.namespace, plural, "-o", "name"], "");
        assert!(listed.contains("/malformed"), "the API server gives it out: {listed}");
    }
    space.apply_value(function("sound", json!({}))).await;
    space.apply_value(trigger("sound", "sound", json!({}))).await;
    space.ready::<Function>("sound").await;
    space.ready::<HTTPTrigger>("sound").await;
}

/// What a proxy tells of the user's code is shown where people look.
#[tokio::test]
async fn api_failed_load_is_told() {
    let space = space("healing-load");
    environment(&space).await;
    space.apply_value(function("broken", json!({}))).await;
    let ready = space.ready::<Function>("broken").await;
    let revision =
        ready.status.as_ref().and_then(|status| status.serving.as_ref()).expect("it is served").revision.clone();
    let failure = LoadFailure {
        uid: ready.uid().unwrap(),
        revision,
        message: "the name \"../x\" leads outside the package".to_owned(),
        reason: "ArchiveNameRefused".to_owned(),
    };
    Installation::shared().proxy_says(|activity| activity.failures.push(failure));
    let told = space.has::<Function>("broken", "Loaded=False", |it| is(it, ConditionType::Loaded, "False")).await;
    let found = says(&told, ConditionType::Loaded).expect("it was found");
    assert!(found.reason == "ArchiveNameRefused" && found.message.contains("../x"), "{found:?}");
    assert!(is(&told, ConditionType::Ready, "False"), "{:?}", told.conditions());

    let mended = json!({"source": {"files": {"main.py": "def main(): return 1"}}});
    space.apply_value(function("broken", mended)).await;
    space.ready::<Function>("broken").await;
}

/// An owner reference is all that the garbage collector needs; no finalizer of ours holds anything up.
#[tokio::test]
async fn api_nothing_has_a_finalizer() {
    let space = space("healing-finalizers");
    environment(&space).await;
    space.apply_value(function("hello", json!({"env": [{"name": "A"}]}))).await;
    space.apply_value(trigger("hello", "hello", json!({}))).await;
    let function = space.ready::<Function>("hello").await;
    let trigger = space.ready::<HTTPTrigger>("hello").await;
    let environments: Api<Environment> = space.api();
    let environment = environments.get("python").await.unwrap();
    for finalizers in [function.finalizers(), trigger.finalizers(), environment.finalizers()] {
        assert!(finalizers.is_empty(), "{finalizers:?}");
    }
    space.delete::<Function>("hello").await;
    // The gateway's Services have no owner in the namespace: they go when there is no use for them.
    space.delete::<HTTPTrigger>("hello").await;
    let services = space.api::<Service>();
    muon_e2e::wait::until("the gateway's Services are gone", muon_e2e::space::READY_WITHIN, async || {
        let gateway = services.get_opt(muon_crds::words::GATEWAY_SERVICE).await.ok()?;
        let functions = services.get_opt(muon_crds::words::FUNCTIONS_SERVICE).await.ok()?;
        (gateway.is_none() && functions.is_none()).then_some(())
    })
    .await;
}

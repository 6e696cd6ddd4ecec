//! The languages beside Python and Node.js: their samples on a node, and what is told of code that is wrong.

use kube::api::DynamicObject;
use muon_crds::wire::{Component, Executed};
use muon_crds::{ConditionType, Function, HTTPTrigger, condition};
use muon_e2e::control_plane::repository;
use muon_e2e::manifest::documents;
use muon_e2e::route::Route;
use muon_e2e::scene::Scene;
use muon_e2e::space::Conditioned as _;
use serde_json::json;

use crate::samples::{aside, check_in, reach, told_at};
use crate::together;

/// One Environment with its samples, and its file of `samples/broken`, whose error must be read everywhere.
async fn speaks(language: &str, samples: &[&str]) {
    let _cluster = together().await;
    let scene = Scene::empty(language).await;
    scene.environment(language, json!({"min": 2, "max": 4})).await;
    for sample in samples {
        check_in(&scene, sample).await;
    }
    tells_of_broken(&scene, language).await;
    scene.close().await;
}

async fn tells_of_broken(scene: &Scene, language: &str) {
    let sample = repository().join("samples/broken");
    let text = std::fs::read_to_string(sample.join(format!("{language}.yaml"))).expect("the language's broken sample");
    let objects: Vec<DynamicObject> = documents(&aside(&text)).iter().map(|document| document.object()).collect();
    for object in &objects {
        scene.apply_value(serde_json::to_value(object).expect("it was YAML")).await;
    }
    let name = format!("broken-{language}");
    scene.ready::<Function>(&name).await;
    scene.ready::<HTTPTrigger>(&name).await;
    let route = Route::new(&scene.cluster.ingress, "broken.samples.example");
    reach(&route, &objects).await;

    let path = format!("/{language}");
    let (status, words) = told_at(&sample, &path);
    let reply = route.get(&path).await;
    let failure = reply.failure();
    assert_eq!(
        (reply.status, failure.component, failure.executed),
        (status, Component::Runtime, Executed::No),
        "{reply}"
    );
    assert!(failure.message.contains(&words), "{words}: {reply}");
    let told = scene
        .has::<Function>(&name, "Loaded=False", |function| {
            condition::find(function.conditions(), ConditionType::Loaded).is_some_and(|found| found.status == "False")
        })
        .await;
    let loaded = condition::find(told.conditions(), ConditionType::Loaded).expect("it is there");
    assert!(loaded.message.contains(&words), "{words}: {loaded:?}");
}

#[tokio::test]
async fn e2e_language_php() {
    speaks("php", &["hello-php", "prices-php"]).await;
}

#[tokio::test]
async fn e2e_language_ruby() {
    speaks("ruby", &["hello-ruby", "tally-ruby"]).await;
}

#[tokio::test]
async fn e2e_language_binary() {
    speaks("binary", &["hello-binary", "invoice-binary"]).await;
}

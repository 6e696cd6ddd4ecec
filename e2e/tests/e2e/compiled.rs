//! Compiled languages: their samples on a node. What does not compile never meets a request, and its author reads where
//! it is wrong.

use muon_crds::{ConditionType, Package, condition};
use muon_e2e::control_plane::repository;
use muon_e2e::scene::{Scene, has_builder};
use serde_json::json;

use crate::samples::check_in;

/// Environment, its file of `samples/broken-build`, and what is told of that. The first is always tested; the others are
/// when their images are here: `hack/test --environments all e2e -k compiled`.
const LANGUAGES: [(&str, &str); 4] = [
    ("go", "./greet.go:9:18: undefined: greeting"),
    ("csharp", "Shop/Order.cs(7,20): error CS0029"),
    ("java", "shop/Order.java:5: error: incompatible types"),
    ("rust", "lib.rs:4:5"),
];

/// What the condition of a failed build says.
fn why(package: &Package) -> Option<&str> {
    let conditions = package.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let built = condition::find(conditions, ConditionType::Built)?;
    (built.reason == "BuildFailed").then_some(built.message.as_str())
}

async fn tells_of_broken(scene: &Scene, name: &str, wanted: &str) {
    let file = repository().join(format!("samples/broken-build/{name}.yaml"));
    scene.apply(&std::fs::read_to_string(file).expect("a sample")).await;
    let package = scene.package(&format!("broken-{name}"), "a failed build", |package| why(package).is_some()).await;
    let said = why(&package).expect("it was found");
    assert!(said.contains(wanted), "{said}");
    assert!(package.status.is_some_and(|status| status.digest.is_none()), "nothing of it is loaded");
}

#[tokio::test]
async fn e2e_compiled_languages() {
    let _cluster = crate::together().await;
    assert!(has_builder(LANGUAGES[0].0), "its images are always built");
    for (language, error) in LANGUAGES.into_iter().filter(|(language, _)| has_builder(language)) {
        let scene = Scene::empty(&format!("compiled-{language}")).await;
        scene.environment(language, json!({"min": 1, "max": 2})).await;
        check_in(&scene, &format!("hello-{language}")).await;
        tells_of_broken(&scene, language, error).await;
        scene.close().await;
    }
}

#[tokio::test]
async fn e2e_compiled_errors_are_shown_with_file_and_line() {
    let _cluster = crate::together().await;
    let scene = Scene::empty("compiled-broken").await;
    scene.environment("node", json!({"min": 0, "max": 1})).await;
    let wanted = "index.ts(3,3): error TS2322: Type 'string' is not assignable to type 'number'.";
    tells_of_broken(&scene, "typescript", wanted).await;
    scene.close().await;
}

//! What does not compile never meets a request, and its author reads where it is wrong.

use muon_crds::{ConditionType, Package, condition};
use muon_e2e::control_plane::repository;
use muon_e2e::scene::Scene;
use serde_json::json;

/// What the condition of a failed build says.
fn why(package: &Package) -> Option<&str> {
    let conditions = package.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let built = condition::find(conditions, ConditionType::Built)?;
    (built.reason == "BuildFailed").then_some(built.message.as_str())
}

#[tokio::test]
async fn e2e_compiled_errors_are_shown_with_file_and_line() {
    let _cluster = crate::together().await;
    let scene = Scene::empty("compiled-broken").await;
    scene.environment("node", json!({"min": 0, "max": 1})).await;
    let file = repository().join("samples/broken-build/typescript.yaml");
    scene.apply(&std::fs::read_to_string(file).expect("a sample")).await;
    let package = scene.package("broken-typescript", "a failed build", |package| why(package).is_some()).await;
    let said = why(&package).expect("it was found");
    assert!(said.contains("index.ts(3,3): error TS2322: Type 'string' is not assignable to type 'number'."), "{said}");
    assert!(package.status.is_some_and(|status| status.digest.is_none()), "nothing of it is loaded");
    scene.close().await;
}

use super::*;
use crate::mock::{api, metrics, refusal};
use muon_crds::{Condition, Package};
use muon_plan::Invalid;
use muon_plan::NoteType;
use serde_json::Value;

fn condition(type_: &str, status: &str) -> Condition {
    Condition {
        type_: type_.into(),
        status: status.into(),
        reason: "Because".into(),
        message: "so".into(),
        observed_generation: Some(1),
        last_transition_time: "2026-01-01T00:00:00Z".into(),
    }
}

fn status(ready: &str) -> PackageStatus {
    PackageStatus {
        observed_generation: Some(1),
        conditions: vec![condition("Ready", ready)],
        ..PackageStatus::default()
    }
}

fn package(status: Option<PackageStatus>) -> Package {
    let mut package: Package = serde_json::from_value(json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Package",
        "metadata": {"name": "hello", "namespace": "demo", "uid": "u", "resourceVersion": "5", "generation": 1},
        "spec": {"environment": "python", "source": {"files": {"main.py": ""}}}
    }))
    .unwrap();
    package.status = status;
    package
}

fn report(status: PackageStatus) -> Report<PackageStatus> {
    let note =
        Note { type_: NoteType::Normal, reason: "Stored".into(), action: "Store", message: "it is there".into() };
    Report { status, notes: vec![note] }
}

fn answer(asked: &crate::mock::Asked) -> (u16, Value) {
    match asked.path.contains("events") {
        true => (201, json!({"metadata": {"name": "e", "namespace": "demo"}, "eventTime": null})),
        false => {
            let mut stored = serde_json::to_value(package(None)).unwrap();
            stored["metadata"]["resourceVersion"] = json!("6");
            stored["status"] = asked.body["status"].clone();
            (200, stored)
        }
    }
}

#[tokio::test]
async fn the_same_status_is_not_written() {
    let (client, log) = api(answer);
    let reporting = Reporting::new(client, "muon.dev/package", "operator-0", metrics());
    let live = package(Some(status("True")));
    let written = reporting.write(&live, &report(status("True"))).await.unwrap();
    assert_eq!(written, Written { resource_version: "5".into(), written: false });
    assert!(log.all().is_empty(), "{:?}", log.all());
}

#[tokio::test]
async fn another_status_is_written_once_bound_to_its_version_with_an_event() {
    let (client, log) = api(answer);
    let reporting = Reporting::new(client, "muon.dev/package", "operator-0", metrics());
    let written = reporting.write(&package(None), &report(status("True"))).await.unwrap();
    assert_eq!(written, Written { resource_version: "6".into(), written: true });
    let [patch, event] = log.writes().try_into().unwrap();
    assert!(patch.path.ends_with("/packages/hello/status"), "{}", patch.path);
    assert_eq!(patch.body["metadata"], json!({"uid": "u", "resourceVersion": "5"}));
    assert_eq!((event.method.as_str(), &event.body["reason"]), ("POST", &json!("Stored")));
}

#[tokio::test]
async fn a_status_of_an_older_version_is_refused_and_is_a_race() {
    let (client, _) = api(|_| refusal(409, "Conflict"));
    let reporting = Reporting::new(client, "muon.dev/package", "operator-0", metrics());
    let error = reporting.write(&package(None), &report(status("True"))).await.unwrap_err();
    assert!(error.is_race());
}

#[tokio::test]
async fn what_passes_by_itself_does_not_take_back_ready() {
    let (client, log) = api(answer);
    let reporting = Reporting::new(client, "muon.dev/package", "operator-0", metrics());
    let (passing, stalled) = (Trouble::passing("no answer"), Trouble::from(Invalid::refused("never")));
    let ready = package(Some(status("True")));
    assert!(!reporting.settle(&ready, &report(status("False")), Some(&passing)).await.unwrap().written);
    assert!(log.all().is_empty());
    assert!(reporting.settle(&ready, &report(status("False")), Some(&stalled)).await.unwrap().written);
    let waiting = package(Some(status("Unknown")));
    assert!(reporting.settle(&waiting, &report(status("False")), Some(&passing)).await.unwrap().written);
}

#[test]
fn texts_are_not_cut_inside_a_character() {
    assert_eq!(cut("héllo", 2), "h");
    assert_eq!(cut("héllo", 3), "hé");
    assert_eq!(cut("x", 10), "x");
}

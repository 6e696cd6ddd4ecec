use super::*;
use crate::mock::{Asked, api, metrics, refusal};
use k8s_openapi::api::core::v1::Service;
use serde_json::json;

const UID: &str = "owner-uid";

fn desired() -> Service {
    serde_json::from_value(json!({
        "metadata": {"name": "hello", "namespace": "demo", "ownerReferences": [
            {"apiVersion": "muon.dev/v1alpha1", "kind": "Function", "name": "hello", "uid": UID, "controller": true}]},
        "spec": {"type": "ExternalName", "externalName": "muon-functions.demo.svc.cluster.local"}
    }))
    .unwrap()
}

/// What the API server would keep of an object that was applied.
fn stored(applied: &Value) -> Value {
    let mut stored = applied.clone();
    stored["metadata"]["uid"] = json!("service-uid");
    stored["metadata"]["resourceVersion"] = json!("7");
    stored["spec"]["sessionAffinity"] = json!("None");
    stored
}

fn live(change: impl FnOnce(&mut Value)) -> Service {
    let mut stored = stored(&body(&desired()).unwrap());
    change(&mut stored);
    serde_json::from_value(stored).unwrap()
}

fn echo(asked: &Asked) -> (u16, Value) {
    match asked.method.as_str() {
        "PATCH" => (200, stored(&asked.body)),
        _ => refusal(404, "NotFound"),
    }
}

fn applier(client: Client) -> Applier {
    Applier::new(client, "muon.dev/function", metrics())
}

#[tokio::test]
async fn an_unchanged_object_is_not_written() {
    let (client, log) = api(echo);
    let live = live(|_| {});
    let applied = applier(client).apply(Some(&live), &desired(), Ours::Controller(UID)).await.unwrap();
    assert!(!applied.written);
    assert!(log.all().is_empty(), "the cache was enough: {:?}", log.all());
}

#[tokio::test]
async fn an_absent_object_is_made_without_force() {
    let (client, log) = api(echo);
    let applied = applier(client).apply(None, &desired(), Ours::Controller(UID)).await.unwrap();
    assert!(applied.written);
    let [write] = log.writes().try_into().unwrap();
    assert_eq!(write.content_type, "application/apply-patch+yaml");
    assert!(!write.query.contains("force"), "{}", write.query);
    assert!(write.query.contains("fieldManager=muon.dev%2Ffunction"), "{}", write.query);
    // What came back is recognised as what was asked for.
    let again = applier(api(echo).0).apply(Some(&applied.object), &desired(), Ours::Controller(UID)).await.unwrap();
    assert!(!again.written);
}

#[tokio::test]
async fn an_edit_is_repaired_and_the_write_is_bound_to_the_object() {
    let (client, log) = api(echo);
    let live = live(|stored| stored["spec"]["externalName"] = json!("elsewhere.example"));
    assert!(applier(client).apply(Some(&live), &desired(), Ours::Controller(UID)).await.unwrap().written);
    let [write] = log.writes().try_into().unwrap();
    assert!(write.query.contains("force=true"));
    assert_eq!(write.body["metadata"]["uid"], "service-uid");
}

#[tokio::test]
async fn a_field_that_is_no_longer_wanted_is_a_difference() {
    let (client, log) = api(echo);
    let live = live(|_| {});
    let mut desired = desired();
    desired.spec.as_mut().unwrap().external_name = None;
    assert!(applier(client).apply(Some(&live), &desired, Ours::Controller(UID)).await.unwrap().written);
    assert_eq!(log.writes().len(), 1);
}

#[tokio::test]
async fn a_foreign_object_is_never_written() {
    for owner in [
        json!(null),
        json!([{"apiVersion": "v1", "kind": "Function", "name": "hello", "uid": "another", "controller": true}]),
    ] {
        let foreign = live(|stored| stored["metadata"]["ownerReferences"] = owner);
        // As the cache has it, and as only the API server has it.
        let found = serde_json::to_value(&foreign).unwrap();
        let (client, log) = api(move |asked| if asked.method == "GET" { (200, found.clone()) } else { echo(asked) });
        for live in [Some(&foreign), None] {
            let error = applier(client.clone()).apply(live, &desired(), Ours::Controller(UID)).await.unwrap_err();
            assert!(
                matches!(error, ApplyError::NameConflict { ref kind, ref name } if kind == "Service" && name == "hello"),
                "{error}"
            );
        }
        assert!(log.writes().is_empty());
    }
}

#[tokio::test]
async fn a_foreign_object_that_comes_between_looking_and_making_is_not_taken_over() {
    let mut foreign = stored(&body(&desired()).unwrap());
    foreign["metadata"]["ownerReferences"] = json!(null);
    let mut looked = false;
    let (client, log) = api(move |asked| match asked.method.as_str() {
        "GET" if looked => (200, foreign.clone()),
        "GET" => {
            looked = true;
            refusal(404, "NotFound")
        }
        _ => refusal(409, "Conflict"),
    });
    let error = applier(client).apply(None, &desired(), Ours::Controller(UID)).await.unwrap_err();
    assert!(matches!(error, ApplyError::NameConflict { .. }), "{error}");
    assert!(log.writes().iter().all(|write| !write.query.contains("force")));
}

#[tokio::test]
async fn our_own_object_that_a_twin_made_meanwhile_is_taken_as_it_is() {
    let ours = stored(&body(&desired()).unwrap());
    let mut looked = false;
    let (client, log) = api(move |asked| match asked.method.as_str() {
        "GET" if looked => (200, ours.clone()),
        "GET" => {
            looked = true;
            refusal(404, "NotFound")
        }
        _ => refusal(409, "Conflict"),
    });
    let applied = applier(client).apply(None, &desired(), Ours::Controller(UID)).await.unwrap();
    assert!(!applied.written);
    assert_eq!(log.writes().len(), 1);
}

#[tokio::test]
async fn an_object_that_was_made_anew_meanwhile_is_a_race() {
    let live = live(|stored| stored["spec"]["externalName"] = json!("elsewhere.example"));
    let (client, _) = api(|_| refusal(409, "Conflict"));
    let error = applier(client).apply(Some(&live), &desired(), Ours::Controller(UID)).await.unwrap_err();
    assert!(matches!(error, ApplyError::Call(ref call) if call.is_race()), "{error}");
}

#[tokio::test]
async fn an_object_on_its_way_out_is_left_alone() {
    let (client, log) = api(echo);
    let live = live(|stored| stored["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    let error = applier(client).apply(Some(&live), &desired(), Ours::Controller(UID)).await.unwrap_err();
    assert!(matches!(error, ApplyError::Terminating { .. }));
    assert!(log.all().is_empty());
}

#[test]
fn namespace_objects_are_ours_by_their_label() {
    let labelled = |value: &str| {
        live(|stored| {
            stored["metadata"]["ownerReferences"] = json!(null);
            stored["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": value});
        })
    };
    assert!(Ours::Label.owns(&labelled("muon")));
    assert!(!Ours::Label.owns(&labelled("helm")));
    assert!(!Ours::Label.owns(&live(|_| {})));
}

use super::*;
use crate::mock::{api, metrics, refusal};

fn pod() -> PodRef {
    PodRef { name: "p".to_owned(), uid: "u".to_owned() }
}

#[tokio::test]
async fn a_pod_drains_before_it_is_deleted_and_both_are_bound_to_it() {
    let (client, log) = api(|_| (200, json!({"metadata": {"name": "p"}})));
    let writes = Writes::new(client, metrics());
    assert_eq!(writes.relabel("demo", &pod(), State::Claimed, State::Draining).await.unwrap(), Outcome::Done);
    assert_eq!(writes.delete_pod("demo", &pod()).await.unwrap(), Outcome::Done);
    let [patch, delete] = log.writes().try_into().unwrap();
    assert_eq!((patch.method.as_str(), patch.content_type.as_str()), ("PATCH", "application/json-patch+json"));
    let steps = patch.body.as_array().unwrap();
    assert_eq!(steps[0], json!({"op": "test", "path": "/metadata/uid", "value": "u"}));
    assert_eq!(steps[1], json!({"op": "test", "path": "/metadata/labels/muon.dev~1state", "value": "claimed"}));
    assert_eq!(steps[2], json!({"op": "replace", "path": "/metadata/labels/muon.dev~1state", "value": "draining"}));
    assert_eq!(delete.method, "DELETE");
    assert_eq!(delete.body["preconditions"], json!({"uid": "u"}));
}

#[tokio::test]
async fn what_comes_too_late_does_nothing_and_is_no_error() {
    for (code, reason) in [(404, "NotFound"), (409, "Conflict"), (422, "Invalid")] {
        let (client, _) = api(move |_| refusal(code, reason));
        let writes = Writes::new(client, metrics());
        assert_eq!(writes.relabel("demo", &pod(), State::Free, State::Retiring).await.unwrap(), Outcome::TooLate);
        assert_eq!(writes.delete_pod("demo", &pod()).await.unwrap(), Outcome::TooLate);
        assert_eq!(writes.resize("demo", "d", "u", 0).await.unwrap(), Outcome::TooLate);
    }
}

#[tokio::test]
async fn a_refusal_is_told() {
    let (client, _) = api(|_| refusal(403, "Forbidden"));
    let error = Writes::new(client, metrics()).delete_pod("demo", &pod()).await.unwrap_err();
    assert_eq!(error.refusal(), Some("Forbidden"));
}

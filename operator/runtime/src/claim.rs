//! What proxies write: preconditioned patches that make a pool's pod a function's, or set it aside for one that will come.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, header};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use muon_crds::wire::Reserved;
use muon_crds::words::{self, State};
use muon_proxy::{Claim, ClaimError, ClaimRequest, Claimer, ReserveRequest, Step};
use serde::Deserialize;
use serde_json::{Value, json};

/// How long a claim may take before it counts as failed.
const DEADLINE: Duration = Duration::from_secs(5);

/// Claims through the API server.
pub(crate) struct ApiClaimer {
    client: Client,
}

/// All of the answer that is read: the server is asked for a pod's metadata alone.
#[derive(Deserialize)]
struct Answer {
    metadata: ObjectMeta,
}

impl ApiClaimer {
    /// Claims with this client's account.
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    async fn patch(&self, request: Result<Request<Vec<u8>>, http::Error>) -> Result<Claim, ClaimError> {
        let request = request.map_err(|error| ClaimError { message: error.to_string(), retry: false })?;
        match tokio::time::timeout(DEADLINE, self.client.request::<Answer>(request)).await {
            Err(_) => Err(ClaimError {
                message: format!("no answer from the API server within {} s", DEADLINE.as_secs()),
                retry: true,
            }),
            Ok(Ok(answer)) => Ok(outcome(&answer.metadata)),
            // 422: a test of the patch failed; 404: the pod is gone. Either way it is not ours.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409 | 422) => Ok(Claim::Lost),
            Ok(Err(kube::Error::Api(status))) => {
                let retry = status.code == 429 || status.code >= 500;
                Err(ClaimError { message: status.message.clone(), retry })
            }
            Ok(Err(error)) => Err(ClaimError { message: error.to_string(), retry: true }),
        }
    }
}

impl Claimer for ApiClaimer {
    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claim, ClaimError>> {
        async move { self.patch(claim_patch(&request)).await }.boxed()
    }

    fn reserve(&self, request: ReserveRequest) -> BoxFuture<'_, Result<Claim, ClaimError>> {
        async move { self.patch(reserve_patch(&request)).await }.boxed()
    }
}

/// A patch also succeeds on a pod that is being deleted: such a claim is lost.
fn outcome(metadata: &ObjectMeta) -> Claim {
    match metadata.deletion_timestamp {
        Some(_) => Claim::Lost,
        None => Claim::Won { resource_version: muon_routes::resource_version(metadata.resource_version.as_deref()) },
    }
}

fn claim_patch(claim: &ClaimRequest) -> Result<Request<Vec<u8>>, http::Error> {
    let owner = json!({
        "apiVersion": format!("{}/{}", words::GROUP, words::VERSION),
        "kind": "Function",
        "name": claim.function,
        "uid": claim.function_uid,
        "controller": true,
        "blockOwnerDeletion": false,
    });
    let mut patch = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": claim.pod_uid}),
        json!({"op": "test", "path": label(words::ENVIRONMENT), "value": claim.environment}),
    ];
    match &claim.reserved {
        None => patch.push(is(State::Free)),
        Some(reserved) => {
            patch.extend(is_reserved(reserved));
            patch.extend(not_reserved());
        }
    }
    patch.extend([
        becomes(State::Claimed),
        json!({"op": "add", "path": label(words::FUNCTION), "value": claim.function}),
        json!({"op": "add", "path": label(words::REVISION), "value": claim.revision}),
        json!({"op": "add", "path": annotation(words::FUNCTION_UID), "value": claim.function_uid}),
        json!({"op": "add", "path": "/metadata/ownerReferences", "value": [owner]}),
    ]);
    request(&claim.namespace, &claim.pod, words::manager::CLAIM, patch)
}

fn reserve_patch(asked: &ReserveRequest) -> Result<Request<Vec<u8>>, http::Error> {
    let mut patch = vec![json!({"op": "test", "path": "/metadata/uid", "value": asked.pod_uid})];
    match &asked.step {
        Step::Reserve(reserved) => patch.extend([
            is(State::Free),
            becomes(State::Reserved),
            json!({"op": "add", "path": label(words::RESERVED_BY), "value": reserved.by}),
            json!({"op": "add", "path": label(words::RESERVED_UNTIL), "value": reserved.until.to_string()}),
        ]),
        Step::Return(reserved) => {
            patch.extend(is_reserved(reserved));
            patch.push(becomes(State::Free));
            patch.extend(not_reserved());
        }
        // Who had reserved it stays to be read.
        Step::Retire(reserved) => {
            patch.extend(is_reserved(reserved));
            patch.push(becomes(State::Retiring));
            patch.push(json!({"op": "add", "path": annotation(words::DELETION_COST), "value": "-1000"}));
        }
    }
    request(&asked.namespace, &asked.pod, words::manager::RESERVE, patch)
}

fn is(state: State) -> Value {
    json!({"op": "test", "path": label(words::STATE), "value": state.as_str()})
}

fn becomes(state: State) -> Value {
    json!({"op": "replace", "path": label(words::STATE), "value": state.as_str()})
}

fn is_reserved(reserved: &Reserved) -> [Value; 3] {
    [
        is(State::Reserved),
        json!({"op": "test", "path": label(words::RESERVED_BY), "value": reserved.by}),
        json!({"op": "test", "path": label(words::RESERVED_UNTIL), "value": reserved.until.to_string()}),
    ]
}

fn not_reserved() -> [Value; 2] {
    [words::RESERVED_BY, words::RESERVED_UNTIL].map(|key| json!({"op": "remove", "path": label(key)}))
}

fn label(key: &str) -> String {
    format!("/metadata/labels/{}", key.replace('/', "~1"))
}

fn annotation(key: &str) -> String {
    format!("/metadata/annotations/{}", key.replace('/', "~1"))
}

fn request(namespace: &str, pod: &str, manager: &str, patch: Vec<Value>) -> Result<Request<Vec<u8>>, http::Error> {
    let manager = manager.replace('/', "%2F");
    Request::patch(format!("/api/v1/namespaces/{namespace}/pods/{pod}?fieldManager={manager}"))
        .header(header::CONTENT_TYPE, "application/json-patch+json")
        // Metadata only: a whole pod is some kilobytes that nobody would read.
        .header(header::ACCEPT, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
        .body(Value::from(patch).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(reserved: Option<Reserved>) -> ClaimRequest {
        ClaimRequest {
            namespace: "shop".into(),
            pod: "python-pool-1".into(),
            pod_uid: "u1".into(),
            function: "cart".into(),
            function_uid: "f1".into(),
            revision: "abcd1234".into(),
            environment: "python".into(),
            reserved,
        }
    }

    fn reserved() -> Reserved {
        Reserved { by: "muon-proxy-1".into(), until: 1_800_000_000 }
    }

    /// The operations of a patch: those that test, and those that write. None writes before all have tested.
    fn operations(request: Result<Request<Vec<u8>>, http::Error>) -> (Vec<Value>, Vec<Value>) {
        let mut tests: Vec<Value> = serde_json::from_slice(request.unwrap().body()).unwrap();
        let first_write = tests.iter().position(|operation| operation["op"] != "test").unwrap();
        let writes = tests.split_off(first_write);
        assert!(writes.iter().all(|operation| operation["op"] != "test"), "{writes:?}");
        (tests, writes)
    }

    fn has(operations: &[Value], path: &str, value: &str) -> bool {
        operations.iter().any(|operation| operation["path"] == path && operation["value"] == value)
    }

    #[test]
    fn a_claim_tests_before_it_writes() {
        let (tests, writes) = operations(claim_patch(&claim(None)));
        assert!(has(&tests, "/metadata/uid", "u1"));
        assert!(has(&tests, "/metadata/labels/muon.dev~1state", "free"));
        assert!(has(&writes, "/metadata/labels/muon.dev~1state", "claimed"));
    }

    #[test]
    fn every_change_of_a_reserved_pod_tests_by_whom_and_until_when() {
        let step = |step| {
            let (namespace, pod, pod_uid) = ("shop".into(), "python-pool-1".into(), "u1".into());
            operations(reserve_patch(&ReserveRequest { namespace, pod, pod_uid, step }))
        };
        for (state, (tests, writes)) in [
            ("claimed", operations(claim_patch(&claim(Some(reserved()))))),
            ("free", step(Step::Return(reserved()))),
            ("retiring", step(Step::Retire(reserved()))),
        ] {
            assert!(has(&tests, "/metadata/uid", "u1"));
            assert!(has(&tests, "/metadata/labels/muon.dev~1state", "reserved"));
            assert!(has(&tests, "/metadata/labels/muon.dev~1reserved-by", "muon-proxy-1"));
            assert!(has(&tests, "/metadata/labels/muon.dev~1reserved-until", "1800000000"));
            assert!(has(&writes, "/metadata/labels/muon.dev~1state", state));
        }
        let (tests, writes) = step(Step::Reserve(reserved()));
        assert!(has(&tests, "/metadata/labels/muon.dev~1state", "free"));
        assert!(has(&writes, "/metadata/labels/muon.dev~1reserved-by", "muon-proxy-1"));
    }

    #[test]
    fn a_claim_of_a_dying_pod_is_lost() {
        let mut metadata = ObjectMeta { resource_version: Some("7".into()), ..ObjectMeta::default() };
        assert_eq!(outcome(&metadata), Claim::Won { resource_version: 7 });
        metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        assert_eq!(outcome(&metadata), Claim::Lost);
    }
}

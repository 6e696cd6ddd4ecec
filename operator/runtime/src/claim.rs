//! The one write that a cold request costs: a preconditioned patch that makes a free pod a function's.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, header};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use muon_crds::words::{self, State};
use muon_proxy::{Claim, ClaimError, ClaimRequest, Claimer};
use serde::Deserialize;
use serde_json::json;

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

    async fn patch(&self, claim: &ClaimRequest) -> Result<Claim, ClaimError> {
        let request = patch_request(claim).map_err(|message| ClaimError { message, retry: false })?;
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
        async move { self.patch(&request).await }.boxed()
    }
}

/// A patch also succeeds on a pod that is being deleted: such a claim is lost.
fn outcome(metadata: &ObjectMeta) -> Claim {
    match metadata.deletion_timestamp {
        Some(_) => Claim::Lost,
        None => Claim::Won { resource_version: muon_routes::resource_version(metadata.resource_version.as_deref()) },
    }
}

fn patch_request(claim: &ClaimRequest) -> Result<Request<Vec<u8>>, String> {
    let label = |key: &str| format!("/metadata/labels/{}", key.replace('/', "~1"));
    let annotation = format!("/metadata/annotations/{}", words::FUNCTION_UID.replace('/', "~1"));
    let owner = json!({
        "apiVersion": format!("{}/{}", words::GROUP, words::VERSION),
        "kind": "Function",
        "name": claim.function,
        "uid": claim.function_uid,
        "controller": true,
        "blockOwnerDeletion": false,
    });
    let patch = json!([
        {"op": "test", "path": "/metadata/uid", "value": claim.pod_uid},
        {"op": "test", "path": label(words::STATE), "value": State::Free.as_str()},
        {"op": "test", "path": label(words::ENVIRONMENT), "value": claim.environment},
        {"op": "replace", "path": label(words::STATE), "value": State::Claimed.as_str()},
        {"op": "add", "path": label(words::FUNCTION), "value": claim.function},
        {"op": "add", "path": label(words::REVISION), "value": claim.revision},
        {"op": "add", "path": annotation, "value": claim.function_uid},
        {"op": "add", "path": "/metadata/ownerReferences", "value": [owner]},
    ]);
    let uri = format!(
        "/api/v1/namespaces/{}/pods/{}?fieldManager={}",
        claim.namespace,
        claim.pod,
        words::manager::CLAIM.replace('/', "%2F")
    );
    Request::patch(uri)
        .header(header::CONTENT_TYPE, "application/json-patch+json")
        // Metadata only: a whole pod is some kilobytes that nobody would read.
        .header(header::ACCEPT, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
        .body(patch.to_string().into_bytes())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ClaimRequest {
        ClaimRequest {
            namespace: "shop".into(),
            pod: "python-pool-1".into(),
            pod_uid: "u1".into(),
            function: "cart".into(),
            function_uid: "f1".into(),
            revision: "abcd1234".into(),
            environment: "python".into(),
        }
    }

    #[test]
    fn a_claim_tests_before_it_writes() {
        let patch: Vec<serde_json::Value> = serde_json::from_slice(patch_request(&request()).unwrap().body()).unwrap();
        let first_write = patch.iter().position(|step| step["op"] != "test").unwrap();
        assert!(patch[..first_write].iter().any(|step| step["path"] == "/metadata/uid" && step["value"] == "u1"));
        assert!(patch[..first_write].iter().any(|step| step["value"] == "free"));
        assert!(patch[first_write..].iter().all(|step| step["op"] != "test"));
    }

    #[test]
    fn a_claim_of_a_dying_pod_is_lost() {
        let mut metadata = ObjectMeta { resource_version: Some("7".into()), ..ObjectMeta::default() };
        assert_eq!(outcome(&metadata), Claim::Won { resource_version: 7 });
        metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        assert_eq!(outcome(&metadata), Claim::Lost);
    }
}

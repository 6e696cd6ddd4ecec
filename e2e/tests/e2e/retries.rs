//! A pod that dies in the midst of a request: it is sent to another one where its trigger says so.

use http::Method;
use muon_crds::HTTPTrigger;
use muon_e2e::scene::Scene;
use serde_json::json;

use crate::together;

/// The process ends at the first attempt, as one that runs out of memory does.
const CODE: &str = "
import os
from muon import request

def main():
    if request.path == '/fragile' and request.headers.get('muon-attempt') != '2':
        os._exit(1)
    return request.request_id
";

#[tokio::test]
async fn e2e_retry_sends_a_request_that_a_pod_broke_off_to_another() {
    let _cluster = together().await;
    let scene = Scene::open("retry", json!({"min": 3, "max": 6})).await;
    let once = scene.python("once", CODE, json!({})).await;
    once.get("/").await.ok();
    let broken = once.get("/fragile").await;
    assert_eq!(broken.status, 502, "{broken}");

    // Another function: the first one's pod is only just coming back.
    let twice = scene.python("twice", CODE, json!({})).await;
    scene
        .apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": {"name": "twice"},
            "spec": {
                "host": twice.host, "pathPrefix": "/", "methods": ["GET", "POST"], "function": {"name": "twice"},
                "ingress": {}, "retry": {},
            },
        }))
        .await;
    scene.ready::<HTTPTrigger>("twice").await;
    twice.get("/").await.ok();
    // The repeat has a pod to go to.
    scene.free("python", 1).await;
    let request = twice.request(Method::GET, "/fragile").header("x-request-id", "kept-by-both");
    let reply = twice.send(request).await;
    assert_eq!((reply.status, reply.header("muon-attempt")), (200, "2"), "{reply}");
    assert_eq!(reply.text(), "kept-by-both");
    scene.close().await;
}

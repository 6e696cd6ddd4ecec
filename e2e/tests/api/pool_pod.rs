//! Pods as a pool's Deployment would make them, and the patch by which a proxy claims one.

use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use muon_crds::{Function, words};
use muon_e2e::manifest::parse;
use serde_json::{Value, json};

/// Makes a free pod of the Environment `python`.
pub async fn free(client: &Client, namespace: &str, name: &str) -> Pod {
    let pod: Pod = parse(json!({
        "metadata": {
            "name": name,
            "labels": {
                words::ENVIRONMENT: "python", words::STATE: "free", words::POOL: "12345678",
                words::MANAGED_BY: words::MUON,
            },
            "annotations": {words::RUNTIME_PORT: "8888"},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "python-pool-12345678", "controller": true,
                "uid": "00000000-0000-4000-8000-000000000001",
            }],
        },
        "spec": {"containers": [{"name": "runtime", "image": "muon/python:3.11"}]},
    }));
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &pod).await.expect("a pod")
}

/// Makes a Function.
pub async fn function(client: &Client, namespace: &str, name: &str) -> Function {
    let function: Function = parse(json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Function", "metadata": {"name": name},
        "spec": {"environment": "python", "package": "hello"},
    }));
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &function).await.expect("a function")
}

/// Where the pod is at the API server.
pub fn path(pod: &Pod) -> String {
    format!("/api/v1/namespaces/{}/pods/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

/// The operations of a claim.
pub fn claim(pod: &Pod, function: &Function) -> Vec<Value> {
    let (name, uid) = (function.name_any(), function.uid().expect("it is made"));
    let serving = function.status.as_ref().and_then(|status| status.serving.as_ref());
    let revision = serving.map_or("abcd1234", |serving| serving.revision.as_str());
    vec![
        json!({"op": "test", "path": "/metadata/uid", "value": pod.uid()}),
        json!({"op": "test", "path": "/metadata/labels/muon.dev~1state", "value": "free"}),
        json!({"op": "replace", "path": "/metadata/labels/muon.dev~1state", "value": "claimed"}),
        json!({"op": "add", "path": "/metadata/labels/muon.dev~1function", "value": name}),
        json!({"op": "add", "path": "/metadata/labels/muon.dev~1revision", "value": revision}),
        json!({"op": "add", "path": "/metadata/annotations/muon.dev~1function-uid", "value": uid}),
        json!({"op": "replace", "path": "/metadata/ownerReferences", "value": [owner(&name, &uid)]}),
    ]
}

/// The operations by which a proxy in the pod `by` sets a free pod aside.
pub fn reserve(pod: &Pod, by: &str) -> Vec<Value> {
    vec![
        json!({"op": "test", "path": "/metadata/uid", "value": pod.uid()}),
        json!({"op": "replace", "path": "/metadata/labels/muon.dev~1state", "value": "reserved"}),
        json!({"op": "add", "path": "/metadata/labels/muon.dev~1reserved-by", "value": by}),
        json!({"op": "add", "path": "/metadata/labels/muon.dev~1reserved-until", "value": "1800000000"}),
    ]
}

/// What takes the marks of a reservation away.
pub fn unmark() -> [Value; 2] {
    ["by", "until"].map(|mark| json!({"op": "remove", "path": format!("/metadata/labels/muon.dev~1reserved-{mark}")}))
}

/// A reference to a Function as the one controller.
pub fn owner(name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Function", "name": name, "uid": uid, "controller": true,
        "blockOwnerDeletion": false,
    })
}

//! The writes that are not applies: a pod's step in its life, a Deployment's size, and deletions. Each is bound to
//! what was looked at, so that one which comes too late does nothing.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, ResourceExt as _};
use muon_crds::words::{self, State};
use muon_plan::PodRef;
use serde_json::json;

use crate::apply::Child;
use crate::call::{CallError, call};
use crate::metrics::Metrics;

/// Told to the ReplicaSet: when it shrinks, this pod goes first.
const FIRST_TO_GO: (&str, &str) = ("controller.kubernetes.io~1pod-deletion-cost", "-1000");

/// What came of a write that is bound to what was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// The object had changed or gone meanwhile: nothing was done, and nothing is wrong.
    TooLate,
}

/// Writes under the scale loop's field manager. Cheap to clone.
#[derive(Clone)]
pub struct Writes {
    client: Client,
    metrics: Metrics,
}

impl Writes {
    /// With this client.
    pub fn new(client: Client, metrics: Metrics) -> Self {
        Self { client, metrics }
    }

    /// Takes a pod one step on in its life, when it is still the pod, and still in the state, that was looked at.
    pub async fn relabel(&self, namespace: &str, pod: &PodRef, from: State, to: State) -> Result<Outcome, CallError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let steps = json!([
            {"op": "test", "path": "/metadata/uid", "value": pod.uid},
            {"op": "test", "path": "/metadata/labels/muon.dev~1state", "value": from.as_str()},
            {"op": "replace", "path": "/metadata/labels/muon.dev~1state", "value": to.as_str()},
            {"op": "add", "path": format!("/metadata/annotations/{}", FIRST_TO_GO.0), "value": FIRST_TO_GO.1},
        ]);
        let steps = serde_json::from_value(steps).map_err(|source| CallError::Failed {
            what: "write a patch",
            source: Box::new(kube::Error::SerdeError(source)),
        })?;
        let params = PatchParams { field_manager: Some(words::manager::SCALE.to_owned()), ..PatchParams::default() };
        let patched = call("relabel a pod", api.patch(&pod.name, &params, &Patch::<()>::Json(steps))).await;
        self.count("Pod", patched.map(|_| ()))
    }

    /// Deletes a pod, when it is still the pod that was looked at. It has its own grace period to drain in.
    pub async fn delete_pod(&self, namespace: &str, pod: &PodRef) -> Result<Outcome, CallError> {
        self.delete::<Pod>(namespace, &pod.name, &pod.uid).await
    }

    /// Sets the size of a Deployment, and nothing else of it.
    pub async fn resize(&self, namespace: &str, name: &str, uid: &str, replicas: i32) -> Result<Outcome, CallError> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let patch = json!({"metadata": {"uid": uid}, "spec": {"replicas": replicas}});
        let params = PatchParams { field_manager: Some(words::manager::SCALE.to_owned()), ..PatchParams::default() };
        let patched = call("resize a Deployment", api.patch(name, &params, &Patch::Merge(patch))).await;
        self.count("Deployment", patched.map(|_| ()))
    }

    /// Deletes an object, when it is still the one that was looked at.
    pub async fn delete<K: Child>(&self, namespace: &str, name: &str, uid: &str) -> Result<Outcome, CallError> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let bound = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams::background().preconditions(bound);
        let deleted = call("delete an object", api.delete(name, &params)).await;
        self.count(&K::kind(&()), deleted.map(|_| ()))
    }

    /// Deletes an object as last watched.
    pub async fn delete_seen<K: Child>(&self, object: &K) -> Result<Outcome, CallError> {
        let uid = object.uid().unwrap_or_default();
        self.delete::<K>(&crate::place::namespace_of(object), &object.name_any(), &uid).await
    }

    fn count(&self, kind: &str, result: Result<(), CallError>) -> Result<Outcome, CallError> {
        match result {
            Ok(()) => {
                self.metrics.wrote(kind);
                Ok(Outcome::Done)
            }
            Err(error) if error.is_race() => Ok(Outcome::TooLate),
            // A `test` of a JSON Patch that does not hold, and a UID that is another, are answered with 422.
            Err(CallError::Refused { status, .. }) if status.code == 422 => Ok(Outcome::TooLate),
            Err(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests;

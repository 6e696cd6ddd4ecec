//! Who scales a Function: `kubectl scale`, an autoscaler of the user's, or we. The test writes what the controller of
//! HorizontalPodAutoscalers would, through the `scale` subresource as it does.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Resource};
use muon_crds::scaling::ScalingStatus;
use muon_crds::wire::FunctionActivity;
use muon_crds::{Function, names};
use muon_e2e::space::{READY_WITHIN, Space};
use muon_e2e::wait::until;
use serde_json::{Value, json};

use crate::installation::{Installation, environment, function, space};

/// A Function with pods of its own, and its Deployment's name.
async fn own(space: &Space, name: &str) -> (Function, String) {
    space.apply_value(function(name, json!({"env": [{"name": "A", "value": "b"}]}))).await;
    let function = space.ready::<Function>(name).await;
    let serving = function.status.as_ref().and_then(|status| status.serving.as_ref()).expect("it is served");
    let deployment = names::own_deployment(name, &serving.revision);
    (function, deployment)
}

async fn autoscaler(space: &Space, target: Value) {
    space
        .apply_value(json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "by-cpu"},
            "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9},
        }))
        .await;
}

async fn set_scale<K>(api: &Api<K>, name: &str, replicas: i32)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch_scale(name, &PatchParams::default(), &patch).await.expect("a scale subresource");
}

async fn has_replicas(space: &Space, deployment: &str, wish: i32) {
    let deployments = space.api::<Deployment>();
    until(&format!("{deployment} has {wish} replicas"), READY_WITHIN, async || {
        (deployments.get(deployment).await.ok()?.spec?.replicas? == wish).then_some(())
    })
    .await;
}

/// Waits until the status says this of who scales it.
async fn scaled(space: &Space, name: &str, reason: &str, kept: i32) -> ScalingStatus {
    until(&format!("{name} is scaled: {reason} {kept}"), READY_WITHIN, async || {
        let status = space.api::<Function>().get(name).await.ok()?.status?.scaling?;
        (status.reason == reason && status.kept == kept).then_some(status)
    })
    .await
}

/// Has requests want so many pods of a function.
fn wants(function: &Function, wanted: u32) {
    let uid = function.uid().expect("it is stored");
    Installation::shared().proxy_says(|activity| {
        activity.functions.retain(|told| told.uid != uid);
        if wanted > 0 {
            activity.functions.push(FunctionActivity {
                uid: uid.clone(),
                in_flight: 0,
                queued: wanted,
                wanted,
                idle_ms: 0,
                loaded: 0,
            });
        }
    });
}

#[tokio::test]
async fn api_autoscaler_of_a_function_says_how_many() {
    let space = space("autoscaler-function");
    environment(&space).await;
    let (function, deployment) = own(&space, "web").await;
    let functions = space.api::<Function>();
    autoscaler(&space, json!({"apiVersion": "muon.dev/v1alpha1", "kind": "Function", "name": "web"})).await;
    let idle = scaled(&space, "web", "OnDemand", 0).await;
    assert!(idle.message.contains("by-cpu does nothing while there are 0 replicas"), "{}", idle.message);

    set_scale(&functions, "web", 3).await;
    has_replicas(&space, &deployment, 3).await;
    let said = scaled(&space, "web", "Autoscaled", 3).await;
    assert_eq!(said.message, "the HorizontalPodAutoscaler by-cpu holds 3");
    until("an Event tells who scales it", READY_WITHIN, async || {
        let events = space.api::<Event>().list(&Default::default()).await.ok()?.items;
        events.iter().any(|event| event.reason.as_deref() == Some("Autoscaled")).then_some(())
    })
    .await;
    wants(&function, 7);
    another_is_scaled(&space).await;
    has_replicas(&space, &deployment, 3).await;
    wants(&function, 0);

    // Without it the number is one that somebody holds, and 0 is automatic again.
    space.api::<HorizontalPodAutoscaler>().delete("by-cpu", &DeleteParams::default()).await.expect("it is there");
    assert_eq!(scaled(&space, "web", "Held", 3).await.message, "spec.replicas holds 3");
    set_scale(&functions, "web", 0).await;
    has_replicas(&space, &deployment, 0).await;
}

#[tokio::test]
async fn api_autoscaler_of_an_own_deployment_is_not_interfered_with() {
    let space = space("autoscaler-deployment");
    environment(&space).await;
    let (function, deployment) = own(&space, "web").await;
    has_replicas(&space, &deployment, 0).await;
    autoscaler(&space, json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment})).await;
    scaled(&space, "web", "OnDemand", 0).await;
    // From nothing, only we scale: an autoscaler leaves 0 alone.
    wants(&function, 1);
    has_replicas(&space, &deployment, 1).await;
    set_scale(&space.api::<Deployment>(), &deployment, 4).await;
    scaled(&space, "web", "Autoscaled", 4).await;
    wants(&function, 7);
    another_is_scaled(&space).await;
    has_replicas(&space, &deployment, 4).await;
    wants(&function, 0);
    set_scale(&space.api::<Deployment>(), &deployment, 2).await;
    scaled(&space, "web", "Autoscaled", 2).await;
    has_replicas(&space, &deployment, 2).await;
}

/// What the proxy says now has reached the operator and been acted on: another function got its pod by it.
async fn another_is_scaled(space: &Space) {
    let (other, deployment) = own(space, "other").await;
    wants(&other, 1);
    has_replicas(space, &deployment, 1).await;
    wants(&other, 0);
}

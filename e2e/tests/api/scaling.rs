//! Pods on their way out, step by step: the test plays kubelet, ReplicaSet and proxy, so each step can be held.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use muon_crds::wire::{FunctionActivity, PodActivity};
use muon_crds::{Environment, Function, words};
use muon_e2e::manifest::json_patch;
use muon_e2e::space::{READY_WITHIN, Space};
use muon_e2e::wait::until;
use serde_json::{Value, json};

use crate::installation::{Installation, environment, function, space};
use crate::pool_pod::{claim, path};

/// The Environment's pool, as last written.
async fn pool(space: &Space) -> Deployment {
    let status = space.api::<Environment>().get("python").await.unwrap().status.expect("it has one");
    space.api().get(&status.pool.expect("its name")).await.expect("the pool")
}

/// A ready pod of a Deployment.
async fn pod_of(space: &Space, deployment: &Deployment, name: &str) -> Pod {
    let template = deployment.spec.as_ref().expect("a spec").template.clone();
    let mut metadata = template.metadata.unwrap_or_default();
    metadata.name = Some(name.to_owned());
    metadata.owner_references = Some(vec![k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "ReplicaSet".to_owned(),
        name: "as-the-controller-would".to_owned(),
        uid: "00000000-0000-4000-8000-000000000001".to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    let pods = space.api::<Pod>();
    let pod = Pod { metadata, spec: template.spec, status: None };
    pods.create(&PostParams::default(), &pod).await.expect("a pod");
    let status = json!({"status": {
        "phase": "Running", "podIP": "198.18.0.9", "podIPs": [{"ip": "198.18.0.9"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.expect("a running pod")
}

async fn states(space: &Space) -> BTreeMap<String, String> {
    let pods = space.api::<Pod>().list(&Default::default()).await.expect("the API server answers").items;
    let state = |pod: &Pod| pod.labels().get(words::STATE).cloned().unwrap_or_default();
    pods.iter().map(|pod| (pod.name_any(), state(pod))).collect()
}

fn count(states: &BTreeMap<String, String>, state: &str) -> usize {
    states.values().filter(|found| *found == state).count()
}

async fn change(space: &Space, spec: Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    let environments = space.api::<Environment>();
    environments.patch("python", &PatchParams::default(), &patch).await.expect("a changed Environment");
}

#[tokio::test]
async fn api_shrinking_pool_retires_pods_before_it_is_scaled_down() {
    let space = space("scaling-shrink");
    environment(&space).await;
    change(&space, json!({"pool": {"min": 4, "max": 4}})).await;
    until("the pool is asked to have four", READY_WITHIN, async || {
        (pool(&space).await.spec?.replicas? == 4).then_some(())
    })
    .await;
    let deployment = pool(&space).await;
    for n in 0..4 {
        pod_of(&space, &deployment, &format!("pod-{n}")).await;
    }
    space.ready::<Environment>("python").await;
    space.apply_value(function("hello", json!({}))).await;
    let hello = space.ready::<Function>("hello").await;

    change(&space, json!({"pool": {"min": 1, "max": 4}})).await;
    // A claim comes in between, of whichever pod is still free.
    let claimed = until("a pod is claimed", READY_WITHIN, async || {
        for (name, state) in states(&space).await {
            let pod = space.api::<Pod>().get(&name).await.ok()?;
            if state == "free"
                && json_patch(&space.client, &path(&pod), &Value::from(claim(&pod, &hello))).await.is_ok()
            {
                return Some(name);
            }
        }
        None
    })
    .await;
    // The test is the ReplicaSet: it lets go of the claimed pod, takes of the others those that are retiring, and makes
    // a fresh one when there are too few (the claim may have got the last one that was not to go).
    until("one pod is free, and none is retiring", READY_WITHIN, async || {
        let replicas = pool(&space).await.spec?.replicas? as usize;
        let now = states(&space).await;
        assert_eq!(now.get(&claimed).map(String::as_str), Some("claimed"), "{now:?}");
        let members = now.len() - 1;
        let retiring: Vec<_> = now.iter().filter(|(_, state)| *state == "retiring").map(|(name, _)| name).collect();
        assert!(
            members.saturating_sub(replicas) <= retiring.len(),
            "{replicas} replicas asked for of {members} pods, of which only {retiring:?} may go"
        );
        for name in retiring.into_iter().take(members.saturating_sub(replicas)) {
            space.api::<Pod>().delete(name, &Default::default()).await.expect("it can be deleted");
        }
        if members < replicas {
            pod_of(&space, &deployment, &format!("fresh-{}", replicas - members)).await;
        }
        (replicas == 1 && members == 1 && count(&now, "free") == 1).then_some(())
    })
    .await;
}

/// A changed template is another Deployment; the old one goes once nothing of it may be claimed any more.
#[tokio::test]
async fn api_new_template_is_a_new_pool() {
    let space = space("scaling-template");
    environment(&space).await;
    change(&space, json!({"pool": {"min": 1, "max": 2}})).await;
    until("the pool is asked to have one", READY_WITHIN, async || {
        (pool(&space).await.spec?.replicas? == 1).then_some(())
    })
    .await;
    let old = pool(&space).await;
    let pod = pod_of(&space, &old, "old-pod").await;
    space.ready::<Environment>("python").await;
    change(&space, json!({"resources": {"requests": {"memory": "50Mi"}}})).await;
    let new = until("there is a new pool", READY_WITHIN, async || {
        let now = pool(&space).await;
        (now.name_any() != old.name_any()).then_some(now)
    })
    .await;
    pod_of(&space, &new, "new-pod").await;
    until("the old pool is gone", READY_WITHIN, async || {
        if states(&space).await.get("old-pod").is_some_and(|state| state == "retiring") {
            let _ = space.api::<Pod>().delete(&pod.name_any(), &Default::default()).await;
        }
        space.api::<Deployment>().get_opt(&old.name_any()).await.ok()?.is_none().then_some(())
    })
    .await;
    assert_eq!(states(&space).await.get("new-pod").map(String::as_str), Some("free"));
}

/// Idle → draining → every proxy has seen it, with nothing in flight → deleted; and no step before its time.
#[tokio::test]
async fn api_idle_pod_waits_for_every_proxy() {
    let space = space("scaling-idle");
    environment(&space).await;
    change(&space, json!({"pool": {"min": 1, "max": 2}})).await;
    until("the pool is asked to have one", READY_WITHIN, async || {
        (pool(&space).await.spec?.replicas? == 1).then_some(())
    })
    .await;
    let pod = pod_of(&space, &pool(&space).await, "used").await;
    space.apply_value(function("hello", json!({"scaling": {"idleSeconds": 1}}))).await;
    let hello = space.ready::<Function>("hello").await;

    let installation = Installation::shared();
    let uid = pod.uid().expect("it is stored");
    let says = |in_flight: u32, idle_ms: u64| {
        installation.proxy_says(|activity| {
            activity.pods.retain(|pod| pod.uid != uid);
            activity.pods.push(PodActivity { uid: uid.clone(), in_flight, idle_ms, loaded: true, broken: false });
        });
    };
    says(1, 0);
    json_patch(&space.client, &path(&pod), &Value::from(claim(&pod, &hello))).await.expect("a claim");
    another_is_idled(&space).await;
    assert_eq!(states(&space).await["used"], "claimed", "a request is in flight");

    // From here on the proxy has not seen the pods' newest versions.
    installation.proxy_says(|activity| activity.seen.pods = 0);
    says(0, 60_000);
    until("it drains", READY_WITHIN, async || (states(&space).await["used"] == "draining").then_some(())).await;
    // A request came just before the proxy saw it.
    says(1, 0);
    installation.proxy_says(|activity| activity.seen.pods = u64::MAX);
    another_is_idled(&space).await;
    assert_eq!(states(&space).await.get("used").map(String::as_str), Some("draining"), "a request is in flight");
    says(0, 0);
    until("it is gone", READY_WITHIN, async || (!states(&space).await.contains_key("used")).then_some(())).await;
}

/// Another function of the namespace has its own pod, idle for long: once that is seen to be gone, the idle loop has
/// had time for everything.
async fn another_is_idled(space: &Space) {
    let deployment = pool(space).await;
    space.apply_value(function("other", json!({"scaling": {"idleSeconds": 1}}))).await;
    let other = space.ready::<Function>("other").await;
    let pod = pod_of(space, &deployment, "beside").await;
    json_patch(&space.client, &path(&pod), &Value::from(claim(&pod, &other))).await.expect("a claim");
    until("the pod beside is gone", READY_WITHIN, async || (!states(space).await.contains_key("beside")).then_some(()))
        .await;
}

/// A function with pods of its own comes up when a request waits, and goes down when none has come for long.
#[tokio::test]
async fn api_own_deployment_follows_demand() {
    let space = space("scaling-own");
    environment(&space).await;
    let more = json!({"env": [{"name": "A", "value": "b"}], "scaling": {"idleSeconds": 1, "max": 2}});
    space.apply_value(function("own", more)).await;
    let own = space.ready::<Function>("own").await;
    let revision =
        own.status.as_ref().and_then(|status| status.serving.as_ref()).expect("it is served").revision.clone();
    let deployments = space.api::<Deployment>();
    let name = muon_crds::names::own_deployment("own", &revision);
    let replicas = async |wish: i32| {
        until(&format!("{wish} replicas"), READY_WITHIN, async || {
            let now = deployments.get(&name).await.ok()?;
            (now.spec.as_ref()?.replicas? == wish).then_some(now)
        })
        .await
    };
    let uid = own.uid().expect("it is stored");
    let wants = |wanted: u32| {
        Installation::shared().proxy_says(|activity| {
            activity.functions.retain(|function| function.uid != uid);
            if wanted > 0 {
                let uid = uid.clone();
                let busy = FunctionActivity { uid, in_flight: 0, queued: wanted, wanted, idle_ms: 0, loaded: 0 };
                activity.functions.push(busy);
            }
        });
    };
    replicas(0).await;
    wants(1);
    let deployment = replicas(1).await;
    wants(5);
    replicas(2).await;
    let pod = pod_of(&space, &deployment, "own-pod").await;
    wants(0);
    until("the idle pod drains", READY_WITHIN, async || {
        let now = states(&space).await;
        if now.get("own-pod").is_some_and(|state| state == "draining") {
            let _ = space.api::<Pod>().delete(&pod.name_any(), &Default::default()).await;
            return Some(());
        }
        None
    })
    .await;
    replicas(0).await;
}

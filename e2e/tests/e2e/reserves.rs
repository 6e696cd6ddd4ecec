//! Pods reserved ahead: a cold request waits for no write, and what a proxy had reserved is never lost.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams};
use muon_crds::words;
use muon_e2e::audit::Entry;
use muon_e2e::cluster::SYSTEM;
use muon_e2e::scene::{Scene, is_ready};
use muon_e2e::space::READY_WITHIN;
use muon_e2e::wait::until;
use serde_json::json;

use crate::{alone, together};

const MUON: &str = "system:serviceaccount:muon-system:";
const CODE: &str = "def main():\n    return 'ok'\n";

/// Each ready proxy's name with the UID of the pod that it has reserved in the namespace, once both of them have one.
async fn reserved(scene: &Scene) -> BTreeMap<String, String> {
    until("both proxies have reserved a pod", READY_WITHIN, async || {
        let pods = scene.pods(&format!("{}=reserved", words::STATE)).await;
        let by: BTreeMap<_, _> = pods
            .iter()
            .filter(|pod| is_ready(pod))
            .map(|pod| (pod.labels()[words::RESERVED_BY].clone(), pod.uid().unwrap_or_default()))
            .collect();
        let proxies = proxies(scene).await;
        (by.len() == 2 && by.keys().all(|name| proxies.iter().any(|proxy| proxy.name_any() == *name))).then_some(by)
    })
    .await
}

async fn proxies(scene: &Scene) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), SYSTEM);
    let labels = "app.kubernetes.io/component=proxy,app.kubernetes.io/part-of=muon";
    let all = pods.list(&kube::api::ListParams::default().labels(labels)).await.expect("the API server answers").items;
    all.into_iter().filter(is_ready).collect()
}

/// The writes of all Muon's accounts in the namespace between request and reply, and after it, by the audit log.
#[tokio::test]
async fn e2e_cold_reply_needs_no_write() {
    let _cluster = together().await;
    let scene = Scene::open("writes", json!({"min": 3, "max": 5})).await;
    let route = scene.python("frugal", CODE, json!({})).await;
    reserved(&scene).await;
    let mark = scene.cluster.audit().mark();
    let reply = route.get("/").await;
    let replied = jiff::Timestamp::now();
    assert_eq!((reply.ok().as_str(), reply.start()), ("ok", "cold"));
    let written = || {
        let mut written = scene.cluster.audit().writes_by(MUON, mark);
        written.retain(|entry| entry.object().namespace == scene.namespace);
        written
    };
    let is_claim = |entry: &Entry| entry.is_by_manager(words::manager::CLAIM);
    until("the claim is in the audit log", Duration::from_secs(20), async || {
        written().iter().any(is_claim).then_some(())
    })
    .await;
    let before: Vec<String> =
        written().iter().filter(|entry| entry.answered() <= replied).map(Entry::to_string).collect();
    assert!(before.is_empty(), "{before:#?}");
    // And another pod is set aside for the next one.
    reserved(&scene).await;
    let claims: Vec<String> = written().iter().filter(|entry| is_claim(entry)).map(Entry::to_string).collect();
    assert_eq!(claims.len(), 1, "{claims:#?}");
    scene.close().await;
}

/// What its former life had reserved may be loaded, for all that it knows: those pods are replaced.
#[tokio::test]
async fn e2e_reserved_pods_of_a_killed_proxy_are_replaced() {
    let _cluster = alone().await;
    let scene = Scene::open("reserver", json!({"min": 3, "max": 5})).await;
    scene.python_function("any", CODE, json!({})).await;
    let before = reserved(&scene).await;
    let (name, pod) = before.iter().next().expect("there are two");
    let proxy = proxies(&scene).await.into_iter().find(|proxy| proxy.name_any() == *name).expect("it is ready");
    let statuses = proxy.status.and_then(|status| status.container_statuses).expect("it runs");
    scene.cluster.kill_container(statuses[0].container_id.as_deref().expect("it runs"));
    until("its reserved pod is replaced", READY_WITHIN, async || {
        let pods = scene.pods(&format!("{}=python", words::ENVIRONMENT)).await;
        pods.iter().all(|found| found.uid().as_ref() != Some(pod)).then_some(())
    })
    .await;
    let after = reserved(&scene).await;
    assert_ne!(after.get(name), Some(pod));
    assert_eq!(generic(&scene).await, 3, "the pool is whole again");
    scene.close().await;
}

/// A proxy that is told to end gives back what it has reserved: the same pods serve on.
#[tokio::test]
async fn e2e_reserved_pods_of_a_proxy_that_ends_are_given_back() {
    let _cluster = alone().await;
    let scene = Scene::open("giver", json!({"min": 3, "max": 5})).await;
    scene.python_function("any", CODE, json!({})).await;
    let before = reserved(&scene).await;
    let (name, pod) = before.iter().next().expect("there are two");
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), SYSTEM);
    pods.delete(name, &DeleteParams::default()).await.expect("it can be deleted");
    until("its reserved pod is free, or another proxy's", READY_WITHIN, async || {
        let pods = scene.pods(&format!("{}=python", words::ENVIRONMENT)).await;
        let found = pods.iter().find(|found| found.uid().as_ref() == Some(pod)).expect("it is the same pod");
        (found.labels().get(words::RESERVED_BY) != Some(name)).then_some(())
    })
    .await;
    assert!(!reserved(&scene).await.contains_key(name));
    assert_eq!(generic(&scene).await, 3, "no pod more or less");
    scene.close().await;
}

/// Pods of the pool, once all are ready.
async fn generic(scene: &Scene) -> usize {
    scene.free("python", 3).await;
    scene.pods(&format!("{} in (free,reserved)", words::STATE)).await.len()
}

use std::sync::Mutex;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use k8s_openapi::api::apps::v1::Deployment;
use muon_crds::Function;
use muon_crds::wire::{LostReply, SweepReply};
use muon_order::{Load, Signer};
use serde_json::{Value, json};

use super::*;
use crate::cache::Cache;
use crate::mock::{self, Log, api};
use crate::reference::ObjectRef;

fn digest(content: &str) -> String {
    names::digest(content.as_bytes())
}

/// A store that remembers what it was told to be in use, and misses `missing`.
#[derive(Clone, Default)]
struct Store {
    told: Arc<Mutex<Vec<SweepRequest>>>,
    missing: BTreeMap<String, BTreeSet<String>>,
}

async fn swept(State(store): State<Store>, body: String) -> Json<SweepReply> {
    store.told.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    Json(SweepReply { missing: store.missing.clone(), ..SweepReply::default() })
}

async fn context(store: &Store) -> (Context, Log) {
    let lost = || async { Json(LostReply::default()) };
    let router = Router::new().route("/v1/sweep", post(swept)).route("/v1/lost", post(lost)).with_state(store.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (client, log) = api(|_| (201, json!({"metadata": {}, "eventTime": null})));
    (mock::context(&client, &url), log)
}

fn put<K: Stored>(objects: &Objects<K>, object: Value) {
    let object: K = serde_json::from_value(object).unwrap();
    objects.put(ObjectRef::from_obj(&object), &object);
}

fn package(name: &str, stored: &str) -> Value {
    let condition = json!({
        "type": "Stored", "status": "True", "reason": "Stored", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Package", "metadata": {"name": name, "namespace": "demo"},
        "spec": {"environment": "python", "source": {"archive": {"url": "https://x.example/a", "digest": digest("spec")}}},
        "status": {"digest": stored, "conditions": [condition]},
    })
}

fn fill(cache: &Cache, signer: &Signer) {
    put::<Package>(&cache.packages, package("one", &digest("stored")));
    put::<Function>(
        &cache.functions,
        json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Function", "metadata": {"name": "f", "namespace": "other"},
            "spec": {"environment": "python", "package": "p"},
            "status": {"serving": {
                "revision": "r", "digest": digest("serving"), "mode": "Pool", "environment": "python",
                "entrypoint": "", "concurrency": 1, "timeoutSeconds": 1, "max": 1,
            }},
        }),
    );
    let order = signer.sign(&Order::Load(Load {
        pod_uid: None,
        namespace: "demo".into(),
        function_uid: "u".into(),
        revision: "old".into(),
        digest: digest("running"),
        until: None,
    }));
    let load = json!({"order": order, "store": "", "function": "f", "namespace": "demo", "timeoutMs": 1});
    put::<Deployment>(
        &cache.deployments,
        json!({"metadata": {"name": "d", "namespace": "demo"}, "spec": {"selector": {}, "template": {"spec": {
            "containers": [{"name": "runtime"}],
            "initContainers": [{"name": "agent", "env": [{"name": "MUON_LOAD", "value": load.to_string()}]}],
        }}}}),
    );
}

#[tokio::test]
async fn what_any_object_names_is_in_use_in_its_namespace() {
    let store = Store::default();
    let (context, _) = context(&store).await;
    fill(&context.cache, &context.signer);
    sweep(&context).await.unwrap();
    let demo = BTreeSet::from([digest("stored"), digest("spec"), digest("running")]);
    let live = BTreeMap::from([("demo".to_owned(), demo), ("other".to_owned(), BTreeSet::from([digest("serving")]))]);
    assert_eq!(store.told.lock().unwrap().as_slice(), [SweepRequest { live }]);
}

#[tokio::test]
async fn nothing_is_swept_while_an_object_cannot_be_read() {
    let store = Store::default();
    let (context, _) = context(&store).await;
    context.metrics.malformed("HTTPTrigger");
    sweep(&context).await.unwrap();
    context.metrics.malformed("Package");
    sweep(&context).await.unwrap();
    assert_eq!(store.told.lock().unwrap().len(), 1, "triggers refer to no archive");
}

#[tokio::test]
async fn packages_whose_archive_is_lost_are_looked_at_and_told() {
    let lost = BTreeMap::from([("demo".to_owned(), BTreeSet::from([digest("stored"), digest("spec")]))]);
    let store = Store { missing: lost, ..Store::default() };
    let (context, log) = context(&store).await;
    fill(&context.cache, &context.signer);
    put::<Package>(&context.cache.packages, package("two", &digest("another")));
    sweep(&context).await.unwrap();
    let looked_at = context.queues.packages.drain();
    assert_eq!(looked_at, [ObjectRef::new("one").within("demo")].into());
    let [event] = log.writes().try_into().unwrap();
    assert_eq!((event.body["reason"].as_str(), event.body["type"].as_str()), (Some("ArchiveLost"), Some("Warning")));
    assert!(event.body["note"].as_str().unwrap().contains(&digest("stored")), "{}", event.body);
}

#[test]
fn digests_are_found_wherever_they_stand() {
    let text = format!("{{\"a\":\"{}\",\"b\":\"x@{}\",\"c\":\"sha256:short\"}}", digest("1"), digest("2"));
    assert_eq!(digests(text.as_bytes()).collect::<Vec<_>>(), [digest("1"), digest("2")]);
    assert_eq!(digests(b"").count(), 0);
}

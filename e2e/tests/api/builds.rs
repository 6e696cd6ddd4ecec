//! Builds without a node: which Jobs are made, followed and removed. The tests play the Job controller, the builder and the
//! uploading agent.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use muon_crds::{ConditionType, Environment, Package, condition, names, words};
use muon_e2e::space::{READY_WITHIN, Space, says};
use muon_e2e::wait::until;
use muon_order::{Build, Order};
use serde_json::{Value, json};

use crate::installation::{Installation, space};

async fn builder(space: &Space) {
    let builder =
        json!({"image": "muon/python-builder:3.11", "timeoutSeconds": 300, "registries": {"name": "mirrors"}});
    space
        .apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "python"},
            "spec": {"runtime": {"image": "muon/python:3.11"}, "builder": builder, "pool": {"min": 0, "max": 3}},
        }))
        .await;
    space.ready::<Environment>("python").await;
}

fn package(name: &str, text: &str, build: Value) -> Value {
    json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Package", "metadata": {"name": name},
        "spec": {"environment": "python", "source": {"files": {"main.py": text}}, "build": build},
    })
}

/// Waits until the Package says this of its build, for what its spec says now.
async fn built(space: &Space, name: &str, reason: &str) -> Package {
    space
        .has(name, reason, |package: &Package| {
            let observed = package.status.as_ref().and_then(|status| status.observed_generation);
            observed == package.metadata.generation
                && says(package, ConditionType::Built).is_some_and(|built| built.reason == reason)
        })
        .await
}

async fn job_of(space: &Space, package: &Package) -> Job {
    let name = package.status.as_ref().and_then(|status| status.build.as_ref()).expect("its build").job.clone();
    until(&format!("Job {name}"), READY_WITHIN, async || space.api::<Job>().get_opt(&name).await.ok()?).await
}

async fn jobs(space: &Space) -> Vec<String> {
    let all = space.api::<Job>().list(&ListParams::default()).await.expect("the API server answers");
    all.iter().map(kube::ResourceExt::name_any).collect()
}

/// What the agent does at the end of a good build.
async fn upload(package: &Package, result: &str) -> String {
    let status = package.status.as_ref().expect("a status");
    let key = status.build.as_ref().expect("its build").key.clone();
    let source = status.source_digest.clone().expect("its source");
    let namespace = package.namespace().unwrap_or_default();
    let order = Order::Build(Build { namespace, key: key.clone(), source, until: u64::MAX });
    let (store, order) = Installation::shared().store(&order);
    let digest = names::digest(result.as_bytes());
    let http = reqwest::Client::builder().no_proxy().build().expect("a plain client");
    for (path, body) in [(format!("blobs/{digest}"), result.to_owned()), (format!("builds/{key}"), digest.clone())] {
        let put = http.put(format!("{store}/v1/{path}")).header(words::header::ORDER, &order).body(body);
        let answer = put.send().await.expect("the store answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }
    digest
}

/// What the Job controller does when the pod has ended.
async fn end(space: &Space, job: &str, type_: &str, reason: &str) {
    let now = "2026-11-23T12:00:00Z";
    let condition = |type_: &str| json!({"type": type_, "status": "True", "reason": reason, "message": "m", "lastTransitionTime": now, "lastProbeTime": now});
    let status = match type_ {
        "Complete" => json!({
            "startTime": now, "completionTime": now, "succeeded": 1,
            "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
        }),
        _ => json!({"startTime": now, "failed": 1, "conditions": [condition("FailureTarget"), condition("Failed")]}),
    };
    let patch = Patch::Merge(json!({"status": status}));
    space.api::<Job>().patch_status(job, &PatchParams::default(), &patch).await.expect("a status that a Job may have");
}

/// The pod of a Job, as its controller makes it and kubelet reports it.
async fn pod_failed(space: &Space, job: &Job, message: &str) {
    let template = job.spec.as_ref().expect("a spec").template.clone();
    let mut metadata = template.metadata.unwrap_or_default();
    metadata.name = Some(format!("{}-x", job.name_any()));
    let uid = job.uid().expect("it was stored");
    metadata.labels.get_or_insert_default().insert("batch.kubernetes.io/controller-uid".to_owned(), uid);
    let pod = Pod { metadata, spec: template.spec, status: None };
    let pods = space.api::<Pod>();
    // The namespace enforces Pod Security `restricted`.
    let made = pods.create(&PostParams::default(), &pod).await.expect("a pod that restricted Pod Security takes");
    let spec = made.spec.as_ref().expect("a spec");
    assert!(!spec.volumes.iter().flatten().any(|volume| volume.name.starts_with("kube-api-access")), "no token");
    let state = |code: i32, message: &str| {
        let ended =
            json!({"exitCode": code, "reason": "Error", "message": message, "startedAt": null, "finishedAt": null});
        json!({"terminated": ended})
    };
    let container = |name: &str, state: Value| json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    let status = json!({"status": {
        "phase": "Failed",
        "initContainerStatuses": [container("fetch", state(0, "")), container("build", state(1, message))],
    }});
    pods.patch_status(&made.name_any(), &PatchParams::default(), &Patch::Merge(status)).await.expect("a failed pod");
}

fn digest(package: &Package) -> Option<&str> {
    package.status.as_ref()?.digest.as_deref()
}

#[tokio::test]
async fn api_the_same_input_is_built_once() {
    let space = space("builds-once");
    builder(&space).await;
    let policy = space.api::<NetworkPolicy>().get("python-builds").await.expect("a policy of its builds");
    assert!(policy.spec.expect("a spec").ingress.is_none(), "nobody reaches a build");

    space.apply_value(package("code", "one", json!({}))).await;
    let building = built(&space, "code", "Building").await;
    assert_eq!(digest(&building), None, "nothing to load yet");
    let first = job_of(&space, &building).await;
    let owner = first.owner_references().first().map(|owner| (owner.kind.as_str(), owner.name.as_str()));
    assert_eq!(owner, Some(("Package", "code")));
    let one = upload(&building, "built of one").await;
    end(&space, &first.name_any(), "Complete", "CompletionsReached").await;
    assert_eq!(digest(&space.ready::<Package>("code").await), Some(one.as_str()));

    // A newer source: the last good build stays what is loaded.
    space.apply_value(package("code", "two", json!({}))).await;
    let building = built(&space, "code", "Building").await;
    assert_eq!(digest(&building), Some(one.as_str()));
    let second = job_of(&space, &building).await;
    assert_ne!(second.name_any(), first.name_any());

    // Back again: nothing is built, and the build that nobody wants any more is cancelled.
    space.apply_value(package("code", "one", json!({}))).await;
    assert_eq!(digest(&space.ready::<Package>("code").await), Some(one.as_str()));
    let only_first = async || (jobs(&space).await == [first.name_any()]).then_some(());
    until("the build of two is cancelled", READY_WITHIN, only_first).await;
    let again = space.api::<Job>().get(&first.name_any()).await.expect("it stays");
    assert_eq!(again.uid(), first.uid(), "it was not made again");

    // Another Package of the same input, and the same one without its Job: neither is built.
    space.api::<Job>().delete(&first.name_any(), &DeleteParams::background()).await.expect("it can be deleted");
    space.apply_value(package("twin", "one", json!({}))).await;
    assert_eq!(digest(&space.ready::<Package>("twin").await), Some(one.as_str()));
    assert!(jobs(&space).await.is_empty());

    // Another command is another build.
    space.apply_value(package("twin", "one", json!({"command": ["build", "--fast"]}))).await;
    let other = job_of(&space, &built(&space, "twin", "Building").await).await;
    assert_ne!(other.name_any(), first.name_any());
}

#[tokio::test]
async fn api_a_failed_build_says_why_and_is_not_tried_again() {
    let space = space("builds-failed");
    builder(&space).await;
    space.apply_value(package("code", "def main(", json!({}))).await;
    let job = job_of(&space, &built(&space, "code", "Building").await).await;
    pod_failed(&space, &job, "  File \"main.py\", line 1\nSyntaxError: '(' was never closed").await;
    end(&space, &job.name_any(), "Failed", "PodFailurePolicy").await;
    let failed = built(&space, "code", "BuildFailed").await;
    for type_ in [ConditionType::Built, ConditionType::Stalled] {
        let message = &says(&failed, type_).expect("it is said").message;
        assert!(message.contains("File \"main.py\", line 1\nSyntaxError"), "{message}");
    }
    assert!(condition::is_true(&failed.status.expect("a status").conditions, ConditionType::Stored));

    // An operator that knows nothing finds it failed, and so does a twin.
    Installation::shared().another_operator();
    space.apply_value(package("twin", "def main(", json!({}))).await;
    built(&space, "twin", "BuildFailed").await;
    assert_eq!(jobs(&space).await, [job.name_any()]);
    assert_eq!(space.api::<Job>().get(&job.name_any()).await.expect("it stays").uid(), job.uid());

    // Whoever wants another try deletes the Job.
    space.api::<Job>().delete(&job.name_any(), &DeleteParams::background()).await.expect("it can be deleted");
    let again = built(&space, "code", "Building").await;
    assert_ne!(job_of(&space, &again).await.uid(), job.uid());
}

#[tokio::test]
async fn api_builds_wait_for_their_turn() {
    let space = space("builds-turns");
    builder(&space).await;
    for name in ["one", "two", "three"] {
        space.apply_value(package(name, name, json!({}))).await;
    }
    let says = async |reason: &str| {
        let all = space.api::<Package>().list(&ListParams::default()).await.expect("the API server answers");
        let said =
            |package: &&Package| says(*package, ConditionType::Built).is_some_and(|built| built.reason == reason);
        all.iter().filter(said).cloned().collect::<Vec<Package>>()
    };
    until("two build and one waits", READY_WITHIN, async || {
        let (build, wait) = (says("Building").await.len(), says("WaitingForTurn").await.len());
        ((build, wait) == (2, 1) && jobs(&space).await.len() == 2).then_some(())
    })
    .await;
    let first = says("Building").await.remove(0);
    upload(&first, &first.name_any()).await;
    end(&space, &job_of(&space, &first).await.name_any(), "Complete", "CompletionsReached").await;
    space.ready::<Package>(&first.name_any()).await;
    until("the third has its turn", READY_WITHIN, async || (says("Building").await.len() == 2).then_some(())).await;
}

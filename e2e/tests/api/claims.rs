//! What the proxy's account may do to pods: claim a free one, once, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use muon_crds::values::Variable;
use muon_crds::{Function, names, words};
use muon_e2e::control_plane::ControlPlane;
use muon_e2e::manifest::json_patch;
use muon_e2e::wait::until;
use serde_json::{Value, json};

use crate::pool_pod::{claim, free, function, owner, path};

const PROXY: &str = "system:serviceaccount:muon-system:muon-proxy";

/// A namespace of its own, with a free pod and a Function, and the proxy's client.
struct Setting {
    namespace: String,
    admin: Client,
    proxy: Client,
    pod: Pod,
    function: Function,
}

async fn setting(namespace: &str) -> Setting {
    let plane = ControlPlane::shared();
    plane.kubectl_ok(&["create", "namespace", namespace], "");
    let (admin, proxy) = (plane.client(), plane.client_as(PROXY));
    let pod = free(&admin, namespace, "pool-1").await;
    let function = function(&admin, namespace, "hello").await;
    let forbidden = json!([{"op": "add", "path": "/metadata/labels/app", "value": "bank"}]);
    until("the policy is in force", Duration::from_secs(30), async || {
        let tried = json_patch(&proxy, &format!("{}?dryRun=All", path(&pod)), &forbidden).await;
        tried.is_err_and(|status| status.message.contains("muon-claims")).then_some(())
    })
    .await;
    Setting { namespace: namespace.to_owned(), admin, proxy, pod, function }
}

/// Has the proxy try these operations on the pod; the refusal must be the policy's, and say `says`.
async fn refused(setting: &Setting, operations: Vec<Value>, says: &str) {
    let tried = json_patch(&setting.proxy, &path(&setting.pod), &Value::from(operations.clone())).await;
    let told = tried.expect_err(&format!("allowed: {}", Value::from(operations)));
    assert_eq!(told.code, 403, "{}", told.message);
    assert!(told.message.contains("muon-claims") && told.message.contains(says), "not {says:?}: {}", told.message);
}

#[tokio::test]
async fn api_policy_lets_a_proxy_claim() {
    let setting = setting("claim-allowed").await;
    let operations = Value::from(claim(&setting.pod, &setting.function));
    let claimed = json_patch(&setting.proxy, &path(&setting.pod), &operations).await.expect("a claim");
    assert_eq!(claimed.labels()[words::STATE], "claimed");
    assert_eq!(claimed.labels()[words::FUNCTION], "hello");
    let owners = claimed.owner_references();
    assert_eq!(owners.len(), 1, "{owners:?}");
    assert_eq!((owners[0].kind.as_str(), Some(owners[0].uid.clone())), ("Function", setting.function.uid()));
}

/// Each is a whole claim, with one thing more or other than a claim has.
#[tokio::test]
async fn api_policy_refuses_a_claim_with_anything_else() {
    let setting = setting("claim-extra").await;
    let (name, uid) = (setting.function.name_any(), setting.function.uid().unwrap());
    let whole = claim(&setting.pod, &setting.function);
    let add = |path: &str, value: Value| json!({"op": "add", "path": path, "value": value});
    let remove = |path: &str| json!({"op": "remove", "path": path});
    let mut not_controller = owner(&name, &uid);
    not_controller["controller"] = json!(false);
    let mut blocking = owner(&name, &uid);
    blocking["blockOwnerDeletion"] = json!(true);
    let mut of_another_kind = owner(&name, &uid);
    of_another_kind["kind"] = json!("Environment");
    let owners = "/metadata/ownerReferences";
    let cases: Vec<(Value, &str)> = vec![
        (add("/spec/containers/0/image", json!("evil")), "spec must stay"),
        (add("/spec/activeDeadlineSeconds", json!(1)), "spec must stay"),
        (add("/metadata/labels/app", json!("bank")), "labels but"),
        (add("/metadata/labels/muon.dev~1environment", json!("node")), "labels but"),
        (add("/metadata/labels/muon.dev~1pool", json!("87654321")), "labels but"),
        (add("/metadata/labels/muon.dev~1mode", json!("deployment")), "labels but"),
        (remove("/metadata/labels/app.kubernetes.io~1managed-by"), "labels but"),
        (add("/metadata/annotations/example.com~1a", json!("b")), "annotations but"),
        (add("/metadata/annotations/muon.dev~1runtime-port", json!("22")), "annotations but"),
        (add("/metadata/finalizers", json!(["example.com/stay"])), "finalizers"),
        (add("/metadata/labels/muon.dev~1state", json!("draining")), "may not become 'draining'"),
        (add("/metadata/labels/muon.dev~1state", json!("reserved")), "reserved-by must be itself"),
        (add("/metadata/labels/muon.dev~1reserved-by", json!("proxy-a")), "only on a reserved pod"),
        (add("/metadata/labels/muon.dev~1revision", json!("")), "must say for what"),
        (remove("/metadata/labels/muon.dev~1function"), "must say for what"),
        (add(owners, json!([owner(&name, &uid), owner("other", "u-2")])), "Only one reference can have Controller"),
        (add(owners, json!([owner("other", &uid)])), "the one owner"),
        (add(owners, json!([owner(&name, "00000000-0000-4000-8000-00000000dead")])), "the one owner"),
        (add(owners, json!([not_controller])), "the one owner"),
        (add(owners, json!([blocking])), "the one owner"),
        (add(owners, json!([of_another_kind])), "the one owner"),
        (remove(owners), "the one owner"),
        (remove("/metadata/annotations/muon.dev~1function-uid"), "the one owner"),
    ];
    for (extra, says) in cases {
        let mut operations = whole.clone();
        operations.push(extra);
        if says.starts_with("Only one") {
            // Kubernetes itself refuses a second controller before the policy is asked.
            let told = json_patch(&setting.proxy, &path(&setting.pod), &Value::from(operations)).await.unwrap_err();
            assert!(told.message.contains(says), "{}", told.message);
        } else {
            refused(&setting, operations, says).await;
        }
    }
    let mut second = owner("other", "00000000-0000-4000-8000-000000000002");
    second["controller"] = json!(false);
    let mut operations = whole;
    operations.push(add(owners, json!([owner(&name, &uid), second])));
    refused(&setting, operations, "the one owner").await;
}

/// Whatever proxy asks: a revision that comes with variables does not get a pod that would not set them.
#[tokio::test]
async fn api_policy_keeps_variables_and_pods_together() {
    let setting = setting("claim-env").await;
    let mut operations = claim(&setting.pod, &setting.function);
    let revision = names::revision_with("12345678", &[Variable { name: "A".into(), value: "b".into() }]);
    let label = "/metadata/labels/muon.dev~1revision";
    operations.push(json!({"op": "add", "path": label, "value": revision}));
    refused(&setting, operations.clone(), "takes no variables").await;
    let annotation = Patch::Merge(json!({"metadata": {"annotations": {words::ENV_AT_LOAD: "true"}}}));
    let pods: Api<Pod> = Api::namespaced(setting.admin.clone(), &setting.namespace);
    pods.patch("pool-1", &PatchParams::default(), &annotation).await.expect("a pod that takes them");
    let claimed = json_patch(&setting.proxy, &path(&setting.pod), &Value::from(operations)).await.expect("a claim");
    assert_eq!(claimed.labels()[words::REVISION], revision);
}

#[tokio::test]
async fn api_policy_refuses_patches_that_are_no_claim() {
    let setting = setting("claim-none").await;
    let state = |value: &str| json!({"op": "replace", "path": "/metadata/labels/muon.dev~1state", "value": value});
    refused(&setting, vec![state("retiring")], "'free' may not become 'retiring'").await;
    refused(&setting, vec![state("claimed")], "must say for what").await;

    let whole = Value::from(claim(&setting.pod, &setting.function));
    json_patch(&setting.proxy, &path(&setting.pod), &whole).await.expect("a claim");
    // What is claimed stays claimed, and its function's: nothing may be taken over or given back.
    refused(&setting, vec![state("free")], "'claimed' may not become 'free'").await;
    let other = function(&setting.admin, &setting.namespace, "other").await;
    let mut steal = claim(&setting.pod, &other);
    steal.drain(..3);
    refused(&setting, steal, "'claimed' may not become 'claimed'").await;
    refused(&setting, vec![state("draining")], "'claimed' may not become 'draining'").await;
}

#[tokio::test]
async fn api_policy_leaves_pods_of_others_alone() {
    let setting = setting("claim-foreign").await;
    let pods: Api<Pod> = Api::namespaced(setting.admin.clone(), &setting.namespace);
    let mut foreign = setting.pod.clone();
    foreign.metadata.name = Some("bank".to_owned());
    foreign.metadata.resource_version = None;
    foreign.metadata.labels = Some([(words::STATE.to_owned(), "free".to_owned())].into());
    let foreign = pods.create(&PostParams::default(), &foreign).await.expect("a pod of the user's");
    let operations = Value::from(claim(&foreign, &setting.function));
    let told = json_patch(&setting.proxy, &path(&foreign), &operations).await.expect_err("no pool's pod");
    assert!(told.message.contains("an Environment's pool"), "{}", told.message);
}

/// What the policy need not say, because the account has no such right.
#[tokio::test]
async fn api_policy_gives_a_proxy_no_other_right() {
    let setting = setting("claim-rights").await;
    let Setting { namespace, proxy, pod, function, .. } = &setting;
    let pods: Api<Pod> = Api::namespaced(proxy.clone(), namespace);
    let functions: Api<Function> = Api::namespaced(proxy.clone(), namespace);
    let forbidden = |what: &str, code: Option<u16>| assert_eq!(code, Some(403), "{what}");
    let name = pod.name_any();
    forbidden("delete", code(pods.delete(&name, &DeleteParams::default()).await));
    let mut another = pod.clone();
    another.metadata.name = Some("another".to_owned());
    another.metadata.resource_version = None;
    forbidden("create", code(pods.create(&PostParams::default(), &another).await));
    forbidden("update", code(pods.replace(&name, &PostParams::default(), pod).await));
    let merge = Patch::Merge(json!({"status": {"podIP": "198.18.0.1"}}));
    forbidden("pods/status", code(pods.patch_status(&name, &PatchParams::default(), &merge).await));
    let merge = Patch::Merge(json!({"spec": {"replicas": 3}}));
    forbidden("functions", code(functions.patch(&function.name_any(), &PatchParams::default(), &merge).await));
    let merge = Patch::Merge(json!({"status": {"replicas": 3}}));
    let status = functions.patch_status(&function.name_any(), &PatchParams::default(), &merge).await;
    forbidden("functions/status", code(status));
    for resource in ["secrets", "configmaps", "serviceaccounts"] {
        let request = http::Request::get(format!("/api/v1/namespaces/{namespace}/{resource}")).body(Vec::new());
        let listed = proxy.request::<Value>(request.unwrap()).await;
        forbidden(resource, code(listed));
    }
    assert!(pods.list(&ListParams::default()).await.is_ok_and(|list| !list.items.is_empty()), "it may read pods");
}

fn code<T>(result: Result<T, kube::Error>) -> Option<u16> {
    match result {
        Err(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

#[tokio::test]
async fn api_claims_of_one_pod_race_and_one_wins() {
    let setting = setting("claim-race").await;
    let functions = join_all((0..8).map(|n| function_named(&setting, format!("fn-{n}")))).await;
    let path = path(&setting.pod);
    let tries = functions.iter().map(|function| {
        let operations = Value::from(claim(&setting.pod, function));
        let (proxy, path) = (&setting.proxy, path.as_str());
        async move { json_patch(proxy, path, &operations).await }
    });
    let results = join_all(tries).await;
    let won: Vec<_> = results.iter().flatten().collect();
    assert_eq!(won.len(), 1);
    for lost in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(lost.code, 422, "a lost claim is a failed test: {}", lost.message);
    }
    let now = json_patch(&setting.proxy, &path, &json!([])).await;
    let owner = won[0].owner_references()[0].uid.clone();
    let pods: Api<Pod> = Api::namespaced(setting.admin.clone(), &setting.namespace);
    let pod = pods.get("pool-1").await.expect("the pod");
    assert_eq!(pod.owner_references()[0].uid, owner, "{now:?}");
}

async fn function_named(setting: &Setting, name: String) -> Function {
    function(&setting.admin, &setting.namespace, &name).await
}

/// Two proxies, each sure of the same list of free pods: every pod goes to one function, every function gets one.
#[tokio::test]
async fn api_claims_of_two_proxies_share_the_pods() {
    let setting = setting("claim-two").await;
    let pods = join_all((0..10).map(|n| free_named(&setting, format!("pod-{n}")))).await;
    let functions = join_all((0..10).map(|n| function_named(&setting, format!("fn-{n}")))).await;
    let second = ControlPlane::shared().client_as(PROXY);
    let claims = functions.iter().enumerate().map(|(n, function)| {
        let client = if n % 2 == 0 { &setting.proxy } else { &second };
        let pods = &pods;
        async move {
            for pod in pods {
                match json_patch(client, &path(pod), &Value::from(claim(pod, function))).await {
                    Ok(_) => return Some(pod.name_any()),
                    Err(status) => assert_eq!(status.code, 422, "{}", status.message),
                }
            }
            None
        }
    });
    let won: Vec<Option<String>> = join_all(claims).await;
    let different: BTreeSet<&String> = won.iter().flatten().collect();
    assert_eq!(different.len(), 10, "{won:?}");
}

async fn free_named(setting: &Setting, name: String) -> Pod {
    free(&setting.admin, &setting.namespace, &name).await
}

//! What the proxy's account may do to reserved pods: its own it may claim and give back, any it may have replaced.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt as _};
use muon_crds::{Function, words};
use muon_e2e::control_plane::ControlPlane;
use muon_e2e::manifest::json_patch;
use muon_e2e::wait::until;
use serde_json::{Value, json};

use crate::pool_pod::{claim, free, function, path, reserve, unmark};

const PROXY: &str = "system:serviceaccount:muon-system:muon-proxy";

/// A namespace of its own, with a Function, and two proxies.
struct Setting {
    namespace: &'static str,
    admin: Client,
    one: Client,
    other: Client,
    function: Function,
}

impl Setting {
    async fn new(namespace: &'static str) -> Self {
        let plane = ControlPlane::shared();
        plane.kubectl_ok(&["create", "namespace", namespace], "");
        let admin = plane.client();
        let (one, other) = (plane.client_in_pod(PROXY, "proxy-a"), plane.client_in_pod(PROXY, "proxy-b"));
        let function = function(&admin, namespace, "hello").await;
        let setting = Self { namespace, admin, one, other, function };
        let pod = setting.pod("probe").await;
        let forbidden = json!([{"op": "add", "path": "/metadata/labels/app", "value": "bank"}]);
        until("the policy is in force", Duration::from_secs(30), async || {
            let tried = json_patch(&setting.one, &format!("{}?dryRun=All", path(&pod)), &forbidden).await;
            tried.is_err_and(|status| status.message.contains("muon-claims")).then_some(())
        })
        .await;
        setting
    }

    async fn pod(&self, name: &str) -> Pod {
        free(&self.admin, self.namespace, name).await
    }

    /// A pod that `proxy-a` has reserved.
    async fn reserved(&self, name: &str) -> Pod {
        let pod = self.pod(name).await;
        allowed(&self.one, &pod, reserve(&pod, "proxy-a"), "reserved").await;
        pod
    }
}

async fn allowed(proxy: &Client, pod: &Pod, operations: Vec<Value>, state: &str) {
    let patched = json_patch(proxy, &path(pod), &Value::from(operations)).await;
    let patched = patched.unwrap_or_else(|status| panic!("{} to {state}: {}", pod.name_any(), status.message));
    assert_eq!(patched.labels()[words::STATE], state);
}

async fn refused(proxy: &Client, pod: &Pod, operations: Vec<Value>, says: &str) {
    let tried = json_patch(proxy, &path(pod), &Value::from(operations.clone())).await;
    let told = tried.expect_err(&format!("allowed: {}", Value::from(operations)));
    assert_eq!(told.code, 403, "{}", told.message);
    assert!(told.message.contains("muon-claims") && told.message.contains(says), "not {says:?}: {}", told.message);
}

fn state(value: &str) -> Value {
    json!({"op": "replace", "path": "/metadata/labels/muon.dev~1state", "value": value})
}

fn add(path: &str, value: Value) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

const COST: &str = "/metadata/annotations/controller.kubernetes.io~1pod-deletion-cost";

/// The claim of a pod that is reserved.
fn claim_reserved(setting: &Setting, pod: &Pod) -> Vec<Value> {
    let mut operations = claim(pod, &setting.function);
    operations.retain(|operation| operation["value"] != "free");
    operations.extend(unmark());
    operations
}

fn give_back() -> Vec<Value> {
    std::iter::once(state("free")).chain(unmark()).collect()
}

#[tokio::test]
async fn api_policy_lets_a_proxy_reserve_claim_and_give_back() {
    let setting = Setting::new("reserve-allowed").await;
    let pod = setting.reserved("claimed").await;
    allowed(&setting.one, &pod, claim_reserved(&setting, &pod), "claimed").await;
    let pod = setting.reserved("returned").await;
    allowed(&setting.one, &pod, give_back(), "free").await;
    allowed(&setting.other, &pod, reserve(&pod, "proxy-b"), "reserved").await;
    let pod = setting.reserved("replaced").await;
    allowed(&setting.other, &pod, vec![state("retiring"), add(COST, json!("-1000"))], "retiring").await;
}

#[tokio::test]
async fn api_policy_keeps_a_reserved_pod_for_its_proxy() {
    let setting = Setting::new("reserve-others").await;
    let pod = setting.reserved("reserved").await;
    let theirs = "is that one's";
    refused(&setting.other, &pod, claim_reserved(&setting, &pod), theirs).await;
    refused(&setting.other, &pod, give_back(), theirs).await;
    refused(&setting.other, &pod, reserve(&pod, "proxy-b"), "'reserved' may not become 'reserved'").await;
    // A token that is bound to no pod has no name to reserve in.
    let nameless = ControlPlane::shared().client_as(PROXY);
    refused(&nameless, &pod, give_back(), theirs).await;
    let free = setting.pod("free").await;
    refused(&nameless, &free, reserve(&free, ""), "reserved-by must be itself").await;
    refused(&setting.other, &free, reserve(&free, "proxy-a"), "reserved-by must be itself").await;
}

/// Each is a whole change, with one thing more or other than it has.
#[tokio::test]
async fn api_policy_refuses_a_reservation_with_anything_else() {
    let setting = Setting::new("reserve-extra").await;
    let (free, reserved) = (setting.pod("free").await, setting.reserved("reserved").await);
    let owners = "/metadata/ownerReferences";
    let function = "/metadata/labels/muon.dev~1function";
    let extra: Vec<(Value, &str)> = vec![
        (add("/spec/activeDeadlineSeconds", json!(1)), "spec must stay"),
        (add("/metadata/labels/app", json!("bank")), "labels but"),
        (add("/metadata/labels/muon.dev~1pool", json!("87654321")), "labels but"),
        (add(function, json!("hello")), "labels but"),
        (add("/metadata/annotations/example.com~1a", json!("b")), "annotations but"),
        (add("/metadata/annotations/muon.dev~1function-uid", json!("u")), "annotations but"),
        (add(owners, json!([])), "owners must stay"),
        (add("/metadata/finalizers", json!(["example.com/stay"])), "finalizers"),
    ];
    let changes = [
        (&free, reserve(&free, "proxy-a")),
        (&reserved, give_back()),
        (&reserved, vec![state("retiring"), add(COST, json!("-1000"))]),
    ];
    for (pod, whole) in &changes {
        for (one_more, says) in &extra {
            let operations = whole.iter().chain([one_more]).cloned().collect();
            refused(&setting.one, pod, operations, says).await;
        }
    }
    let until = "/metadata/labels/muon.dev~1reserved-until";
    let until_when = "reserved-until seconds";
    refused(&setting.one, &free, [reserve(&free, "proxy-a"), vec![add(until, json!("soon"))]].concat(), until_when)
        .await;
    refused(&setting.one, &free, [reserve(&free, "proxy-a"), vec![add(COST, json!("5"))]].concat(), "annotations but")
        .await;
    refused(&setting.one, &reserved, vec![state("free")], "only on a reserved pod").await;
    refused(&setting.one, &reserved, vec![state("retiring")], "first to go").await;
    refused(&setting.one, &reserved, vec![state("retiring"), add(COST, json!("5"))], "first to go").await;
    refused(&setting.one, &reserved, vec![state("draining")], "may not become 'draining'").await;
    // The whole changes themselves are all right.
    allowed(&setting.one, &free, reserve(&free, "proxy-a"), "reserved").await;
    allowed(&setting.one, &reserved, give_back(), "free").await;
}

//! What each kind asks for is made, belongs to it, and passes the API server's own checks.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt as _;
use kube::api::{ListParams, ObjectMeta, PostParams};
use muon_crds::{ConditionType, Environment, Function, HTTPTrigger, Package, words};
use muon_e2e::audit::Mark;
use muon_e2e::control_plane::ControlPlane;
use muon_e2e::space::{READY_WITHIN, Space, says};
use muon_e2e::wait::until;
use serde_json::json;

use crate::installation::{environment, function, space, trigger};

/// The one object that owns this one as its controller.
fn owner(meta: &ObjectMeta) -> Option<(String, String)> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let [owner] = owners else { return None };
    assert_eq!(owner.controller, Some(true), "{owner:?}");
    assert_ne!(owner.block_owner_deletion, Some(true), "it would ask for rights to the owner's finalizers");
    Some((owner.kind.clone(), owner.name.clone()))
}

fn owned_by(kind: &str, name: &str) -> Option<(String, String)> {
    Some((kind.to_owned(), name.to_owned()))
}

/// Makes a pod as the Deployment's controller would; the namespace enforces Pod Security `restricted`.
async fn admits(space: &Space, template: &PodTemplateSpec, name: &str) -> Pod {
    let mut metadata = template.metadata.clone().unwrap_or_default();
    metadata.name = Some(name.to_owned());
    let pod = Pod { metadata, spec: template.spec.clone(), status: None };
    space.api::<Pod>().create(&PostParams::default(), &pod).await.expect("a pod that restricted Pod Security takes")
}

#[tokio::test]
async fn api_environment_makes_its_pool() {
    let space = space("children-environment");
    environment(&space).await;
    let status = space.ready::<Environment>("python").await.status.expect("it has one");
    let pool = space.api::<Deployment>().get(&status.pool.expect("its name")).await.expect("the pool");
    assert_eq!(owner(&pool.metadata), owned_by("Environment", "python"));
    let template = &pool.spec.as_ref().expect("a spec").template;
    let pod = admits(&space, template, "as-the-replicaset-would").await;
    assert_eq!((pod.labels()[words::STATE].as_str(), pod.labels()[words::ENVIRONMENT].as_str()), ("free", "python"));
    let spec = pod.spec.expect("a spec");
    assert_eq!(spec.automount_service_account_token, Some(false));
    assert!(!spec.volumes.iter().flatten().any(|volume| volume.name.starts_with("kube-api-access")), "no token");
    let agent = &spec.init_containers.as_ref().expect("the agent is a native sidecar")[0];
    assert_eq!((agent.name.as_str(), agent.restart_policy.as_deref()), ("agent", Some("Always")));
    let runtime = &spec.containers[0];
    let mounts = runtime.volume_mounts.as_deref().unwrap_or_default();
    let code = mounts.iter().find(|mount| mount.mount_path == words::CODE_DIR).expect("the code");
    assert_eq!(code.read_only, Some(true));
    assert!(!mounts.iter().any(|mount| mount.mount_path == words::AGENT_DIR), "the order is the agent's");
}

#[tokio::test]
async fn api_function_makes_its_name() {
    let space = space("children-function");
    environment(&space).await;
    space.apply_value(function("hello", json!({}))).await;
    let status = space.ready::<Function>("hello").await.status.expect("it has one");
    let serving = status.serving.expect("what is served");
    let package = space.ready::<Package>("hello-inline").await;
    assert_eq!(owner(&package.metadata), owned_by("Function", "hello"));
    assert_eq!(Some(&serving.digest), package.status.as_ref().and_then(|status| status.digest.as_ref()));
    assert_eq!(status.url.as_deref(), Some("http://hello.children-function"));

    let services = space.api::<Service>();
    let name = services.get("hello").await.expect("its name");
    assert_eq!(owner(&name.metadata), owned_by("Function", "hello"));
    let spec = name.spec.expect("a spec");
    assert_eq!(spec.type_.as_deref(), Some("ExternalName"));
    assert_eq!(spec.external_name.as_deref(), Some("muon-functions.children-function.svc.cluster.local"));
    let slices = slices(&space, words::FUNCTIONS_SERVICE).await;
    let ports: Vec<_> = slices.iter().flat_map(|slice| slice.ports.iter().flatten()).map(|port| port.port).collect();
    assert_eq!(ports, [Some(i32::from(words::PORT_FUNCTIONS))]);
    assert!(services.get_opt(words::GATEWAY_SERVICE).await.unwrap().is_none(), "there is no route in the namespace");
    let deployments = space.api::<Deployment>().list(&ListParams::default()).await.unwrap();
    assert_eq!(deployments.items.len(), 1, "the pool's, and none of the function's");
}

/// The slices of a Service of ours, once it has an address.
async fn slices(space: &Space, service: &str) -> Vec<EndpointSlice> {
    until(&format!("{service} has addresses"), READY_WITHIN, async || {
        space.api::<Service>().get_opt(service).await.ok()??;
        let of = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let found = space.api::<EndpointSlice>().list(&of).await.ok()?.items;
        found.iter().any(|slice| !slice.endpoints.is_empty()).then_some(found)
    })
    .await
}

#[tokio::test]
async fn api_function_with_settings_makes_its_own_deployment() {
    let space = space("children-own");
    environment(&space).await;
    let env = json!([
        {"name": "PLAIN", "value": "v"},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": true}}},
    ]);
    let volumes = json!([{"name": "scratch", "mountPath": "/scratch", "emptyDir": {"sizeLimit": "1Mi"}}]);
    space.apply_value(function("own", json!({"env": env, "volumes": volumes}))).await;
    let status = space.ready::<Function>("own").await.status.expect("it has one");
    let revision = status.serving.expect("what is served").revision;
    let name = muon_crds::names::own_deployment("own", &revision);
    let own = space.api::<Deployment>().get(&name).await.expect("its own Deployment");
    assert_eq!(owner(&own.metadata), owned_by("Function", "own"));
    let spec = own.spec.expect("a spec");
    assert_eq!(spec.replicas, Some(0), "nothing runs while nobody calls");
    let pod = admits(&space, &spec.template, "as-the-replicaset-would").await;
    assert_eq!(pod.labels()[words::REVISION], revision);
    let spec = pod.spec.expect("a spec");
    let names: Vec<&str> = spec.containers[0].env.iter().flatten().map(|variable| variable.name.as_str()).collect();
    assert!(names.contains(&"PLAIN") && names.contains(&"SECRET"), "{names:?}");
    // Somebody waits for this pod: both containers are made in one go.
    assert!(spec.init_containers.is_none());
    let agent = &spec.containers[1];
    assert_eq!(agent.name, "agent");
    let seen: Vec<&str> = agent.env.iter().flatten().map(|variable| variable.name.as_str()).collect();
    assert!(!seen.contains(&"SECRET"), "the function's secrets are not the agent's: {seen:?}");
}

#[tokio::test]
async fn api_trigger_makes_its_ingress() {
    let space = space("children-trigger");
    environment(&space).await;
    space.apply_value(function("hello", json!({}))).await;
    let ingress =
        json!({"className": "some-class", "annotations": {"example.com/a": "b"}, "tls": {"secretName": "cert"}});
    let more = json!({"host": "hello.children.example", "ingress": ingress});
    space.apply_value(trigger("hello", "hello", more)).await;
    ControlPlane::shared().kubectl_ok(
        &["apply", "-f", "-"],
        "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: some-class}, spec: {controller: example.com/c}}",
    );
    space.ready::<HTTPTrigger>("hello").await;
    let made = space.api::<Ingress>().get("hello").await.expect("the Ingress");
    assert_eq!(owner(&made.metadata), owned_by("HTTPTrigger", "hello"));
    assert_eq!(made.annotations()["example.com/a"], "b");
    let spec = made.spec.expect("a spec");
    assert_eq!(spec.ingress_class_name.as_deref(), Some("some-class"));
    assert_eq!(spec.tls.as_ref().and_then(|tls| tls[0].secret_name.as_deref()), Some("cert"));
    let rule = &spec.rules.as_ref().expect("a rule")[0];
    assert_eq!(rule.host.as_deref(), Some("hello.children.example"));
    let backend = &rule.http.as_ref().expect("paths").paths[0].backend.service.as_ref().expect("a Service");
    assert_eq!(backend.name, words::GATEWAY_SERVICE);
    slices(&space, words::GATEWAY_SERVICE).await;

    // Absent means absent: the Ingress goes when it is not asked for any more.
    space.apply_value(trigger("hello", "hello", json!({"host": "hello.children.example"}))).await;
    until("the Ingress is gone", READY_WITHIN, async || {
        space.api::<Ingress>().get_opt("hello").await.ok()?.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn api_package_with_build_is_stalled() {
    let space = space("children-build");
    environment(&space).await;
    space
        .apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Package", "metadata": {"name": "built"},
            "spec": {"environment": "python", "source": {"files": {"main.py": ""}}, "build": {}},
        }))
        .await;
    let told = space
        .has::<Package>("built", "Stalled", |package| {
            says(package, ConditionType::Stalled).is_some_and(|found| found.status == "True")
        })
        .await;
    let stalled = says(&told, ConditionType::Stalled).expect("it is there");
    assert!(stalled.message.to_lowercase().contains("build"), "{stalled:?}");
}

/// Every kind, applied again as it is: not one write by either operator.
#[tokio::test]
async fn api_applying_the_same_again_writes_nothing() {
    let space = space("children-again");
    environment(&space).await;
    let objects = [
        function("pooled", json!({})),
        function("owned", json!({"env": [{"name": "A", "value": "b"}]})),
        trigger("pooled", "pooled", json!({})),
    ];
    for object in &objects {
        space.apply_value(object.clone()).await;
    }
    for name in ["pooled", "owned"] {
        space.ready::<Function>(name).await;
    }
    space.ready::<HTTPTrigger>("pooled").await;
    let audit = ControlPlane::shared().audit();
    let written = |mark| {
        let mut written = audit.writes_by("system:serviceaccount:muon-system:muon-operator", mark);
        written.retain(|entry| {
            let object = entry.object();
            object.namespace == space.namespace && !object.name.starts_with("after")
        });
        written.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(written(Mark::default()).len() > 10, "what was made was made by the operator's account");
    let mark = audit.mark();
    for object in &objects {
        space.apply_value(object.clone()).await;
    }
    environment(&space).await;
    // Something new, seen through to its end, comes after all that the repetition could have set going.
    space.apply_value(function("after", json!({}))).await;
    space.ready::<Function>("after").await;
    let told = written(mark);
    assert!(told.is_empty(), "{told:#?}");
}

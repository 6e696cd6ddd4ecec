//! Every sample: applied with plain kubectl, waited for, called as its `test/check.yaml` says, deleted, and nothing left.

use std::collections::BTreeMap;
use std::path::Path;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use muon_crds::{Function, HTTPTrigger};
use muon_e2e::control_plane::repository;
use muon_e2e::manifest::documents;
use muon_e2e::route::{Reply, Route};
use muon_e2e::scene::Scene;
use serde::Deserialize;
use serde_json::json;

/// One step of a check.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Step {
    #[serde(default)]
    name: String,
    request: Call,
    expect: Option<Expect>,
    #[serde(default)]
    expect_any: Vec<Expect>,
    #[serde(default = "once")]
    repeat: usize,
}

fn once() -> usize {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    #[serde(default = "get")]
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

fn get() -> String {
    "GET".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expect {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_contains: Option<String>,
}

impl Expect {
    fn fits(&self, reply: &Reply) -> bool {
        self.status == reply.status
            && self.headers.iter().all(|(name, value)| reply.header(name) == value)
            && self.body.as_ref().is_none_or(|body| *body == reply.text())
            && self.body_contains.as_ref().is_none_or(|part| reply.text().contains(part))
    }
}

/// The samples' hosts, moved aside: whoever has the samples installed as they are keeps their routes.
pub fn aside(text: &str) -> String {
    text.replace(".example.com", ".samples.example")
}

async fn check(folder: &str, environments: &[&str]) {
    let _cluster = crate::together().await;
    let scene = Scene::empty(&format!("sample-{folder}")).await;
    for environment in environments {
        scene.environment(environment, json!({"min": 2, "max": 4})).await;
    }
    check_in(&scene, folder).await;
    let kept: Vec<String> = environments.iter().map(|name| format!("{name}-pool")).collect();
    scene.nothing_left(|name| kept.iter().any(|kept| name.contains(kept.as_str())) || name.contains("Policy")).await;
    scene.close().await;
}

/// Applies the sample, calls it as its check says, and deletes it.
pub async fn check_in(scene: &Scene, folder: &str) {
    let path = repository().join("samples").join(folder);
    let manifests = manifests(&path);
    let objects: Vec<DynamicObject> = documents(&manifests).iter().map(|document| document.object()).collect();
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), &manifests).expect("a temporary file");
    let file = file.path().to_string_lossy();
    scene.cluster.kubectl_ok(&["apply", "-n", &scene.namespace, "-f", &file]);
    for object in &objects {
        let (name, kind) = (object.name_any(), object.types.as_ref().map(|types| types.kind.as_str()));
        match kind {
            Some("Package") => drop(scene.built(&name).await),
            Some("Function") => drop(scene.ready::<Function>(&name).await),
            Some("HTTPTrigger") => drop(scene.ready::<HTTPTrigger>(&name).await),
            _ => {}
        }
    }
    let waited = scene.cluster.kubectl_ok(&[
        "wait",
        "-n",
        &scene.namespace,
        "--for=condition=Ready",
        "--timeout=10s",
        "functions,httptriggers",
        "--all",
    ]);
    assert!(waited.lines().count() >= 2, "{waited}");

    call(scene, folder, &path, &objects).await;

    scene.cluster.kubectl_ok(&["delete", "-n", &scene.namespace, "--wait=true", "--timeout=60s", "-f", &file]);
}

async fn call(scene: &Scene, folder: &str, path: &Path, objects: &[DynamicObject]) {
    let host = format!("{folder}.samples.example");
    let route = Route::new(&scene.cluster.ingress, &host);
    reach(&route, objects).await;
    for step in &steps_of(path) {
        let mut met = vec![0; step.expect_any.len()];
        for _ in 0..step.repeat {
            let method = step.request.method.parse().expect("a method");
            let mut request = route.request(method, &step.request.path);
            for (name, value) in &step.request.headers {
                request = request.header(name, aside(value));
            }
            let reply = route.send(request.body(step.request.body.clone())).await;
            match &step.expect {
                Some(expect) => assert!(expect.fits(&reply), "{folder}: {}: {step:?} got {reply}", step.name),
                None => {
                    let fit = step.expect_any.iter().position(|expect| expect.fits(&reply));
                    met[fit.unwrap_or_else(|| panic!("{folder}: {}: {step:?} got {reply}", step.name))] += 1;
                }
            }
        }
        assert!(met.iter().all(|count| *count > 0), "{folder}: {}: {met:?} of {step:?}", step.name);
    }
}

fn steps_of(sample: &Path) -> Vec<Step> {
    let steps = std::fs::read_to_string(sample.join("test/check.yaml")).expect("the sample has a check");
    let steps: Vec<Step> = serde_yaml::from_str(&steps).expect("the check is in the form of samples/README.md");
    assert!(!steps.is_empty());
    steps
}

/// What the check of a sample of broken code says of the answer at a path: its status, and the words that tell the error.
pub fn told_at(sample: &Path, path: &str) -> (u16, String) {
    let step = steps_of(sample).into_iter().find(|step| step.request.path == path);
    let expect = step.and_then(|step| step.expect).expect("the check has the path");
    (expect.status, expect.body_contains.expect("the check has words of the error"))
}

/// Until the Ingress controller, which reads Ingresses at its own pace, has every path of the sample: it answers 404
/// in plain words of its own until then. PATCH starts nothing: no sample has it.
pub async fn reach(route: &Route, objects: &[DynamicObject]) {
    for object in objects.iter().filter(|object| object.types.as_ref().is_some_and(|types| types.kind == "HTTPTrigger"))
    {
        let spec = &object.data["spec"];
        let path = spec["path"].as_str().or(spec["pathPrefix"].as_str()).expect("a route has a path");
        let path = path.replace(['{', '}'], "");
        let what = format!("the Ingress controller has {path}");
        muon_e2e::wait::until(&what, muon_e2e::space::READY_WITHIN, async || {
            let reply = route.try_send(route.request(http::Method::PATCH, &path)).await.ok()?;
            (reply.status == 405).then_some(())
        })
        .await;
    }
}

fn manifests(folder: &Path) -> String {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the sample")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    files.sort();
    let texts: Vec<String> = files.iter().map(|path| std::fs::read_to_string(path).expect("a text")).collect();
    aside(&texts.join("\n---\n"))
}

#[tokio::test]
async fn e2e_sample_hello_python() {
    check("hello-python", &["python"]).await;
}

#[tokio::test]
async fn e2e_sample_hello_node() {
    check("hello-node", &["node"]).await;
}

#[tokio::test]
async fn e2e_sample_python_dependency() {
    check("python-dependency", &["python"]).await;
}

#[tokio::test]
async fn e2e_sample_rest_api() {
    check("rest-api", &["python"]).await;
}

#[tokio::test]
async fn e2e_sample_webhook() {
    check("webhook", &["python"]).await;
}

#[tokio::test]
async fn e2e_sample_canary() {
    check("canary", &["python"]).await;
}

#[tokio::test]
async fn e2e_sample_settings() {
    check("settings", &["python"]).await;
}

#[tokio::test]
async fn e2e_sample_streaming() {
    check("streaming", &["python"]).await;
}

#[tokio::test]
async fn e2e_sample_typescript() {
    check("typescript", &["node"]).await;
}

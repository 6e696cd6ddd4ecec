//! What must be taken: every form of every field, and every sample; and what the server fills in by itself.

use kube::ResourceExt as _;
use muon_e2e::control_plane::{ControlPlane, repository};
use muon_e2e::manifest::{self, documents};
use serde_json::{Value, json};

async fn accepts_all(text: &str) -> usize {
    let client = ControlPlane::shared().client();
    let cases = documents(text);
    for case in &cases {
        let object = case.object();
        if let Err(message) = manifest::dry_run(&client, "default", &object).await {
            panic!("{:?} {} was refused: {message}", case.comments, object.name_any());
        }
    }
    cases.len()
}

async fn filled_in(kind: &str, spec: Value) -> Value {
    let object = manifest::parse(json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec,
    }));
    let client = ControlPlane::shared().client();
    manifest::dry_run(&client, "default", &object).await.expect("it is good").data["spec"].clone()
}

#[tokio::test]
async fn admit_takes_every_form_of_every_field() {
    assert!(accepts_all(include_str!("../../testdata/good/forms.yaml")).await >= 12);
}

#[tokio::test]
async fn admit_takes_every_sample() {
    let mut found = 0;
    let samples = repository().join("samples");
    let mut folders = vec![samples];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the samples").map(|entry| entry.expect("a file").path()) {
            let test = entry.file_name().is_some_and(|name| name == "test");
            match entry.extension() {
                None if entry.is_dir() && !test => folders.push(entry),
                Some(ext) if ext == "yaml" => {
                    found += accepts_all(&std::fs::read_to_string(&entry).expect("a text")).await;
                }
                _ => {}
            }
        }
    }
    assert!(found >= 15, "only {found} objects in the samples");
}

#[tokio::test]
async fn admit_fills_in_an_environment() {
    assert_eq!(
        filled_in("Environment", json!({"runtime": {"image": "i"}})).await,
        json!({
            "runtime": {"image": "i", "port": 8888},
            "pool": {"min": 3, "max": 20},
            "resources": {},
            "terminationGracePeriodSeconds": 60,
        })
    );
}

#[tokio::test]
async fn admit_fills_in_a_function() {
    assert_eq!(
        filled_in("Function", json!({"environment": "python", "package": "p", "scaling": {"min": 2}})).await,
        json!({
            "environment": "python",
            "package": "p",
            "concurrency": 10,
            "timeoutSeconds": 60,
            "scaling": {"min": 2, "max": 10, "idleSeconds": 120},
            "replicas": 0,
        })
    );
}

/// A field that is not there means something: all methods, inside the cluster only.
#[tokio::test]
async fn admit_leaves_a_trigger_as_it_is() {
    let spec = json!({"path": "/", "function": {"name": "f"}});
    assert_eq!(filled_in("HTTPTrigger", spec.clone()).await, spec);
    let spec = json!({"environment": "python", "source": {"files": {"main.py": ""}}});
    assert_eq!(filled_in("Package", spec.clone()).await, spec);
}

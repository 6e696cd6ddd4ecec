//! Screens, by golden files: what was found, and what is told of it.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::verdict::{Answer, judge};
use super::{Facts, screen};
use crate::golden;
use crate::kinds::{Kind, Target};
use crate::output::Terminal;

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn read<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 2,
        "lastTransitionTime": "2026-11-23T11:00:00Z"})
}

fn digest(of: char) -> String {
    format!("sha256:{}", of.to_string().repeat(64))
}

fn function(conditions: &[Value], serving: Option<&str>, loaded: i32) -> muon_crds::Function {
    let serving = serving.map(|mode| {
        json!({"revision": "0a1b2c3d", "digest": digest('a'), "mode": mode, "environment": "python", "entrypoint": "main.main",
            "concurrency": 10, "timeoutSeconds": 60, "max": 10})
    });
    read(json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Function",
        "metadata": {"name": "hello", "namespace": "team", "generation": 2, "labels": {"app": "greeter"}},
        "spec": {"environment": "python", "package": "hello", "entrypoint": "main.main"},
        "status": {"observedGeneration": 2, "conditions": conditions, "serving": serving, "url": "http://hello.team",
            "replicas": loaded, "readyReplicas": loaded,
            "revisions": [{"revision": "99887766", "digest": digest('b'), "until": "2026-11-23T11:30:00Z"}]},
    }))
}

fn environment(free: i32) -> muon_crds::Environment {
    read(
        json!({"apiVersion": "muon.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "python", "generation": 1},
        "spec": {"runtime": {"image": "muon/python:3.11"}},
        "status": {"observedGeneration": 1, "conditions": [condition("Ready", "True", "PoolReady", "")], "free": free, "claimed": 1}}),
    )
}

fn package(conditions: &[Value]) -> muon_crds::Package {
    read(json!({"apiVersion": "muon.dev/v1alpha1", "kind": "Package", "metadata": {"name": "hello", "generation": 2},
        "spec": {"environment": "python", "source": {"files": {"main.py": ""}}, "build": {}},
        "status": {"observedGeneration": 2, "conditions": conditions, "digest": digest('a'), "sizeBytes": 2048,
            "build": {"key": digest('c'), "job": "build-0123456789abcdef"}}}))
}

fn trigger(ready: Value) -> muon_crds::HTTPTrigger {
    read(
        json!({"apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": {"name": "greet", "generation": 1},
        "spec": {"host": "hello.example.com", "path": "/", "methods": ["GET", "HEAD"],
            "function": {"selector": {"matchLabels": {"app": "greeter"}}}},
        "status": {"observedGeneration": 1, "conditions": [ready], "url": "http://hello.example.com/",
            "functions": [{"name": "hello", "weight": 90}, {"name": "next", "weight": 10}]}}),
    )
}

fn pod(name: &str, restarts: i32) -> k8s_openapi::api::core::v1::Pod {
    read(json!({"metadata": {"name": name, "creationTimestamp": "2026-11-23T11:59:00Z",
            "labels": {"muon.dev/state": "claimed", "muon.dev/revision": "0a1b2c3d"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [
            {"name": "runtime", "restartCount": restarts, "ready": true, "image": "", "imageID": "",
             "lastState": if restarts > 0 { json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}) } else { json!({}) }}]}}))
}

fn event(reason: &str, message: &str) -> k8s_openapi::api::core::v1::Event {
    read(json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Function", "name": "hello"}, "type": "Warning",
        "reason": reason, "message": message, "lastTimestamp": "2026-11-23T11:58:00Z"}))
}

fn check(name: &str, facts: &Facts, answer: Answer) {
    let told = judge(facts, Kind::Function);
    assert_eq!(told.callable, answer, "{told:#?}");
    let target = Target { kind: Kind::Function, name: "hello".to_owned() };
    let paper = Terminal { colour: false, moves: false };
    golden::check(&format!("describe/{name}.txt"), &screen::render(&target, "team", facts, &told, now(), paper));
}

#[test]
fn warm() {
    let facts = Facts {
        function: Some(function(&[condition("Ready", "True", "Serving", "")], Some("Pool"), 2)),
        environment: Some(environment(3)),
        package: Some(package(&[condition("Ready", "True", "Built", "")])),
        triggers: vec![trigger(condition("Ready", "True", "Accepted", ""))],
        pods: vec![pod("python-pool-1-a", 0), pod("python-pool-1-b", 2)],
        events: vec![event("CrashLoop", "the runtime ended\nand more of it")],
        unread: Vec::new(),
    };
    check("warm", &facts, Answer::Yes);
}

#[test]
fn cold_from_the_pool_and_from_pods_of_its_own() {
    let ready = [condition("Ready", "True", "Serving", "")];
    let facts = |mode: &str, free| Facts {
        function: Some(function(&ready, Some(mode), 0)),
        environment: Some(environment(free)),
        package: Some(package(&[condition("Ready", "True", "Built", "")])),
        ..Facts::default()
    };
    check("cold", &facts("Pool", 3), Answer::Yes);
    check("cold-without-free-pods", &facts("Pool", 0), Answer::Yes);
    check("cold-with-its-own", &facts("Deployment", 3), Answer::Yes);
}

#[test]
fn a_build_that_failed() {
    let failed =
        "the builder ended with 1:\n  File \"main.py\", line 3\n    def main(\nSyntaxError: '(' was never closed";
    let facts = Facts {
        function: Some(function(
            &[
                condition("Ready", "False", "PackageNotReady", &format!("the Package hello is not ready: {failed}")),
                condition("Stalled", "True", "PackageNotReady", ""),
                condition("Resolved", "False", "PackageNotReady", &format!("the Package hello is not ready: {failed}")),
            ],
            None,
            0,
        )),
        environment: Some(environment(3)),
        package: Some(package(&[
            condition("Built", "False", "BuildFailed", failed),
            condition("Stalled", "True", "BuildFailed", ""),
        ])),
        ..Facts::default()
    };
    check("build-failed", &facts, Answer::No);
}

#[test]
fn code_that_cannot_be_loaded() {
    let message = "Traceback: main.py line 1: No module named 'nothing'";
    let said = [
        condition("Ready", "False", "LoadFailed", &format!("the code could not be loaded: {message}")),
        condition("Stalled", "True", "LoadFailed", message),
        condition("Loaded", "False", "ImportFailed", message),
    ];
    let facts = |mode: &str, loaded| Facts {
        function: Some(function(&said, Some(mode), loaded)),
        environment: Some(environment(3)),
        package: Some(package(&[condition("Ready", "True", "Built", "")])),
        unread: vec!["events: forbidden".to_owned()],
        ..Facts::default()
    };
    check("load-failed", &facts("Pool", 0), Answer::No);
    // Pods of its own: those of the revision before serve on.
    check("load-failed-before-serves", &facts("Deployment", 1), Answer::Yes);
}

#[test]
fn no_environment() {
    let message = "waiting for the Environment python: there is none in this namespace";
    let facts = Facts {
        function: Some(function(&[condition("Ready", "False", "EnvironmentNotFound", message)], None, 0)),
        ..Facts::default()
    };
    check("no-environment", &facts, Answer::No);
}

#[test]
fn labels_select_as_the_api_server_selects() {
    let function = function(&[], None, 0);
    let selects = |reference: Value| super::selects(&read(reference), &function);
    let expression = |operator: &str, values: &[&str]| json!({"selector": {"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}});
    assert!(selects(json!({"name": "hello"})) && !selects(json!({"name": "other"})));
    assert!(selects(json!({"selector": {"matchLabels": {"app": "greeter"}}})));
    assert!(!selects(json!({"selector": {"matchLabels": {"app": "greeter", "tier": "x"}}})));
    assert!(selects(expression("In", &["greeter", "x"])) && !selects(expression("NotIn", &["greeter"])));
    assert!(selects(expression("Exists", &[])) && !selects(expression("DoesNotExist", &[])));
}

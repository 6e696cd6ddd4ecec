//! What holds for every object of every case.

use serde_json::Value;

/// Checks all objects and all conditions of a case's output.
pub fn check(out: &Value, case: &str) {
    objects(out, case);
    statuses(out, case);
}

fn objects(value: &Value, case: &str) {
    match value {
        Value::Object(map)
            if map.contains_key("apiVersion") && map.contains_key("kind") && map.contains_key("metadata") =>
        {
            object(value, case);
        }
        Value::Object(map) => map.values().for_each(|value| objects(value, case)),
        Value::Array(items) => items.iter().for_each(|value| objects(value, case)),
        _ => {}
    }
}

fn object(value: &Value, case: &str) {
    let meta = &value["metadata"];
    let kind = value["kind"].as_str().unwrap();
    let what = format!("{case}: {kind} {}", meta["name"]);
    assert_eq!(meta["namespace"], "shop", "{what}");
    assert!(meta["name"].as_str().is_some_and(|name| !name.is_empty() && name.len() <= 253), "{what}");
    let labels = &meta["labels"];
    assert_eq!(labels["app.kubernetes.io/managed-by"], "muon", "{what}");
    for key in ["name", "instance", "component", "part-of"] {
        let label = labels[format!("app.kubernetes.io/{key}")].as_str();
        assert!(label.is_some_and(|label| !label.is_empty()), "{what}: {key}");
    }
    for (key, label) in labels.as_object().unwrap() {
        assert!(label.as_str().is_some_and(|label| label.len() <= 63), "{what}: {key}");
    }
    let owners = meta["ownerReferences"].as_array().map_or(&[][..], Vec::as_slice);
    let of_namespace = kind == "Service" && matches!(meta["name"].as_str(), Some("muon-gateway" | "muon-functions"));
    if of_namespace {
        assert!(owners.is_empty(), "{what}");
    } else {
        assert_eq!(owners.len(), 1, "{what}");
        assert_eq!(owners[0]["controller"], true, "{what}");
        assert_eq!(owners[0]["blockOwnerDeletion"], false, "{what}");
        assert!(owners[0]["uid"].as_str().is_some_and(|uid| !uid.is_empty()), "{what}");
    }
    if kind == "Deployment" {
        selected(value, &what);
        let pod = &value["spec"]["template"]["spec"];
        restricted(pod, &what);
        // What follows an init container waits for kubelet's next look: in pods that a request waits for nothing does.
        let own = meta["labels"]["muon.dev/mode"] == "deployment";
        assert_eq!(pod["initContainers"].is_null(), own, "{what}");
    }
    if kind == "Job" {
        let template = &value["spec"]["template"];
        restricted(&template["spec"], &what);
        assert_eq!(template["spec"]["restartPolicy"], "Never", "{what}");
        // It is nobody's pod: no proxy sends it anything, no Environment counts it.
        assert!(template["metadata"]["labels"]["muon.dev/environment"].is_null(), "{what}");
        no_order_for_the_builder(&template["spec"], &what);
    }
}

/// The API server refuses a Deployment whose template its own selector does not match.
fn selected(value: &Value, what: &str) {
    let selector = &value["spec"]["selector"];
    let labels = &value["spec"]["template"]["metadata"]["labels"];
    for (key, wanted) in selector["matchLabels"].as_object().unwrap() {
        assert_eq!(&labels[key], wanted, "{what}: {key}");
    }
    for expression in selector["matchExpressions"].as_array().map_or(&[][..], Vec::as_slice) {
        assert_eq!(expression["operator"], "In", "{what}");
        let label = &labels[expression["key"].as_str().unwrap()];
        assert!(expression["values"].as_array().unwrap().contains(label), "{what}");
        assert!(
            !expression["values"].as_array().unwrap().contains(&Value::from("claimed")),
            "{what}: a claim must leave"
        );
    }
}

/// Pod Security `restricted`, and no token of a service account.
fn restricted(pod: &Value, what: &str) {
    assert_eq!(pod["automountServiceAccountToken"], false, "{what}");
    assert_eq!(pod["enableServiceLinks"], false, "{what}");
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[host].is_null(), "{what}: {host}");
    }
    let security = &pod["securityContext"];
    assert_eq!(security["runAsNonRoot"], true, "{what}");
    assert_ne!(security["runAsUser"], 0, "{what}");
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{what}");
    let allowed = ["configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"];
    for volume in pod["volumes"].as_array().unwrap() {
        let sources: Vec<&String> = volume.as_object().unwrap().keys().filter(|key| *key != "name").collect();
        assert!(sources.len() == 1 && allowed.contains(&sources[0].as_str()), "{what}: {volume}");
        assert!(!volume.to_string().contains("serviceAccountToken"), "{what}");
    }
    let all = [&pod["initContainers"], &pod["containers"]];
    let containers: Vec<&Value> = all.into_iter().flat_map(|list| list.as_array().into_iter().flatten()).collect();
    assert!(containers.len() == 2 || containers.len() == 3, "{what}");
    for container in containers {
        let what = format!("{what}: container {}", container["name"]);
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false, "{what}");
        assert_eq!(security["capabilities"], serde_json::json!({"drop": ["ALL"]}), "{what}");
        assert!(security["privileged"].is_null() && security["runAsUser"].is_null(), "{what}");
        for port in container["ports"].as_array().into_iter().flatten() {
            assert!(port["hostPort"].is_null(), "{what}");
        }
    }
}

/// What a builder runs was written by others: it must not see what opens the store.
fn no_order_for_the_builder(pod: &Value, what: &str) {
    let containers = pod["initContainers"].as_array().unwrap();
    let builder = containers.iter().find(|container| container["name"] == "build").unwrap();
    assert!(!builder.to_string().contains("MUON_"), "{what}");
}

/// Every status is one that kstatus and `kubectl wait` can read.
fn statuses(value: &Value, case: &str) {
    if let Value::Object(map) = value {
        if let Some(conditions) = map.get("conditions").and_then(Value::as_array) {
            conditions_hold(conditions, case);
        }
        map.values().for_each(|value| statuses(value, case));
    }
}

fn conditions_hold(conditions: &[Value], case: &str) {
    let find = |type_: &str| conditions.iter().find(|condition| condition["type"] == type_);
    let ready = find("Ready").unwrap_or_else(|| panic!("{case}: no Ready"));
    let (reconciling, stalled) = (find("Reconciling"), find("Stalled"));
    match ready["status"].as_str() {
        Some("True") => assert!(reconciling.is_none() && stalled.is_none(), "{case}"),
        Some("False") => assert!(reconciling.is_some() != stalled.is_some(), "{case}: one of the two says why"),
        other => panic!("{case}: Ready is {other:?}"),
    }
    let mut types: Vec<&str> = conditions.iter().map(|condition| condition["type"].as_str().unwrap()).collect();
    types.sort_unstable();
    let count = types.len();
    types.dedup();
    assert_eq!(types.len(), count, "{case}: a type twice");
    for condition in conditions {
        assert!(condition["observedGeneration"].is_i64(), "{case}");
        let reason = condition["reason"].as_str().unwrap();
        assert!(!reason.is_empty() && reason.chars().all(char::is_alphanumeric), "{case}: {reason}");
        assert!(condition["message"].as_str().is_some_and(|message| !message.is_empty()), "{case}: {reason}");
    }
}

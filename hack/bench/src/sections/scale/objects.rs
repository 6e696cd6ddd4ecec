//! The objects of the run, by their numbers: ordinary ones, each different from all others.

use serde_json::{Value, json};

/// Namespaces over which the objects are spread.
pub(super) const SPACES: usize = 10;
/// Bytes of source in a Package.
const SOURCE: usize = 1024;

/// The namespace of the object with this number.
pub(super) fn space(number: usize) -> String {
    format!("scale-{}", number % SPACES)
}

/// The name of the object with this number.
pub(super) fn name(number: usize) -> String {
    format!("fn-{number:05}")
}

/// An Environment with no pods ready: there is no node here.
pub(super) fn environment() -> Value {
    json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "python"},
        "spec": {"runtime": {"image": "muon/python:3.11"}, "pool": {"min": 0, "max": 10}},
    })
}

/// A Package with 1 KiB of source in two files.
pub(super) fn package(number: usize) -> Value {
    let head = format!("\"\"\"Package {number}.\"\"\"\nimport json\n\nTABLE = \"\"\"\n");
    let tail = "\"\"\"\n\ndef main():\n    return json.dumps({\"lines\": len(TABLE.splitlines())})\n";
    let source = format!("{head}{}{tail}", noise(number, SOURCE - head.len() - tail.len()));
    json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Package",
        "metadata": {"name": name(number), "labels": {"app": name(number)}},
        "spec": {"environment": "python", "source": {"files": {"main.py": source}}},
    })
}

/// A Function of that Package.
pub(super) fn function(number: usize) -> Value {
    json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Function",
        "metadata": {"name": name(number), "labels": {"app": name(number), "team": format!("team-{}", number % 37)}},
        "spec": {"environment": "python", "package": name(number), "entrypoint": "main.main"},
    })
}

/// A route to that Function.
pub(super) fn trigger(number: usize) -> Value {
    json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger",
        "metadata": {"name": name(number), "labels": {"app": name(number)}},
        "spec": {
            "host": format!("{}.example.com", name(number)), "path": format!("/orders/{number}/{{id}}"),
            "methods": ["GET", "POST"], "function": {"name": name(number)},
        },
    })
}

/// The Service that the operator makes for a Function, as a plain client would make it.
pub(super) fn service(number: usize, space: &str, owner: &str) -> Value {
    let name = name(number);
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "annotations": {"muon.dev/applied": "0123456789abcdef"},
            "labels": {
                "app.kubernetes.io/component": "function", "app.kubernetes.io/instance": name,
                "app.kubernetes.io/managed-by": "muon-bench", "app.kubernetes.io/name": "muon",
                "app.kubernetes.io/part-of": "muon", "muon.dev/function": name,
            },
            "ownerReferences": [{
                "apiVersion": "muon.dev/v1alpha1", "kind": "Function", "name": name, "uid": owner,
                "controller": true, "blockOwnerDeletion": false,
            }],
        },
        "spec": {
            "type": "ExternalName", "externalName": format!("muon-functions.{space}.svc.cluster.local"),
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        },
    })
}

/// The status that the operator writes first (`ready` false) and last (true).
pub(super) fn status(number: usize, space: &str, ready: bool) -> Value {
    let word = |truth: bool| if truth { "True" } else { "False" };
    let condition = |type_: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let mut conditions = vec![
        match ready {
            true => condition("Ready", word(ready), "Served", "requests are served"),
            false => condition("Ready", word(ready), "Propagating", "waiting for every proxy to apply it"),
        },
        condition("Resolved", "True", "Resolved", "all that it refers to is there"),
        condition("Loaded", "Unknown", "NotCalled", "nothing has called this revision yet"),
    ];
    if !ready {
        conditions.push(condition("Reconciling", "True", "Propagating", "waiting for every proxy to apply it"));
    }
    let name = name(number);
    json!({"status": {
        "observedGeneration": 1, "conditions": conditions, "url": format!("http://{name}.{space}"),
        "selector": format!("muon.dev/function={name}"),
        "serving": {
            "revision": format!("{number:08x}"), "digest": format!("sha256:{number:064x}"), "mode": "Pool",
            "environment": "python", "entrypoint": "main.main", "concurrency": 10, "timeoutSeconds": 60, "max": 10,
        },
    }})
}

/// The Event that the operator publishes when a Function is ready.
pub(super) fn event(number: usize, space: &str, uid: &str, now: &str) -> Value {
    let name = name(number);
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"generateName": format!("{name}-")},
        "eventTime": now, "action": "Serve", "reason": "Served", "note": "requests are served", "type": "Normal",
        "reportingController": "muon.dev/bench", "reportingInstance": "bench-0",
        "regarding": {"apiVersion": "muon.dev/v1alpha1", "kind": "Function", "name": name, "namespace": space, "uid": uid},
    })
}

/// Text that no compression makes much of, as code of 1 KiB would be: words of letters and digits, in lines.
fn noise(seed: usize, length: usize) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz01234_";
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::with_capacity(length);
    while text.len() < length {
        // xorshift: the same text for the same number, on every machine.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push(match text.len() % 64 {
            63 => '\n',
            at if at % 9 == 8 => ' ',
            _ => char::from(LETTERS[(state >> 40) as usize % LETTERS.len()]),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_of_one_size_and_all_different() {
        let source = |number| package(number)["spec"]["source"]["files"]["main.py"].as_str().unwrap().to_owned();
        assert_eq!((source(0).len(), source(9999).len()), (SOURCE, SOURCE));
        assert_ne!(source(1)[100..200], source(2)[100..200]);
        assert_eq!(source(7), source(7));
    }
}

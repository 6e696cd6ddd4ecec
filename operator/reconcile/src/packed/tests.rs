use k8s_openapi::api::core::v1::Service;
use muon_crds::{Function, HTTPTrigger, Package};
use serde_json::{Value, json};

use super::*;

/// The object in each line of the sample, as its own type, with names and numbers of its own.
fn another(kind: &str, number: u32) -> Value {
    let lines = std::str::from_utf8(ORDINARY).unwrap().lines();
    let found = lines.map(|line| serde_json::from_str::<Value>(line).unwrap()).find(|object| object["kind"] == kind);
    let mut object = found.unwrap();
    let digest = format!("sha256:{:064x}", u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for (pointer, value) in [
        ("/metadata/name", json!(format!("orders-{number}"))),
        ("/metadata/namespace", json!("shop")),
        ("/metadata/uid", json!(format!("4f6b8a1c-91f2-4c7e-a1d0-{number:012}"))),
        ("/metadata/resourceVersion", json!(format!("{}", 71_345 + number))),
        ("/metadata/creationTimestamp", json!("2026-11-23T09:41:07Z")),
        ("/status/serving/digest", json!(digest)),
        ("/status/digest", json!(digest)),
    ] {
        if let Some(place) = object.pointer_mut(pointer) {
            *place = value;
        }
    }
    object
}

fn at_rest<K>(object: Value) -> (usize, usize)
where
    K: Serialize + DeserializeOwned,
{
    let object: K = serde_json::from_value(object).unwrap();
    let packed = pack(&object).unwrap();
    let again: K = unpack(&packed).unwrap();
    let text = serde_json::to_value(&object).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), text);
    (packed.len(), text.to_string().len())
}

#[test]
fn ordinary_objects_come_to_a_quarter_and_back_whole() {
    for (packed, plain) in [
        at_rest::<Function>(another("Function", 7)),
        at_rest::<HTTPTrigger>(another("HTTPTrigger", 8)),
        at_rest::<Package>(another("Package", 9)),
        at_rest::<Service>(another("Service", 10)),
    ] {
        assert!(packed * 4 <= plain, "{packed} of {plain} bytes");
    }
}

#[test]
fn objects_like_no_other_come_back_whole() {
    let mut object = another("Function", 1);
    object["metadata"]["labels"] = json!({"ü": "ß", "empty": "", "long": "x".repeat(5000)});
    object["spec"]["env"] = json!([{"name": "A", "value": "\"\\\n\u{0}"}]);
    at_rest::<Function>(object);
    at_rest::<Package>(json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Package", "metadata": {},
        "spec": {"environment": "", "source": {}}
    }));
}

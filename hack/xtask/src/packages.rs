//! What people install (config/muon.yaml) follows from the bases below config/default. The phase `packaging` of
//! hack/test holds the two equal, by kustomize itself; here, where everybody looks before a push, each object of a base
//! is held against its copy.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_yaml::Value;

use crate::{root, text};

const MADE: &str = "config/muon.yaml";

#[test]
fn the_one_file_has_what_the_bases_say() {
    let mut bases = BTreeMap::new();
    collect("config/default", &mut bases);
    assert!(bases.len() > 20, "config/default has more objects than {:?}", bases.keys());
    let made: BTreeMap<String, Value> = objects(MADE).into_iter().map(|object| (id(&object), object)).collect();
    let mut wrong: Vec<String> =
        made.keys().filter(|id| !bases.contains_key(*id)).map(|id| format!("{id} is gone")).collect();
    for (id, (path, object)) in &bases {
        match made.get(id) {
            Some(copy) => wrong.extend(differs(object, copy, id)),
            None => wrong.push(format!("{id} of {path} is missing")),
        }
    }
    assert!(wrong.is_empty(), "{MADE} and config/chart are stale, run hack/package: {wrong:#?}");
}

/// The objects that a kustomization leads to, by kind and name, each with its file.
fn collect(folder: &str, found: &mut BTreeMap<String, (String, Value)>) {
    let kustomization = objects(&format!("{folder}/kustomization.yaml")).remove(0);
    for resource in kustomization["resources"].as_sequence().into_iter().flatten() {
        let path = joined(folder, resource.as_str().unwrap_or_default());
        if root().join(&path).is_dir() {
            collect(&path, found);
        } else {
            found.extend(objects(&path).into_iter().map(|object| (id(&object), (path.clone(), object))));
        }
    }
}

/// A path relative to the top, of one that is relative to a folder.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn objects(path: &str) -> Vec<Value> {
    let text = text(path);
    let documents = serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap());
    documents.filter(|object| !object.is_null()).collect()
}

fn id(object: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {}", word(&object["kind"]), word(&object["metadata"]["name"]))
}

/// Where the copy lacks something of the original. kustomize adds to maps (namespace, labels), never to lists.
fn differs(original: &Value, copy: &Value, path: &str) -> Option<String> {
    match (original, copy) {
        (Value::Mapping(fields), Value::Mapping(_)) => fields.iter().find_map(|(key, field)| {
            let path = format!("{path}.{}", key.as_str().unwrap_or_default());
            differs(field, copy.get(key).unwrap_or(&Value::Null), &path)
        }),
        (Value::Sequence(items), Value::Sequence(copies)) if items.len() == copies.len() => items
            .iter()
            .zip(copies)
            .enumerate()
            .find_map(|(n, (item, copy))| differs(item, copy, &format!("{path}[{n}]"))),
        // A mode of a file is written in octal digits, and rendered as a decimal number.
        (Value::String(octal), Value::Number(number)) if number.as_u64() == u64::from_str_radix(octal, 8).ok() => None,
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => None,
        _ if original == copy => None,
        _ => Some(format!("{path} differs")),
    }
}

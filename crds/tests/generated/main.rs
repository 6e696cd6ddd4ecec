//! The YAML that people apply is what the types say, and stays small enough for client-side apply; the schemas that
//! editors read and the reference are made from the same.

#![allow(clippy::unwrap_used, clippy::panic)]

mod reference;
mod schemas;

use std::path::{Path, PathBuf};

/// Client-side apply keeps a copy in an annotation of at most 262,144 bytes; 64 KiB leaves room to grow.
const MAX_BYTES: usize = 64 * 1024;
/// The first line of what is made here.
const MADE: &str = "Generated from the types in crds/src: BLESS=1 cargo test -p muon-crds rewrites it.";

#[test]
fn generated_yaml_is_fresh() {
    for crd in muon_crds::all() {
        let yaml = format!("# {MADE}\n{}", serde_yaml::to_string(&crd).unwrap());
        let name = format!("{}.yaml", crd.spec.names.plural);
        assert!(yaml.len() <= MAX_BYTES, "{name} has {} bytes, over {MAX_BYTES}", yaml.len());
        fresh(&name, &yaml);
    }
}

#[test]
fn generated_schemas_are_fresh() {
    for (name, schema) in schemas::all() {
        fresh(&format!("schemas/{name}.json"), &format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()));
    }
}

#[test]
fn generated_reference_is_fresh() {
    fresh("reference.md", &reference::page());
}

#[test]
fn nothing_else_is_generated() {
    let names = |dir: &str| -> Vec<String> {
        let entries = std::fs::read_dir(generated().join(dir)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let mut expected: Vec<String> = muon_crds::all().map(|crd| format!("{}.yaml", crd.spec.names.plural)).into();
    expected.extend(["kustomization.yaml", "reference.md", "schemas"].map(str::to_owned));
    expected.sort();
    assert_eq!(names("."), expected);
    let mut schemas: Vec<String> = schemas::all().into_iter().map(|(name, _)| format!("{name}.json")).collect();
    schemas.sort();
    assert_eq!(names("schemas"), schemas);
}

/// What a client that asks for the state of an object knows before the operator has seen it: nothing is done yet.
#[test]
fn new_objects_are_in_progress() {
    for crd in muon_crds::all() {
        let status = schemas::of(&crd)["properties"]["status"]["default"].clone();
        assert_eq!(status, serde_json::json!({"observedGeneration": -1}), "{}", crd.spec.names.kind);
    }
}

fn generated() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("generated")
}

/// Compares a generated file with what it should be, or writes it.
fn fresh(name: &str, text: &str) {
    let file = generated().join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let found = std::fs::read_to_string(file).unwrap_or_default();
    assert!(found == text, "{name} is stale: run BLESS=1 cargo test -p muon-crds");
}

#[test]
fn every_field_is_described() {
    fn walk(path: &str, schema: &serde_json::Value, missing: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(|value| value.as_object()) {
            for (name, property) in properties {
                let path = format!("{path}.{name}");
                if property.get("description").and_then(|text| text.as_str()).is_none_or(str::is_empty)
                    && path != ".metadata"
                {
                    missing.push(path.clone());
                }
                walk(&path, property, missing);
            }
        }
        for key in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(key) {
                walk(path, inner, missing);
            }
        }
    }
    let mut missing = Vec::new();
    for crd in muon_crds::all() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema).unwrap();
        for (name, property) in schema["properties"].as_object().unwrap() {
            walk(&format!("{}.{name}", crd.spec.names.kind), property, &mut missing);
        }
    }
    assert!(missing.is_empty(), "fields without a description: {missing:#?}");
}

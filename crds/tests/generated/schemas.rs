//! JSON Schemas (draft 7) of the four kinds, for editors and for checks before a cluster is asked: as strict as the API
//! server, and stricter with names that it would only warn about.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value, json};

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// By file name: one schema for each kind, and `muon`, which takes an object of any of them.
pub fn all() -> Vec<(String, Value)> {
    let crds = muon_crds::all();
    let mut found: Vec<(String, Value)> =
        crds.iter().map(|crd| (crd.spec.names.singular.clone().unwrap(), one(crd))).collect();
    let rules: Vec<Value> = crds
        .iter()
        .map(|crd| {
            json!({
                "if": {"required": ["kind"], "properties": {
                    "apiVersion": {"const": api_version(crd)},
                    "kind": {"const": crd.spec.names.kind},
                }},
                "then": {"$ref": format!("{}.json", crd.spec.names.singular.as_deref().unwrap())},
            })
        })
        .collect();
    let kinds: Vec<&String> = crds.iter().map(|crd| &crd.spec.names.kind).collect();
    let any = json!({
        "$schema": DRAFT,
        "$comment": crate::MADE,
        "title": "Muon",
        "description": "An object of Muon, of whichever kind it says.",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"apiVersion": {"const": api_version(&crds[0])}, "kind": {"enum": kinds}},
        "allOf": rules,
    });
    found.push(("muon".to_owned(), any));
    found
}

/// What the API server holds an object of this kind against.
pub fn of(crd: &CustomResourceDefinition) -> Value {
    serde_json::to_value(crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap()).unwrap()
}

/// Group and version, as objects name them.
pub fn api_version(crd: &CustomResourceDefinition) -> String {
    format!("{}/{}", crd.spec.group, crd.spec.versions[0].name)
}

fn one(crd: &CustomResourceDefinition) -> Value {
    let structural = of(crd);
    let mut schema = converted(&structural);
    let properties = schema["properties"].as_object_mut().unwrap();
    properties.insert("apiVersion".to_owned(), json!({"const": api_version(crd), "description": "Group and version."}));
    properties.insert("kind".to_owned(), json!({"const": crd.spec.names.kind, "description": "The kind."}));
    properties.insert("metadata".to_owned(), metadata());
    schema["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
    schema["$schema"] = json!(DRAFT);
    schema["$comment"] = json!(crate::MADE);
    schema
}

fn metadata() -> Value {
    let texts = |what: &str| json!({"type": "object", "additionalProperties": {"type": "string"}, "description": what});
    json!({
        "type": "object",
        "description": "Name, namespace, labels and annotations, as of every object of Kubernetes.",
        "properties": {
            "name": {"type": "string", "maxLength": 253, "description": "The name, unique in its namespace."},
            "namespace": {"type": "string", "maxLength": 63, "description": "The namespace; absent: the one that is applied to."},
            "labels": texts("Labels; a Function's are what the selector of an HTTPTrigger is about."),
            "annotations": texts("Annotations, e.g. `muon.dev/weight` of a Function."),
        },
    })
}

/// JSON Schema of what is written in the words of a CustomResourceDefinition.
fn converted(structural: &Value) -> Value {
    let mut schema = Map::new();
    for (key, value) in structural.as_object().unwrap() {
        let value = match key.as_str() {
            "properties" => {
                let fields = value.as_object().unwrap();
                json!(fields.iter().map(|(name, field)| (name.clone(), converted(field))).collect::<Map<_, _>>())
            }
            "items" | "additionalProperties" if value.is_object() => converted(value),
            // Rules in CEL are the API server's alone; `anyOf` only ever stands beside int-or-string.
            _ if key.starts_with("x-kubernetes-") || ["nullable", "anyOf"].contains(&key.as_str()) => continue,
            _ => value.clone(),
        };
        schema.insert(key.clone(), value);
    }
    if schema.contains_key("properties") && !schema.contains_key("additionalProperties") {
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
    if structural["x-kubernetes-int-or-string"] == true {
        schema.insert("type".to_owned(), json!(["integer", "string"]));
    }
    if structural["nullable"] == true {
        or_null(&mut schema);
    }
    Value::Object(schema)
}

fn or_null(schema: &mut Map<String, Value>) {
    match schema.get_mut("type") {
        Some(Value::Array(types)) => types.push(json!("null")),
        Some(one) => *one = json!([one.clone(), "null"]),
        None => {}
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

//! The YAML that people apply is what the types say, and stays small enough for client-side apply.

use std::path::Path;

/// Client-side apply keeps a copy in an annotation of at most 262,144 bytes; 64 KiB leaves room to grow.
const MAX_BYTES: usize = 64 * 1024;

#[test]
fn generated_yaml_is_fresh() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated");
    let mut expected = Vec::new();
    for crd in muon_crds::all() {
        let name = format!("{}.yaml", crd.spec.names.plural);
        let yaml = format!(
            "# Generated from the types in crds/src: BLESS=1 cargo test -p muon-crds rewrites it.\n{}",
            serde_yaml::to_string(&crd).unwrap()
        );
        assert!(yaml.len() <= MAX_BYTES, "{name} has {} bytes, over {MAX_BYTES}", yaml.len());
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join(&name), &yaml).unwrap();
        }
        let found = std::fs::read_to_string(dir.join(&name)).unwrap_or_default();
        assert!(found == yaml, "{name} is stale: run BLESS=1 cargo test -p muon-crds");
        expected.push(name);
    }
    expected.sort();
    let mut found: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "kustomization.yaml")
        .collect();
    found.sort();
    assert_eq!(found, expected, "crds/generated holds the four resources and nothing else");
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

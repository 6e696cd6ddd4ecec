//! The reference: every field of every kind in one page of Markdown.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use crate::schemas;

/// The page.
pub fn page() -> String {
    let mut page = format!("<!-- {} -->\n# Reference of the four kinds\n\n", crate::MADE);
    page.push_str(
        "Each with all its fields: `name[]` is what a list holds, `name.*` what a map holds. The same is told by \
         `kubectl explain`,\nand by editors that know the [JSON Schemas](schemas).\n",
    );
    for crd in muon_crds::all() {
        kind(&crd, &mut page);
    }
    page
}

fn kind(crd: &CustomResourceDefinition, page: &mut String) {
    let schema = schemas::of(crd);
    let names = &crd.spec.names;
    let short = names.short_names.clone().unwrap_or_default().join("`, `");
    let description = schema["properties"]["spec"]["description"].as_str().unwrap_or_default();
    write!(page, "\n## {}\n\n`{}`, short `{short}`. {description}\n", names.kind, schemas::api_version(crd)).unwrap();
    for part in ["spec", "status"] {
        write!(page, "\n| {part} | type | default | meaning |\n| --- | --- | --- | --- |\n").unwrap();
        rows("", &schema["properties"][part], page);
    }
    let mut rules = Vec::new();
    collect_rules(&schema["properties"]["spec"], "", &mut rules);
    collect_rules(&schema, "", &mut rules);
    rules.sort();
    rules.dedup();
    if !rules.is_empty() {
        page.push_str("\nRefused when it is applied, each with these words:\n\n");
        for rule in rules {
            writeln!(page, "- {rule}").unwrap();
        }
    }
}

fn rows(path: &str, schema: &Value, page: &mut String) {
    let required: Vec<&str> = strings(&schema["required"]);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let default = match &field["default"] {
            Value::Null if required.contains(&name.as_str()) => "required".to_owned(),
            Value::Null => String::new(),
            value => format!("`{value}`"),
        };
        let description = field["description"].as_str().unwrap_or_default().replace('|', "\\|").replace('\n', " ");
        writeln!(page, "| `{path}` | {} | {default} | {description} |", type_of(field)).unwrap();
        inside(&path, field, page);
    }
}

/// The fields of what a field holds.
fn inside(path: &str, field: &Value, page: &mut String) {
    if field.get("properties").is_some() {
        rows(path, field, page);
    } else if field["items"].is_object() {
        inside(&format!("{path}[]"), &field["items"], page);
    } else if field["additionalProperties"].is_object() {
        inside(&format!("{path}.*"), &field["additionalProperties"], page);
    }
}

fn type_of(field: &Value) -> String {
    let values = strings(&field["enum"]);
    if !values.is_empty() {
        return values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    }
    if field["x-kubernetes-int-or-string"] == true {
        return "quantity".to_owned();
    }
    match field["type"].as_str().unwrap_or_default() {
        "array" => format!("list of {}", type_of(&field["items"])),
        "object" if field["additionalProperties"].is_object() => {
            format!("map to {}", type_of(&field["additionalProperties"]))
        }
        "string" if field["format"] == "date-time" => "time".to_owned(),
        "integer" => match (field["minimum"].as_f64(), field["maximum"].as_f64()) {
            (Some(least), Some(most)) => format!("integer, {least} to {most}"),
            (Some(least), None) => format!("integer, at least {least}"),
            (None, Some(most)) => format!("integer, at most {most}"),
            (None, None) => "integer".to_owned(),
        },
        other => other.to_owned(),
    }
}

fn collect_rules(schema: &Value, path: &str, rules: &mut Vec<String>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        if let Some(message) = rule["message"].as_str() {
            rules.push(if path.is_empty() { message.to_owned() } else { format!("`{path}`: {message}") });
        }
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        // The whole object is looked at for its own rules; its spec for those of fields.
        if !["spec", "status"].contains(&name.as_str()) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            collect_rules(field, &path, rules);
        }
    }
    if schema["items"].is_object() {
        collect_rules(&schema["items"], &format!("{path}[]"), rules);
    }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

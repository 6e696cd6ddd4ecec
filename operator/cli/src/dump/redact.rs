//! What is left out of objects before somebody else reads them.

use serde_json::{Value, json};

/// The object without values of variables, without what an earlier `kubectl apply` has kept of them, and without what
/// only the API server needs. Secrets and ConfigMaps are never read at all.
pub(super) fn object(mut value: Value) -> Value {
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    variables(&mut value);
    value
}

/// Every list `env`, wherever it is: names stay, values go. A URL keeps no user and no query.
fn variables(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match name.as_str() {
                    "env" => {
                        for variable in field.as_array_mut().into_iter().flatten() {
                            if variable.get("value").is_some() {
                                variable["value"] = json!("(left out)");
                            }
                        }
                    }
                    "url" => {
                        if let Some(url) = field.as_str() {
                            *field = json!(bare(url));
                        }
                    }
                    _ => {}
                }
                variables(field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(variables),
        _ => {}
    }
}

fn bare(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) =
                rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_left_out_wherever_they_are() {
        let kept = object(json!({
            "metadata": {"name": "hello", "managedFields": [], "annotations": {
                "a": "b", "kubectl.kubernetes.io/last-applied-configuration": "{\"env\":[{\"value\":\"s3cret\"}]}"}},
            "spec": {"env": [{"name": "TOKEN", "value": "s3cret"}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "source": {"archive": {"url": "https://me:s3cret@example.com/a/b?token=s3cret"}},
                "template": {"spec": {"containers": [{"env": [{"name": "MUON_LOAD", "value": "s3cret"}]}]}}},
            "status": {"serving": {"env": [{"name": "TOKEN", "value": "s3cret"}]}},
        }));
        let text = kept.to_string();
        assert!(!text.contains("s3cret"), "{text}");
        assert!(
            text.contains("TOKEN") && text.contains("secretKeyRef") && text.contains("https://example.com/a/b"),
            "{text}"
        );
    }
}

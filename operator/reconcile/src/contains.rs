//! Whether a live object still has everything that a desired one asks for, whatever the API server, its defaults
//! and other controllers added beside it.

use serde_json::{Map, Value};

/// Keys below which a plain value is a quantity.
const QUANTITIES: [&str; 3] = ["requests", "limits", "sizeLimit"];

/// Whether every field of `desired` is in `live` with the same meaning.
pub fn contains(live: &Value, desired: &Value) -> bool {
    value(live, desired, false)
}

fn value(live: &Value, desired: &Value, quantity: bool) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            desired.iter().all(|(key, value)| field(live, key, value, quantity))
        }
        (Value::Array(live), Value::Array(desired)) => list(live, desired),
        (live, desired) => live == desired || quantity && same_quantity(live, desired),
    }
}

/// The API server leaves out what is empty, so an empty wish is met by absence.
fn field(live: &Map<String, Value>, key: &str, desired: &Value, quantity: bool) -> bool {
    match live.get(key) {
        Some(live) => value(live, desired, quantity || QUANTITIES.contains(&key)),
        None => is_empty(desired),
    }
}

/// Lists of objects are merged by a key on the server, and others may add to them; lists of plain values are ours.
fn list(live: &[Value], desired: &[Value]) -> bool {
    if desired.first().is_some_and(Value::is_object) {
        return desired.iter().all(|wanted| live.iter().any(|item| value(item, wanted, false)));
    }
    live == desired
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The API server writes quantities in its own form: `1000m` comes back as `1`, `0.5` as `500m`.
fn same_quantity(live: &Value, desired: &Value) -> bool {
    let read = |value: &Value| match value {
        Value::String(text) => quantity(text),
        Value::Number(number) => number.as_f64(),
        _ => None,
    };
    matches!((read(live), read(desired)), (Some(a), Some(b)) if (a - b).abs() <= a.abs().max(b.abs()) * 1e-9)
}

fn quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+')) {
        return None;
    }
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (suffix, factor) = SUFFIXES.iter().find(|(suffix, _)| text.ends_with(suffix))?;
    text.strip_suffix(suffix)?.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_added_is_no_difference() {
        let live = json!({"metadata": {"labels": {"a": "1", "added": "x"}, "uid": "u"}, "spec": {"type": "ClusterIP",
            "containers": [{"name": "sidecar"}, {"name": "main", "image": "i", "terminationMessagePath": "/dev/x"}]}});
        let desired = json!({"metadata": {"labels": {"a": "1"}, "annotations": {}},
            "spec": {"containers": [{"name": "main", "image": "i", "env": []}]}});
        assert!(contains(&live, &desired));
    }

    #[test]
    fn a_changed_or_missing_field_is_a_difference() {
        let live = json!({"spec": {"containers": [{"name": "main", "image": "other"}], "args": ["a", "b"]}});
        assert!(!contains(&live, &json!({"spec": {"containers": [{"name": "main", "image": "i"}]}})));
        assert!(!contains(&live, &json!({"spec": {"args": ["a"]}})));
        assert!(!contains(&live, &json!({"spec": {"replicas": 1}})));
    }

    #[test]
    fn quantities_are_compared_by_their_value() {
        for (live, desired) in [("1", "1000m"), ("500m", "0.5"), ("1Gi", "1024Mi"), ("1k", "1000")] {
            assert!(contains(&json!({"limits": {"x": live}}), &json!({"limits": {"x": desired}})), "{live} {desired}");
        }
        assert!(contains(&json!({"sizeLimit": "1"}), &json!({"sizeLimit": 1})));
        for (live, desired) in [("1", "2"), ("64Mi", "64M"), ("m", "k"), ("1.2.3", "1.2.4")] {
            assert!(!contains(&json!({"limits": {"x": live}}), &json!({"limits": {"x": desired}})), "{live} {desired}");
        }
        assert!(!contains(&json!({"labels": {"x": "1.0"}}), &json!({"labels": {"x": "1"}})), "a label is no quantity");
    }
}

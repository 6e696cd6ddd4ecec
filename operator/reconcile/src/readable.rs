//! Objects that users write, read one by one: one that is not of its kind's form must not spoil the list that it comes in.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// An object, or what can be said of one that nobody can read.
#[derive(Clone, Debug)]
pub enum Readable<K> {
    /// It is of its kind's form.
    Object(Box<K>),
    /// It is not.
    Malformed {
        /// Its metadata, as far as they could be read.
        meta: Box<ObjectMeta>,
        /// What is wrong.
        error: String,
    },
}

#[derive(Deserialize, Default)]
struct Named {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Readable<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Where the object ends is found first; only then is it read, into its type at once.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let slim = without_managed_fields(text.get());
        Ok(match serde_json::from_str(slim.as_deref().unwrap_or(text.get())) {
            Ok(object) => Self::Object(Box::new(object)),
            Err(error) => {
                let named: Named = serde_json::from_str(text.get()).unwrap_or_default();
                Self::Malformed { meta: Box::new(named.metadata), error: error.to_string() }
            }
        })
    }
}

/// The text without what `metadata.managedFields` holds: who set which field, a tree as large as the object, which
/// costs more to read than all the rest, and which nobody of ours looks at. None when there is nothing to leave out.
fn without_managed_fields(text: &str) -> Option<String> {
    // Where values begin and end, and nothing else of them.
    let object: HashMap<&str, &RawValue> = serde_json::from_str(text).ok()?;
    let metadata: HashMap<&str, &RawValue> = serde_json::from_str(object.get("metadata")?.get()).ok()?;
    let fields = metadata.get("managedFields")?.get();
    // Both are slices of the one text.
    let start = (fields.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let (before, after) = (text.get(..start)?, text.get(start + fields.len()..)?);
    Some([before, "[]", after].concat())
}

impl<K: Resource> Resource for Readable<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Object(object) => object.meta(),
            Self::Malformed { meta, .. } => meta,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Object(object) => object.meta_mut(),
            Self::Malformed { meta, .. } => meta,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::{ObjectList, WatchEvent};
    use muon_crds::Function;
    use serde_json::json;

    fn function(name: &str, spec: serde_json::Value) -> serde_json::Value {
        json!({"apiVersion": "muon.dev/v1alpha1", "kind": "Function", "metadata": {"name": name}, "spec": spec})
    }

    #[test]
    fn a_list_is_read_around_what_nobody_can_read() {
        let list = json!({"apiVersion": "muon.dev/v1alpha1", "kind": "FunctionList", "metadata": {}, "items": [
            function("good", json!({"environment": "python", "package": "p"})),
            function("bad", json!({"environment": 7})),
            {"metadata": "none"},
        ]});
        let list: ObjectList<Readable<Function>> = serde_json::from_slice(list.to_string().as_bytes()).unwrap();
        let names: Vec<_> = list.items.iter().map(|item| item.meta().name.clone().unwrap_or_default()).collect();
        assert_eq!(names, ["good", "bad", ""]);
        assert!(matches!(
            list.items[..],
            [Readable::Object(_), Readable::Malformed { .. }, Readable::Malformed { .. }]
        ));
    }

    #[test]
    fn managed_fields_are_not_even_read() {
        let managed = r#"[{"manager":"kubectl","fieldsV1":{"f:spec":{"f:x":{},"k:{\"a\":\"]}\"}":{}}}}]"#;
        let text = format!(
            r#"{{"metadata":{{"name":"a","managedFields":{managed},"labels":{{"b":"c"}}}},"spec":{{"managedFields":[1]}}}}"#
        );
        let slim = without_managed_fields(&text).unwrap();
        assert_eq!(
            slim,
            r#"{"metadata":{"name":"a","managedFields":[],"labels":{"b":"c"}},"spec":{"managedFields":[1]}}"#
        );
        for text in [r#"{"metadata":{"name":"a"},"spec":{}}"#, r#"{"spec":{}}"#, "[]", r#"{"metadata":7}"#] {
            assert_eq!(without_managed_fields(text), None, "{text}");
        }
    }

    #[test]
    fn so_is_a_watch() {
        // The type first, as API servers write it: only then is it known what follows.
        let event = format!(r#"{{"type":"ADDED","object":{}}}"#, function("bad", json!([])));
        let event: WatchEvent<Readable<Function>> = serde_json::from_slice(event.as_bytes()).unwrap();
        assert!(matches!(event, WatchEvent::Added(Readable::Malformed { .. })));
    }
}

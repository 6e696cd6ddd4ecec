//! The name of an object, in as few bytes as there are: stores, links and queues share one text.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use kube::Resource;

/// Namespace and name of an object of kind `K`. Equal for every version of the object.
pub struct ObjectRef<K> {
    /// `namespace/name`; `/name` of an object without a namespace.
    text: Arc<str>,
    kind: PhantomData<fn() -> K>,
}

impl<K> ObjectRef<K> {
    /// An object without a namespace.
    pub fn new(name: &str) -> Self {
        Self::at("", name)
    }

    /// The object of the same name in this namespace.
    pub fn within(self, namespace: &str) -> Self {
        Self::at(namespace, self.name())
    }

    fn at(namespace: &str, name: &str) -> Self {
        let mut text = String::with_capacity(namespace.len() + 1 + name.len());
        text.push_str(namespace);
        text.push('/');
        text.push_str(name);
        Self { text: text.into(), kind: PhantomData }
    }

    /// Its namespace; empty without one.
    pub fn namespace(&self) -> &str {
        self.text.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.text.split_once('/').map_or(&*self.text, |(_, name)| name)
    }
}

impl<K: Resource> ObjectRef<K> {
    /// Of this object.
    pub fn from_obj(object: &K) -> Self {
        let meta = object.meta();
        Self::at(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }
}

impl<K> Clone for ObjectRef<K> {
    fn clone(&self) -> Self {
        Self { text: Arc::clone(&self.text), kind: PhantomData }
    }
}

impl<K> PartialEq for ObjectRef<K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<K> Eq for ObjectRef<K> {}

impl<K> PartialOrd for ObjectRef<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for ObjectRef<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl<K> Hash for ObjectRef<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl<K> fmt::Display for ObjectRef<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.strip_prefix('/').unwrap_or(&self.text))
    }
}

impl<K> fmt::Debug for ObjectRef<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muon_crds::Function;

    #[test]
    fn a_name_is_the_same_however_it_was_made() {
        let object: Function = serde_json::from_value(serde_json::json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Function",
            "metadata": {"name": "hello", "namespace": "demo", "resourceVersion": "7"},
            "spec": {"environment": "python", "package": "hello"}
        }))
        .unwrap();
        let name = ObjectRef::from_obj(&object);
        assert_eq!(name, ObjectRef::new("hello").within("demo"));
        assert_eq!((name.namespace(), name.name(), name.to_string().as_str()), ("demo", "hello", "demo/hello"));
        let without = ObjectRef::<Function>::new("traefik");
        assert_eq!((without.namespace(), without.name(), without.to_string().as_str()), ("", "traefik", "traefik"));
    }
}

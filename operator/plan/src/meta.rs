//! The one owner of metadata: names, owner references and labels of everything that is built are written here.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use muon_crds::words;
use serde::Serialize;

/// The object that a child belongs to.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// `apiVersion`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Namespace, which is the children's namespace too.
    pub namespace: String,
}

impl Owner {
    /// The owner that this object is.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        let meta = object.meta();
        Self {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            namespace: meta.namespace.clone().unwrap_or_default(),
        }
    }

    /// The controller reference. It does not block the owner's deletion: that would ask for a right to its
    /// finalizers.
    pub fn reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(false),
        }
    }
}

/// What an object is to Muon: value of `app.kubernetes.io/component`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// A pool and its pods.
    Pool,
    /// What serves one function.
    Function,
    /// What leads requests to the proxies.
    Gateway,
    /// A build and its pod.
    Build,
}

impl Component {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Function => "function",
            Self::Gateway => "gateway",
            Self::Build => "build",
        }
    }
}

/// The recommended labels.
pub fn recommended(component: Component, instance: &str) -> BTreeMap<String, String> {
    labels([
        (words::APP_NAME, words::MUON),
        (words::APP_INSTANCE, &label_value(instance)),
        (words::APP_COMPONENT, component.as_str()),
        (words::APP_PART_OF, words::MUON),
        (words::MANAGED_BY, words::MUON),
    ])
}

/// Names may be longer than label values.
fn label_value(name: &str) -> String {
    const MAX: usize = 63;
    if name.len() <= MAX {
        return name.to_owned();
    }
    let hash = muon_crds::names::short_hash(name.as_bytes());
    let head: String = name.chars().take(MAX - hash.len() - 1).collect();
    format!("{}-{hash}", head.trim_end_matches(['-', '.']))
}

/// Metadata of a child: in its owner's namespace, controlled by it, with the recommended labels beside its own.
pub fn child(owner: &Owner, name: &str, component: Component, own: BTreeMap<String, String>) -> ObjectMeta {
    let mut labels = recommended(component, &owner.name);
    labels.extend(own);
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(owner.namespace.clone()),
        labels: Some(labels),
        owner_references: Some(vec![owner.reference()]),
        ..ObjectMeta::default()
    }
}

/// Metadata of an object that no single object owns: it is ours by its `managed-by` label.
pub fn of_namespace(namespace: &str, name: &str, component: Component) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(recommended(component, name)),
        ..ObjectMeta::default()
    }
}

/// A label map from pairs.
pub fn labels<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_still_fits_a_label_and_stays_apart() {
        let one = label_value(&"a".repeat(200));
        let two = label_value(&format!("{}b", "a".repeat(199)));
        assert!(one.len() <= 63 && two.len() <= 63);
        assert_ne!(one, two);
    }
}

//! Where an object is, without the Options that its metadata has while it is being made.

use kube::Resource;

/// Its namespace; empty for objects of the cluster.
pub fn namespace_of<K: Resource>(object: &K) -> String {
    object.meta().namespace.clone().unwrap_or_default()
}

//! Who refers to whom: for each thing that may be named, the objects that name it. So a change wakes those that it
//! concerns without a walk over all objects.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::reflector::{Lookup, ObjectRef};
use muon_crds::{Function, HTTPTrigger, names, words};

use crate::place::namespace_of;

/// Something that an object may refer to, in its own namespace unless said otherwise.
#[derive(Hash, Clone, Copy, Debug)]
pub enum Target<'a> {
    /// An Environment, by name.
    Environment(&'a str),
    /// A Package, by name.
    Package(&'a str),
    /// A Function, by name.
    Function(&'a str),
    /// Functions, by their labels.
    Selector,
    /// A Secret, by name.
    Secret(&'a str),
    /// A ConfigMap, by name.
    ConfigMap(&'a str),
    /// Any IngressClass (of the cluster).
    IngressClass,
    /// A route, for which triggers may compete; of no namespace when all namespaces may.
    Route(&'a str),
}

/// What an object refers to.
pub trait Refers {
    /// Calls `with` for each target and the namespace it is meant in.
    fn targets(&self, with: &mut dyn FnMut(&str, Target<'_>));
}

impl Refers for Function {
    fn targets(&self, with: &mut dyn FnMut(&str, Target<'_>)) {
        let namespace = namespace_of(self);
        with(&namespace, Target::Environment(&self.spec.environment));
        match &self.spec.package {
            Some(package) => with(&namespace, Target::Package(package)),
            None => with(&namespace, Target::Package(&names::inline_package(&self.name_any()))),
        }
        for source in self.spec.env.iter().filter_map(|variable| variable.value_from.as_ref()) {
            if let Some(key) = &source.secret_key_ref {
                with(&namespace, Target::Secret(&key.name));
            }
            if let Some(key) = &source.config_map_key_ref {
                with(&namespace, Target::ConfigMap(&key.name));
            }
        }
        for volume in &self.spec.volumes {
            let projected = volume.projected.iter().flat_map(|projected| &projected.sources);
            let secrets = volume.secret.iter().chain(projected.clone().filter_map(|source| source.secret.as_ref()));
            let maps = volume.config_map.iter().chain(projected.filter_map(|source| source.config_map.as_ref()));
            secrets.for_each(|files| with(&namespace, Target::Secret(&files.name)));
            maps.for_each(|files| with(&namespace, Target::ConfigMap(&files.name)));
        }
    }
}

impl Refers for HTTPTrigger {
    fn targets(&self, with: &mut dyn FnMut(&str, Target<'_>)) {
        let namespace = namespace_of(self);
        match &self.spec.function.name {
            Some(name) => with(&namespace, Target::Function(name)),
            None => with(&namespace, Target::Selector),
        }
        if self.spec.ingress.is_some() {
            with("", Target::IngressClass);
        }
        routes(self, with);
    }
}

impl Refers for Pod {
    fn targets(&self, with: &mut dyn FnMut(&str, Target<'_>)) {
        let namespace = namespace_of(self);
        if let Some(name) = self.labels().get(words::ENVIRONMENT) {
            with(&namespace, Target::Environment(name));
        }
        if let Some(name) = self.labels().get(words::FUNCTION) {
            with(&namespace, Target::Function(name));
        }
    }
}

impl Refers for Deployment {
    fn targets(&self, with: &mut dyn FnMut(&str, Target<'_>)) {
        let namespace = namespace_of(self);
        for owner in self.owner_references() {
            match owner.kind.as_str() {
                "Environment" => with(&namespace, Target::Environment(&owner.name)),
                "Function" => with(&namespace, Target::Function(&owner.name)),
                _ => {}
            }
        }
    }
}

/// Where a trigger may meet others that want the same: the host's routes, or without a host its namespace's and,
/// through Ingresses, everybody's. Coarser than the routes' own decision, so nobody who is concerned is missed.
pub fn routes(trigger: &HTTPTrigger, with: &mut dyn FnMut(&str, Target<'_>)) {
    let path = trigger.spec.path.as_deref().or(trigger.spec.path_prefix.as_deref()).unwrap_or_default();
    let shape = shape(path);
    match &trigger.spec.host {
        Some(host) => with("", Target::Route(&format!("{host} {shape}"))),
        None => {
            with(&namespace_of(trigger), Target::Route(&shape));
            if trigger.spec.ingress.is_some() {
                with("", Target::Route(&shape));
            }
        }
    }
}

/// A path with the names of its parameters left out: what two competing routes have in common.
fn shape(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.map(|part| if part.contains('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

/// The objects of kind `K`, by what they refer to.
pub struct Links<K: Lookup<DynamicType = ()> + 'static>(Mutex<HashMap<u64, HashSet<ObjectRef<K>>>>);

impl<K: Lookup<DynamicType = ()> + 'static> Default for Links<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K> Links<K>
where
    K: Lookup<DynamicType = ()> + ResourceExt + Refers + 'static,
    ObjectRef<K>: Hash + Eq + Clone,
{
    /// Replaces what is known of one object.
    pub fn change(&self, old: Option<&K>, new: Option<&K>) {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = old {
            let reference = short(old);
            old.targets(&mut |namespace, target| {
                let key = key(namespace, target);
                if let Some(objects) = links.get_mut(&key) {
                    objects.remove(&reference);
                    if objects.is_empty() {
                        links.remove(&key);
                    }
                }
            });
        }
        if let Some(new) = new {
            new.targets(&mut |namespace, target| {
                links.entry(key(namespace, target)).or_default().insert(short(new));
            });
        }
    }

    /// Replaces everything that is known.
    pub fn reset<'a>(&self, objects: impl IntoIterator<Item = &'a K>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for object in objects {
            self.change(None, Some(object));
        }
    }

    /// Who refers to the target.
    pub fn of(&self, namespace: &str, target: Target<'_>) -> Vec<ObjectRef<K>> {
        let links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.get(&key(namespace, target)).into_iter().flatten().cloned().collect()
    }
}

/// A reference without the resourceVersion: equal for every version of the object.
fn short<K: Lookup<DynamicType = ()> + ResourceExt>(object: &K) -> ObjectRef<K> {
    ObjectRef::new(&object.name_any()).within(&namespace_of(object))
}

/// Two targets may share a key by chance: somebody is then looked at for nothing.
fn key(namespace: &str, target: Target<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    namespace.hash(&mut hasher);
    target.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(package: &str) -> Function {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Function",
            "metadata": {"name": "hello", "namespace": "demo"},
            "spec": {"environment": "python", "package": package,
                "env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}
        }))
        .unwrap()
    }

    #[test]
    fn a_changed_reference_moves_and_a_deleted_object_leaves_nothing() {
        let links = Links::<Function>::default();
        let (old, new) = (function("a"), function("b"));
        links.change(None, Some(&old));
        assert_eq!(links.of("demo", Target::Package("a")).len(), 1);
        links.change(Some(&old), Some(&new));
        assert!(links.of("demo", Target::Package("a")).is_empty());
        assert_eq!(links.of("demo", Target::Package("b")).len(), 1);
        assert_eq!(links.of("demo", Target::Secret("s")).len(), 1);
        assert!(links.of("other", Target::Secret("s")).is_empty());
        links.change(Some(&new), None);
        assert!(links.0.lock().unwrap().is_empty());
    }

    #[test]
    fn competing_routes_have_the_same_shape() {
        assert_eq!(shape("/users/{id}"), shape("/users/{name}/"));
        assert_ne!(shape("/users/{id}"), shape("/users/all"));
    }
}

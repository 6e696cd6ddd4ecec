//! Who refers to whom: for each thing that may be named, the objects that name it. So a change wakes those that it
//! concerns without a walk over all objects.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use muon_crds::{Function, HTTPTrigger, Package, names, words};

use crate::place::namespace_of;
use crate::reference::ObjectRef;

/// Something that an object may refer to, in its own namespace unless said otherwise.
#[derive(Hash, Clone, Copy, Debug)]
pub enum Target<'a> {
    /// An Environment, by name.
    Environment(&'a str),
    /// A Package, by name.
    Package(&'a str),
    /// A Function, by name.
    Function(&'a str),
    /// A label, by its key and value: Functions wear it, HTTPTriggers ask for it.
    Label(&'a str, &'a str),
    /// Functions by whatever labels they wear, or do not wear.
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
        for (key, value) in self.labels() {
            with(&namespace, Target::Label(key, value));
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
        let selector = self.spec.function.selector.as_ref();
        match (&self.spec.function.name, selector.and_then(|selector| selector.match_labels.iter().next())) {
            (Some(name), _) => with(&namespace, Target::Function(name)),
            // All labels that are asked for must be there: it is enough to know it by one.
            (None, Some((key, value))) => with(&namespace, Target::Label(key, value)),
            (None, None) => with(&namespace, Target::Selector),
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

impl Refers for Package {
    fn targets(&self, with: &mut dyn FnMut(&str, Target<'_>)) {
        if self.spec.build.is_some() {
            with(&namespace_of(self), Target::Environment(&self.spec.environment));
        }
    }
}

impl Refers for Job {
    fn targets(&self, with: &mut dyn FnMut(&str, Target<'_>)) {
        for owner in self.owner_references().iter().filter(|owner| owner.kind == "Package") {
            with(&namespace_of(self), Target::Package(&owner.name));
        }
    }
}

impl Refers for HorizontalPodAutoscaler {
    fn targets(&self, with: &mut dyn FnMut(&str, Target<'_>)) {
        if let Some(name) = scaled_function(self) {
            with(&namespace_of(self), Target::Function(name));
        }
    }
}

/// The Function whose pods an autoscaler is about: it names it, or a Deployment with the name of one of its own.
pub fn scaled_function(scaler: &HorizontalPodAutoscaler) -> Option<&str> {
    let target = &scaler.spec.as_ref()?.scale_target_ref;
    let group = target.api_version.as_deref().and_then(|version| version.split_once('/')).map(|(group, _)| group);
    match (group, target.kind.as_str()) {
        (Some(words::GROUP), "Function") => Some(&target.name),
        (Some("apps"), "Deployment") => target.name.rsplit_once('-').map(|(function, _)| function),
        _ => None,
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
pub struct Links<K>(Mutex<HashMap<u64, Few<K>>>);

/// Most things are named by one object.
enum Few<K> {
    One(ObjectRef<K>),
    Many(BTreeSet<ObjectRef<K>>),
}

impl<K> Few<K> {
    fn insert(&mut self, object: &ObjectRef<K>) {
        match self {
            Self::One(known) if known == object => {}
            Self::One(known) => *self = Self::Many(BTreeSet::from([known.clone(), object.clone()])),
            Self::Many(objects) => {
                objects.insert(object.clone());
            }
        }
    }

    /// Whether nobody is left.
    fn remove(&mut self, object: &ObjectRef<K>) -> bool {
        match self {
            Self::One(known) => known == object,
            Self::Many(objects) => {
                objects.remove(object);
                objects.is_empty()
            }
        }
    }

    fn all(&self) -> Vec<ObjectRef<K>> {
        match self {
            Self::One(object) => vec![object.clone()],
            Self::Many(objects) => objects.iter().cloned().collect(),
        }
    }
}

impl<K> Default for Links<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Refers> Links<K> {
    /// Replaces what is known of one object.
    pub fn change(&self, name: &ObjectRef<K>, old: Option<&K>, new: Option<&K>) {
        let keys = |object: Option<&K>| {
            let mut keys = Vec::new();
            if let Some(object) = object {
                object.targets(&mut |namespace, target| keys.push(key(namespace, target)));
            }
            keys
        };
        let (before, now) = (keys(old), keys(new));
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in before.iter().filter(|key| !now.contains(key)) {
            if links.get_mut(key).is_some_and(|objects| objects.remove(name)) {
                links.remove(key);
            }
        }
        for key in now.iter().filter(|key| !before.contains(key)) {
            links.entry(*key).and_modify(|objects| objects.insert(name)).or_insert_with(|| Few::One(name.clone()));
        }
    }

    /// Who refers to the target.
    pub fn of(&self, namespace: &str, target: Target<'_>) -> Vec<ObjectRef<K>> {
        let links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.get(&key(namespace, target)).map(Few::all).unwrap_or_default()
    }
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
        let name = ObjectRef::from_obj(&old);
        links.change(&name, None, Some(&old));
        assert_eq!(links.of("demo", Target::Package("a")).len(), 1);
        links.change(&name, Some(&old), Some(&new));
        assert!(links.of("demo", Target::Package("a")).is_empty());
        assert_eq!(links.of("demo", Target::Package("b")).len(), 1);
        assert_eq!(links.of("demo", Target::Secret("s")).len(), 1);
        assert!(links.of("other", Target::Secret("s")).is_empty());
        let twin = ObjectRef::new("twin").within("demo");
        links.change(&twin, None, Some(&new));
        assert_eq!(links.of("demo", Target::Package("b")).len(), 2);
        links.change(&name, Some(&new), None);
        assert_eq!(links.of("demo", Target::Package("b")), std::slice::from_ref(&twin));
        links.change(&twin, Some(&new), None);
        assert!(links.0.lock().unwrap().is_empty());
    }

    #[test]
    fn competing_routes_have_the_same_shape() {
        assert_eq!(shape("/users/{id}"), shape("/users/{name}/"));
        assert_ne!(shape("/users/{id}"), shape("/users/all"));
    }
}

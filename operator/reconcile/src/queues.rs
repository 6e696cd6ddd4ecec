//! Who is looked at again when something changes. A list that was read anew comes as the changes it makes. One table of relations:
//!
//! | changed | looked at |
//! | --- | --- |
//! | Environment | itself; the Functions that name it; the Packages that it builds |
//! | Package | itself; the Functions that name it, or whose inline source it holds |
//! | Function | itself; the HTTPTriggers that name it or select by labels; its namespace's gateway |
//! | HTTPTrigger | itself; the HTTPTriggers that want the same route; its namespace's gateway |
//! | Pod | its Environment; the Function that claimed it |
//! | Deployment | its Environment or Function |
//! | Job | its Package |
//! | Service, EndpointSlice, Ingress, NetworkPolicy, PodDisruptionBudget | whoever it was made for |
//! | HorizontalPodAutoscaler | the Function that it scales |
//! | IngressClass | the HTTPTriggers with an Ingress |
//! | Secret, ConfigMap | the Functions that use it |
//! | proxies | all gateways; who waits for a watermark |

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::PartialObjectMeta;
use kube::{Resource, ResourceExt as _};
use muon_crds::condition::{self, ConditionType};
use muon_crds::{Environment, Function, HTTPTrigger, Mode, Package, words};
use tokio::sync::Notify;

use crate::activity::Wakes;
use crate::cache::Index;
use crate::links::{Target, routes, scaled_function};
use crate::objects::Objects;
use crate::place::namespace_of;
use crate::queue::Queue;
use crate::reference::ObjectRef;
use crate::watch::Change;

/// After a pod changed: a claim shows itself here before the request that made it has its reply, and counting it must
/// not compete with that. What requests wait for comes by the proxies' activity, at once.
const AFTER_PODS: Duration = Duration::from_millis(500);

/// After demand changed: a request that a free pod answers is over by then, and what is counted of it must not be written
/// before its reply. One that no pod is free for waits for the start of a pod, which takes many times as long.
const AFTER_DEMAND: Duration = Duration::from_millis(100);

/// The queues of the four drivers, and the bells of the loops. Cheap to clone.
#[derive(Clone, Default)]
pub struct Queues {
    /// Environments to look at.
    pub environments: Queue<Environment>,
    /// Packages to look at.
    pub packages: Queue<Package>,
    /// Functions to look at.
    pub functions: Queue<Function>,
    /// HTTPTriggers to look at.
    pub triggers: Queue<HTTPTrigger>,
    /// Rings when gateways may be missing, wrong, or no longer needed.
    pub gateways: Arc<Notify>,
    /// Rings when proxy pods changed.
    pub proxies: Arc<Notify>,
    /// Ways into the stores, kept up to date here.
    pub index: Arc<Index>,
}

impl Queues {
    /// An Environment changed. Its counts change with every claim; Functions care for its spec and readiness only.
    pub fn environment(&self, name: &ObjectRef<Environment>, change: Change<'_, Environment>) {
        let (old, new) = change.sides();
        let Some(object) = new.or(old) else { return };
        if is_edited(old, new) {
            self.environments.push(name.clone());
        }
        if new.is_none() {
            self.index.tides.forget(name);
        }
        let ready = |object: &Environment| {
            object.status.as_ref().is_some_and(|status| condition::is_true(&status.conditions, ConditionType::Ready))
        };
        if is_edited(old, new) || old.map(ready) != new.map(ready) {
            let namespace = namespace_of(object);
            self.functions.extend(self.index.functions.of(&namespace, Target::Environment(&object.name_any())));
        }
        if is_edited(old, new) {
            self.packages
                .extend(self.index.packages.of(&namespace_of(object), Target::Environment(&object.name_any())));
        }
    }

    /// A Package changed.
    pub fn package(&self, name: &ObjectRef<Package>, change: Change<'_, Package>) {
        let (old, new) = change.sides();
        self.index.packages.change(name, old, new);
        let Some(object) = new.or(old) else { return };
        if is_edited(old, new) {
            self.packages.push(name.clone());
        }
        let namespace = namespace_of(object);
        self.functions.extend(self.index.functions.of(&namespace, Target::Package(&object.name_any())));
    }

    /// A Function changed. Triggers care for its labels, weight and whether it serves.
    pub fn function(&self, name: &ObjectRef<Function>, change: Change<'_, Function>) {
        let (old, new) = change.sides();
        let Some(object) = new.or(old) else { return };
        self.index.functions.change(name, old, new);
        self.index.uids.change(name, old, new);
        if is_edited(old, new) {
            self.functions.push(name.clone());
        }
        if new.is_none() {
            self.gateways.notify_one();
        }
        let summary = |object: &Function| {
            let status = object.status.as_ref();
            let ready = status.and_then(|status| condition::find(&status.conditions, ConditionType::Ready)).cloned();
            (status.is_some_and(|status| status.serving.is_some()), ready.map(|ready| (ready.status, ready.message)))
        };
        if is_edited(old, new) || old.map(summary) != new.map(summary) {
            let namespace = namespace_of(object);
            self.triggers.extend(self.index.triggers.of(&namespace, Target::Function(&object.name_any())));
            self.triggers.extend(self.index.triggers.of(&namespace, Target::Selector));
            for (key, value) in [old, new].into_iter().flatten().flat_map(|version| version.labels()) {
                self.triggers.extend(self.index.triggers.of(&namespace, Target::Label(key, value)));
            }
        }
    }

    /// An HTTPTrigger changed. Those that want the same route may have lost it, or got it.
    pub fn trigger(&self, name: &ObjectRef<HTTPTrigger>, change: Change<'_, HTTPTrigger>) {
        let (old, new) = change.sides();
        self.index.triggers.change(name, old, new);
        if !is_edited(old, new) {
            return;
        }
        self.triggers.push(name.clone());
        for version in [old, new].into_iter().flatten() {
            routes(version, &mut |namespace, target| self.triggers.extend(self.index.triggers.of(namespace, target)));
        }
        if new.is_none() {
            self.gateways.notify_one();
        }
    }

    /// A pod of an Environment changed.
    pub fn pod(&self, name: &ObjectRef<Pod>, change: Change<'_, Pod>) {
        let (old, new) = change.sides();
        self.index.pods.change(name, old, new);
        self.index.ages.change(old, new);
        self.index.tides.change(old, new, Instant::now());
        for pod in [old, new].into_iter().flatten() {
            let namespace = namespace_of(pod);
            let named = |label: &str| pod.labels().get(label);
            if let Some(name) = named(words::ENVIRONMENT) {
                self.environments.push_later(ObjectRef::new(name).within(&namespace), AFTER_PODS);
            }
            if let Some(name) = named(words::FUNCTION) {
                self.functions.push_later(ObjectRef::new(name).within(&namespace), AFTER_PODS);
            }
        }
    }

    /// A Deployment of ours changed.
    pub fn deployment(&self, name: &ObjectRef<Deployment>, change: Change<'_, Deployment>) {
        let (old, new) = change.sides();
        self.index.deployments.change(name, old, new);
        let Some(object) = new.or(old) else { return };
        // A claim shows in its pool's counts as well, and as soon.
        let environment = object.owner_references().iter().find(|owner| owner.kind == "Environment");
        match environment {
            Some(environment) if !is_edited(old, new) => {
                let reference = ObjectRef::new(&environment.name).within(&namespace_of(object));
                self.environments.push_later(reference, AFTER_PODS);
            }
            _ => self.owners(object),
        }
    }

    /// A build's Job changed.
    pub fn job(&self, name: &ObjectRef<Job>, change: Change<'_, Job>) {
        let (old, new) = change.sides();
        self.index.jobs.change(name, old, new);
        if let Some(object) = new.or(old).filter(|_| crate::builds::is_news(old, new)) {
            self.owners(object);
        }
    }

    /// A Service of ours changed.
    pub fn service(&self, _: &ObjectRef<Service>, change: Change<'_, Service>) {
        self.made(&change);
    }

    /// An EndpointSlice of ours changed.
    pub fn slice(&self, _: &ObjectRef<EndpointSlice>, change: Change<'_, EndpointSlice>) {
        self.made(&change);
    }

    /// An Ingress of ours changed.
    pub fn ingress(&self, _: &ObjectRef<Ingress>, change: Change<'_, Ingress>) {
        self.made(&change);
    }

    /// A PodDisruptionBudget of ours changed.
    pub fn budget(&self, _: &ObjectRef<PodDisruptionBudget>, change: Change<'_, PodDisruptionBudget>) {
        self.made(&change);
    }

    /// A NetworkPolicy of ours changed.
    pub fn policy(&self, _: &ObjectRef<NetworkPolicy>, change: Change<'_, NetworkPolicy>) {
        self.made(&change);
    }

    /// A HorizontalPodAutoscaler changed. It writes its own status all the time; only whom it scales is of interest.
    pub fn autoscaler(&self, name: &ObjectRef<HorizontalPodAutoscaler>, change: Change<'_, HorizontalPodAutoscaler>) {
        let (old, new) = change.sides();
        self.index.autoscalers.change(name, old, new);
        let target = |scaler: &HorizontalPodAutoscaler| scaler.spec.as_ref().map(|spec| spec.scale_target_ref.clone());
        if old.map(target) == new.map(target) {
            return;
        }
        for scaler in [old, new].into_iter().flatten() {
            if let Some(function) = scaled_function(scaler) {
                self.functions.push(ObjectRef::new(function).within(&namespace_of(scaler)));
            }
        }
    }

    /// An IngressClass changed.
    pub fn class(&self, _: &ObjectRef<IngressClass>, _: Change<'_, IngressClass>) {
        self.triggers.extend(self.index.triggers.of("", Target::IngressClass));
    }

    /// A Secret changed.
    pub fn secret(&self, _: &ObjectRef<PartialObjectMeta<Secret>>, change: Change<'_, PartialObjectMeta<Secret>>) {
        let (Change::Applied { new: object, .. } | Change::Deleted(object)) = change;
        self.functions.extend(self.index.functions.of(&namespace_of(object), Target::Secret(&object.name_any())));
    }

    /// A ConfigMap changed.
    pub fn config_map(
        &self,
        _: &ObjectRef<PartialObjectMeta<ConfigMap>>,
        change: Change<'_, PartialObjectMeta<ConfigMap>>,
    ) {
        let (Change::Applied { new: object, .. } | Change::Deleted(object)) = change;
        self.functions.extend(self.index.functions.of(&namespace_of(object), Target::ConfigMap(&object.name_any())));
    }

    /// A proxy pod changed.
    pub fn proxy(&self, _: &ObjectRef<Pod>, _: Change<'_, Pod>) {
        self.proxies.notify_one();
        self.gateways.notify_one();
    }

    /// Proxies told something.
    pub fn told(&self, functions: &Objects<Function>, wakes: Wakes) {
        self.functions.extend(wakes.functions);
        self.triggers.extend(wakes.triggers);
        for reference in wakes.uids.iter().filter_map(|uid| self.index.uids.get(uid)) {
            let function = functions.get(&reference);
            if let Some(function) = &function {
                // A pool may have to grow for it.
                let environment = ObjectRef::new(&function.spec.environment).within(reference.namespace());
                self.environments.push_later(environment, AFTER_DEMAND);
            }
            let serving = function.as_ref().and_then(|function| function.status.as_ref()?.serving.as_ref());
            match serving.map(|serving| serving.mode) {
                Some(Mode::Pool) => self.functions.push_later(reference, AFTER_DEMAND),
                // Its Deployment has to be scaled, and nobody else does it.
                _ => self.functions.push(reference),
            }
        }
        for reference in wakes.loaded.iter().filter_map(|uid| self.index.uids.get(uid)) {
            self.functions.push_later(reference, AFTER_PODS);
        }
    }

    /// An object that we made was changed or deleted: whoever made it repairs it. Its making is no news.
    fn made<K: Resource<DynamicType = ()>>(&self, change: &Change<'_, K>) {
        match change {
            Change::Applied { old: Some(_), new: object } | Change::Deleted(object) => self.owners(*object),
            Change::Applied { old: None, .. } => {}
        }
    }

    fn owners<K: Resource<DynamicType = ()>>(&self, object: &K) {
        let namespace = namespace_of(object);
        for owner in object.owner_references() {
            match owner.kind.as_str() {
                "Environment" => self.environments.push(ObjectRef::new(&owner.name).within(&namespace)),
                "Package" => self.packages.push(ObjectRef::new(&owner.name).within(&namespace)),
                "Function" => self.functions.push(ObjectRef::new(&owner.name).within(&namespace)),
                "HTTPTrigger" => self.triggers.push(ObjectRef::new(&owner.name).within(&namespace)),
                _ => self.gateways.notify_one(),
            }
        }
        if object.owner_references().is_empty() {
            self.gateways.notify_one();
        }
    }
}

/// Whether anything but the status changed; the status is what we write ourselves.
fn is_edited<K: Resource>(old: Option<&K>, new: Option<&K>) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return true };
    let (old, new) = (old.meta(), new.meta());
    old.uid != new.uid
        || old.generation != new.generation
        || old.labels != new.labels
        || old.annotations != new.annotations
        || old.deletion_timestamp != new.deletion_timestamp
}

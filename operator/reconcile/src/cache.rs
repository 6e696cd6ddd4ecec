//! What the operator knows of the cluster: one store per kind, filled by one watch each.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::PartialObjectMeta;
use kube::{Resource, ResourceExt as _};
use muon_crds::{Environment, Function, HTTPTrigger, Package};
use std::sync::Arc;

use crate::ages::Ages;
use crate::demand::Tides;
use crate::links::{Links, Target};
use crate::objects::{NeverFilled, Objects, Stored};
use crate::reference::ObjectRef;
use crate::uids::Uids;

/// All stores. Cheap to clone; reading never waits.
#[derive(Clone)]
pub struct Cache {
    /// Environments.
    pub environments: Objects<Environment>,
    /// Packages.
    pub packages: Objects<Package>,
    /// Functions.
    pub functions: Objects<Function>,
    /// HTTPTriggers.
    pub triggers: Objects<HTTPTrigger>,
    /// Deployments of ours.
    pub deployments: Objects<Deployment>,
    /// Pods of Environments: free ones, claimed ones, and those of own Deployments.
    pub pods: Objects<Pod>,
    /// Services of ours.
    pub services: Objects<Service>,
    /// EndpointSlices of ours.
    pub slices: Objects<EndpointSlice>,
    /// Ingresses of ours.
    pub ingresses: Objects<Ingress>,
    /// NetworkPolicies of ours.
    pub policies: Objects<NetworkPolicy>,
    /// PodDisruptionBudgets of ours.
    pub budgets: Objects<PodDisruptionBudget>,
    /// Jobs of ours: builds.
    pub jobs: Objects<Job>,
    /// HorizontalPodAutoscalers of the cluster, as far as they say whom they scale.
    pub autoscalers: Objects<HorizontalPodAutoscaler>,
    /// IngressClasses of the cluster.
    pub classes: Objects<IngressClass>,
    /// Metadata of Secrets; values are never read.
    pub secrets: Objects<PartialObjectMeta<Secret>>,
    /// Metadata of ConfigMaps.
    pub config_maps: Objects<PartialObjectMeta<ConfigMap>>,
    /// Proxy pods of the installation.
    pub proxies: Objects<Pod>,
    /// Who refers to whom.
    pub index: Arc<Index>,
}

/// Ways into the stores that are not names.
#[derive(Default)]
pub struct Index {
    /// Functions by what they refer to.
    pub functions: Links<Function>,
    /// HTTPTriggers by what they refer to.
    pub triggers: Links<HTTPTrigger>,
    /// Pods by Environment and Function.
    pub pods: Links<Pod>,
    /// Deployments by the Environment or Function that controls them.
    pub deployments: Links<Deployment>,
    /// Packages that have to be built, by their Environment.
    pub packages: Links<Package>,
    /// Jobs by the Package that controls them.
    pub jobs: Links<Job>,
    /// HorizontalPodAutoscalers by the Function that they scale, as far as names tell.
    pub autoscalers: Links<HorizontalPodAutoscaler>,
    /// Since when pods have been a function's.
    pub ages: Ages,
    /// Claims of pods, per Environment.
    pub tides: Tides,
    /// Functions by UID.
    pub uids: Uids<Function>,
}

impl Cache {
    /// Waits until every store has been filled once.
    pub async fn ready(&self) -> Result<(), NeverFilled> {
        self.environments.wait_until_ready().await?;
        self.packages.wait_until_ready().await?;
        self.functions.wait_until_ready().await?;
        self.triggers.wait_until_ready().await?;
        self.deployments.wait_until_ready().await?;
        self.pods.wait_until_ready().await?;
        self.services.wait_until_ready().await?;
        self.slices.wait_until_ready().await?;
        self.ingresses.wait_until_ready().await?;
        self.policies.wait_until_ready().await?;
        self.budgets.wait_until_ready().await?;
        self.jobs.wait_until_ready().await?;
        self.autoscalers.wait_until_ready().await?;
        self.classes.wait_until_ready().await?;
        self.secrets.wait_until_ready().await?;
        self.config_maps.wait_until_ready().await?;
        self.proxies.wait_until_ready().await
    }

    /// Pods of the Function, by its label: claimed ones and its own Deployments'.
    pub fn pods_of_function(&self, namespace: &str, name: &str) -> Vec<Arc<Pod>> {
        get_all(&self.pods, self.index.pods.of(namespace, Target::Function(name)))
    }

    /// Pods of the Environment, by its label.
    pub fn pods_of_environment(&self, namespace: &str, name: &str) -> Vec<Arc<Pod>> {
        get_all(&self.pods, self.index.pods.of(namespace, Target::Environment(name)))
    }

    /// Deployments that are controlled by the Environment or Function.
    pub fn deployments_of(&self, namespace: &str, target: Target<'_>, uid: &str) -> Vec<Arc<Deployment>> {
        let mut found = get_all(&self.deployments, self.index.deployments.of(namespace, target));
        found.retain(|deployment| is_controlled_by(deployment.as_ref(), uid));
        found
    }

    /// Jobs that are controlled by the Package.
    pub fn jobs_of(&self, namespace: &str, name: &str, uid: &str) -> Vec<Arc<Job>> {
        let mut found = get_all(&self.jobs, self.index.jobs.of(namespace, Target::Package(name)));
        found.retain(|job| is_controlled_by(job.as_ref(), uid));
        found
    }

    /// HorizontalPodAutoscalers that name the Function, or what may be a Deployment of its own.
    pub fn autoscalers_of(&self, namespace: &str, name: &str) -> Vec<Arc<HorizontalPodAutoscaler>> {
        get_all(&self.autoscalers, self.index.autoscalers.of(namespace, Target::Function(name)))
    }

    /// The Function with this UID.
    pub fn function_by_uid(&self, uid: &str) -> Option<Arc<Function>> {
        let found = self.functions.get(&self.index.uids.get(uid)?)?;
        (found.meta().uid.as_deref() == Some(uid)).then_some(found)
    }

    /// The object of that name in a namespace.
    pub fn get<K: Stored>(store: &Objects<K>, namespace: &str, name: &str) -> Option<Arc<K>> {
        store.get(&ObjectRef::new(name).within(namespace))
    }
}

fn get_all<K: Stored>(store: &Objects<K>, mut references: Vec<ObjectRef<K>>) -> Vec<Arc<K>> {
    // In the order of their names: decisions must not depend on how a map lies in memory.
    references.sort();
    references.iter().filter_map(|reference| store.get(reference)).collect()
}

/// Whether the object's controller is the object with this UID.
pub fn is_controlled_by<K: Resource>(object: &K, uid: &str) -> bool {
    object.owner_references().iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

//! Saying what is: the status subresource, written only when it differs, and the Events that go with a change.

use std::fmt::Debug;

use kube::api::{Api, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::core::object::HasStatus;
use kube::{Client, Resource, ResourceExt as _};
use muon_crds::{ConditionType, EnvironmentStatus, FunctionStatus, HTTPTriggerStatus, PackageStatus, condition};
use muon_plan::{Note, Report};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::debug;

use crate::call::{CallError, call};
use crate::events::Events;
use crate::metrics::Metrics;
use crate::place::namespace_of;
use crate::trouble::{Again, Trouble};

/// A kind of ours whose status is written here.
pub trait Reported:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + HasStatus<Status: Summed>
    + DeserializeOwned
    + Clone
    + Debug
{
}

impl<K> Reported for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + HasStatus<Status: Summed>
        + DeserializeOwned
        + Clone
        + Debug
{
}

/// A status with a summary.
pub trait Summed: Serialize + PartialEq + Default {
    /// Whether it says `Ready`.
    fn is_ready(&self) -> bool;
}

macro_rules! summed {
    ($($status:ty),+) => {
        $(impl Summed for $status {
            fn is_ready(&self) -> bool {
                condition::is_true(&self.conditions, ConditionType::Ready)
            }
        })+
    };
}

summed!(EnvironmentStatus, PackageStatus, FunctionStatus, HTTPTriggerStatus);

/// What writing a status came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The object's resourceVersion with this status: a proxy that has passed it has seen it.
    pub resource_version: String,
    /// Whether anything was written.
    pub written: bool,
}

impl Written {
    fn nothing<K: Resource>(live: &K) -> Self {
        Self { resource_version: live.meta().resource_version.clone().unwrap_or_default(), written: false }
    }
}

/// Writes statuses and Events under one controller's name.
#[derive(Clone)]
pub struct Reporting {
    client: Client,
    manager: &'static str,
    events: Events,
    metrics: Metrics,
}

impl Reporting {
    /// For one controller; `instance` is the pod's name.
    pub fn new(client: Client, manager: &'static str, instance: &str, metrics: Metrics) -> Self {
        Self { events: Events::new(client.clone(), manager, instance), client, manager, metrics }
    }

    /// Says what a visit came to. A lost race is not worth a word, and what passes by itself does not take back that
    /// an object is ready: it is served on.
    pub async fn settle<K: Reported>(
        &self,
        live: &K,
        report: &Report<K::Status>,
        trouble: Option<&Trouble>,
    ) -> Result<Written, CallError> {
        let is_ready = || live.status().is_some_and(Summed::is_ready);
        match trouble.map(|trouble| trouble.again) {
            Some(Again::AtOnce) => Ok(Written::nothing(live)),
            Some(Again::Backoff) if is_ready() => Ok(Written::nothing(live)),
            _ => self.write(live, report).await,
        }
    }

    /// Makes the report's status the object's. The write is bound to the version that was looked at: had the object
    /// changed since, the status would be one of something that is no longer there.
    pub async fn write<K: Reported>(&self, live: &K, report: &Report<K::Status>) -> Result<Written, CallError> {
        if live.status().unwrap_or(&K::Status::default()) == &report.status {
            return Ok(Written::nothing(live));
        }
        let api: Api<K> = Api::namespaced(self.client.clone(), &namespace_of(live));
        let body = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {"uid": live.uid(), "resourceVersion": live.resource_version()},
            "status": report.status,
        });
        let params = PatchParams::apply(self.manager).force();
        let written = call("write a status", api.patch_status(&live.name_any(), &params, &Patch::Apply(&body))).await?;
        self.metrics.wrote(&format!("{}/status", K::kind(&())));
        for note in &report.notes {
            self.tell(live, note).await;
        }
        Ok(Written { resource_version: written.resource_version().unwrap_or_default(), written: true })
    }

    /// An Event. Losing one is not worth a retry.
    pub async fn tell<K: Reported>(&self, live: &K, note: &Note) {
        match self.events.publish(live.object_ref(&()), note).await {
            Ok(()) => self.metrics.wrote("Event"),
            Err(error) => debug!(%error, "an event was lost"),
        }
    }
}

/// The beginning of a text, at most `max` bytes, not cut inside a character.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    &text[..end]
}

#[cfg(test)]
mod tests;

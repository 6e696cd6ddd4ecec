//! One watch per kind: into a store, slimmed, and each change told to whoever depends on it.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{Lookup, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, reflector};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use crate::metrics::Metrics;

/// What a watch has just put into its store.
pub enum Change<'a, K> {
    /// An object is new or changed; `old` is what the store had before.
    Applied {
        /// What the store had before.
        old: Option<Arc<K>>,
        /// What it has now.
        new: &'a K,
    },
    /// An object is gone.
    Deleted(&'a K),
    /// The whole store was read anew.
    Restarted,
}

/// Bounds of what kinds must have to be watched.
pub trait Watched:
    Resource<DynamicType = ()> + Lookup<DynamicType = ()> + Clone + Debug + Send + Sync + 'static
{
}

impl<K> Watched for K where
    K: Resource<DynamicType = ()> + Lookup<DynamicType = ()> + Clone + Debug + Send + Sync + 'static
{
}

/// A store and the watch that fills it; the watch runs while the future is polled and never ends.
pub fn watch<K: Watched + DeserializeOwned>(
    api: Api<K>,
    config: watcher::Config,
    on: impl FnMut(&Store<K>, Change<'_, K>) + Send + 'static,
) -> (Store<K>, impl Future<Output = ()> + Send) {
    into_store(watcher::watcher(api, config).boxed(), on)
}

/// As [`watch`], of objects that users write: one that cannot be read is passed over, said once per version, and
/// the rest of the watch goes on.
pub fn watch_guarded<K: Watched + DeserializeOwned>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    metrics: Metrics,
    on: impl FnMut(&Store<K>, Change<'_, K>) + Send + 'static,
) -> (Store<K>, impl Future<Output = ()> + Send) {
    let events = watcher::watcher(api, config).filter_map(move |event| {
        let readable = match event {
            Ok(event) => readable(event, &metrics).map(Ok),
            Err(error) => Some(Err(error)),
        };
        std::future::ready(readable)
    });
    into_store(events.boxed(), on)
}

fn readable<K: Watched>(event: Event<DeserializeGuard<K>>, metrics: &Metrics) -> Option<Event<K>> {
    let read = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(object) => Some(object),
        Err(invalid) => {
            let kind = <K as Resource>::kind(&()).into_owned();
            let (namespace, name) = (invalid.metadata.namespace, invalid.metadata.name);
            warn!(kind, namespace, name, error = invalid.error, "passed over: this object is not of its kind's form");
            metrics.malformed(&kind);
            None
        }
    };
    match event {
        Event::Apply(object) => read(object).map(Event::Apply),
        Event::Delete(object) => read(object).map(Event::Delete),
        Event::Init => Some(Event::Init),
        Event::InitApply(object) => read(object).map(Event::InitApply),
        Event::InitDone => Some(Event::InitDone),
    }
}

/// As [`watch`], over a stream that the caller made.
pub fn from_events<K: Watched>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    on: impl FnMut(&Store<K>, Change<'_, K>) + Send + 'static,
) -> (Store<K>, impl Future<Output = ()> + Send) {
    into_store(events.boxed(), on)
}

fn into_store<K: Watched>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + Unpin + 'static,
    mut on: impl FnMut(&Store<K>, Change<'_, K>) + Send + 'static,
) -> (Store<K>, impl Future<Output = ()> + Send) {
    let (store, mut writer): (Store<K>, Writer<K>) = reflector::store();
    let reader = store.clone();
    let run = async move {
        let mut events = std::pin::pin!(events.default_backoff().modify(slim));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => take(&mut writer, &reader, event, &mut on),
                Err(error) => debug!(kind = %<K as Resource>::kind(&()), %error, "watch broken off; it starts again"),
            }
        }
    };
    (store, run)
}

fn take<K: Watched>(
    writer: &mut Writer<K>,
    store: &Store<K>,
    event: Event<K>,
    on: &mut impl FnMut(&Store<K>, Change<'_, K>),
) {
    let old = match &event {
        Event::Apply(object) => store.get(&ObjectRef::from_obj(object)),
        _ => None,
    };
    writer.apply_watcher_event(&event);
    match &event {
        Event::Apply(new) => on(store, Change::Applied { old, new }),
        Event::Delete(object) => on(store, Change::Deleted(object)),
        Event::InitDone => on(store, Change::Restarted),
        Event::Init | Event::InitApply(_) => {}
    }
}

/// What nobody of ours reads is not kept: it can be most of an object.
fn slim<K: Resource>(object: &mut K) {
    object.managed_fields_mut().clear();
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if meta.annotations.as_ref().is_some_and(std::collections::BTreeMap::is_empty) {
        meta.annotations = None;
    }
}

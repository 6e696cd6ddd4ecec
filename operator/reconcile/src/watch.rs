//! One watch per kind: into a store, slimmed, and each change told to whoever depends on it.
//!
//! A list is taken as the changes that it comes to: what has the version that the store has is not even looked at, and
//! what the list does not name is gone. So a list anew, after a broken watch, costs the reading of it and
//! no more, and needs no second copy of everything.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use crate::metrics::Metrics;
use crate::objects::{Form, Objects, Stored, version};
use crate::readable::Readable;
use crate::reference::ObjectRef;

/// Objects of one page of a list: as many as are in memory at once beside the store.
const PAGE: u32 = 100;

/// What a watch has just put into its store, or taken out.
pub enum Change<'a, K> {
    /// An object is new or changed.
    Applied {
        /// What the store had before.
        old: Option<Arc<K>>,
        /// What it has now.
        new: &'a K,
    },
    /// An object is gone.
    Deleted(&'a K),
}

impl<K> Change<'_, K> {
    /// Before and after.
    pub fn sides(&self) -> (Option<&K>, Option<&K>) {
        match self {
            Self::Applied { old, new } => (old.as_deref(), Some(new)),
            Self::Deleted(object) => (Some(object), None),
        }
    }
}

/// How a kind is watched.
pub fn paged(config: watcher::Config) -> watcher::Config {
    config.page_size(PAGE)
}

/// A store and the watch that fills it; the watch runs while the future is polled and never ends. An object that cannot
/// be read is passed over, said once per version, and the rest of the watch goes on. `thin` leaves out of an object what
/// is not to be kept.
pub fn watch<K: Stored>(
    api: Api<Readable<K>>,
    config: watcher::Config,
    form: Form,
    thin: impl FnMut(&mut K) + Send + 'static,
    metrics: Metrics,
    on: impl FnMut(&ObjectRef<K>, Change<'_, K>) + Send + 'static,
) -> (Objects<K>, impl Future<Output = ()> + Send) {
    let events = watcher::watcher(api, paged(config)).filter_map(move |event| {
        let readable = match event {
            Ok(event) => readable(event, |kind| metrics.malformed(kind)).map(Ok),
            Err(error) => Some(Err(error)),
        };
        std::future::ready(readable)
    });
    into_store(events.modify(thin).boxed(), form, on)
}

/// The event, if its object can be read; one that cannot is said, and `count` told its kind.
pub fn readable<K>(event: Event<Readable<K>>, count: impl Fn(&str)) -> Option<Event<K>>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned,
{
    let read = |object: Readable<K>| match object {
        Readable::Object(object) => Some(*object),
        Readable::Malformed { meta, error } => {
            let kind = K::kind(&()).into_owned();
            let (namespace, name) = (meta.namespace, meta.name);
            warn!(kind, namespace, name, error, "passed over: this object is not of its kind's form");
            count(&kind);
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
pub fn from_events<K: Stored>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    form: Form,
    on: impl FnMut(&ObjectRef<K>, Change<'_, K>) + Send + 'static,
) -> (Objects<K>, impl Future<Output = ()> + Send) {
    into_store(events.boxed(), form, on)
}

fn into_store<K: Stored>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + Unpin + 'static,
    form: Form,
    on: impl FnMut(&ObjectRef<K>, Change<'_, K>) + Send + 'static,
) -> (Objects<K>, impl Future<Output = ()> + Send) {
    let store = Objects::new(form);
    let mut filler = Filler { store: store.clone(), listed: None, on };
    let run = async move {
        let mut events = std::pin::pin!(events.default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => filler.take(event),
                Err(error) => debug!(kind = %K::kind(&()), %error, "watch broken off; it starts again"),
            }
        }
    };
    (store, run)
}

/// Puts a watch's events into a store.
struct Filler<K, F> {
    store: Objects<K>,
    /// Names that the list which is being read has told.
    listed: Option<HashSet<ObjectRef<K>>>,
    on: F,
}

impl<K: Stored, F: FnMut(&ObjectRef<K>, Change<'_, K>)> Filler<K, F> {
    fn take(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.listed = Some(HashSet::new()),
            Event::InitApply(object) => {
                let name = self.store.shared(ObjectRef::from_obj(&object));
                self.apply(&name, object);
                if let Some(listed) = &mut self.listed {
                    listed.insert(name);
                }
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let mut gone = self.store.names();
                gone.retain(|name| !listed.contains(name));
                for name in gone {
                    if let Some(object) = self.store.remove(&name) {
                        (self.on)(&name, Change::Deleted(&object));
                    }
                }
                self.store.fill();
            }
            Event::Apply(object) => {
                let name = self.store.shared(ObjectRef::from_obj(&object));
                self.apply(&name, object);
            }
            Event::Delete(object) => {
                let name = self.store.shared(ObjectRef::from_obj(&object));
                // As the store had it: that is what its indexes know.
                match self.store.remove(&name) {
                    Some(old) => (self.on)(&name, Change::Deleted(&old)),
                    None => (self.on)(&name, Change::Deleted(&object)),
                }
            }
        }
    }

    fn apply(&mut self, name: &ObjectRef<K>, mut object: K) {
        let new = version(&object);
        if new != 0 && self.store.version(name) == Some(new) {
            return;
        }
        slim(&mut object);
        let old = self.store.put(name.clone(), &object);
        (self.on)(name, Change::Applied { old, new: &object });
    }
}

/// What nobody of ours reads is not kept: it can be most of an object.
fn slim<K: kube::Resource>(object: &mut K) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        if annotations.is_empty() {
            meta.annotations = None;
        }
    }
}

#[cfg(test)]
mod tests;

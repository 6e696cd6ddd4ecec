//! Objects by their UID: proxies speak of Functions by UID, so that one that was deleted and made again is another.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::Resource;
use kube::runtime::reflector::{Lookup, ObjectRef};

/// References by UID.
pub struct Uids<K: Lookup<DynamicType = ()> + 'static>(Mutex<HashMap<String, ObjectRef<K>>>);

impl<K: Lookup<DynamicType = ()> + 'static> Default for Uids<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Lookup<DynamicType = ()> + Resource + 'static> Uids<K> {
    fn map(&self) -> MutexGuard<'_, HashMap<String, ObjectRef<K>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what is known of one object.
    pub fn change(&self, old: Option<&K>, new: Option<&K>) {
        let uid = |object: &K| object.meta().uid.clone();
        let mut map = self.map();
        let (before, now) = (old.and_then(uid), new.and_then(uid));
        if let Some(before) = before.filter(|before| now.as_ref() != Some(before)) {
            map.remove(&before);
        }
        if let (Some(now), Some(new)) = (now, new) {
            map.entry(now).or_insert_with(|| reference(new));
        }
    }

    /// Replaces everything that is known.
    pub fn reset<'a>(&self, objects: impl IntoIterator<Item = &'a K>) {
        let fresh = objects.into_iter().filter_map(|object| Some((object.meta().uid.clone()?, reference(object))));
        let fresh = fresh.collect();
        *self.map() = fresh;
    }

    /// The object with this UID.
    pub fn get(&self, uid: &str) -> Option<ObjectRef<K>> {
        self.map().get(uid).cloned()
    }
}

fn reference<K: Lookup<DynamicType = ()> + Resource + 'static>(object: &K) -> ObjectRef<K> {
    let meta = object.meta();
    let reference = ObjectRef::new(meta.name.as_deref().unwrap_or_default());
    match &meta.namespace {
        Some(namespace) => reference.within(namespace),
        None => reference,
    }
}

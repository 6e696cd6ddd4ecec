//! Objects by their UID: proxies speak of Functions by UID, so that one that was deleted and made again is another.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::Resource;

use crate::reference::ObjectRef;

/// References by UID.
pub struct Uids<K>(Mutex<HashMap<Box<str>, ObjectRef<K>>>);

impl<K> Default for Uids<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Resource> Uids<K> {
    fn map(&self) -> MutexGuard<'_, HashMap<Box<str>, ObjectRef<K>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what is known of one object.
    pub fn change(&self, name: &ObjectRef<K>, old: Option<&K>, new: Option<&K>) {
        let uid = |object: &K| object.meta().uid.as_deref().map(Box::<str>::from);
        let mut map = self.map();
        let (before, now) = (old.and_then(uid), new.and_then(uid));
        if let Some(before) = before.filter(|before| now.as_ref() != Some(before)) {
            map.remove(&before);
        }
        if let Some(now) = now {
            map.entry(now).or_insert_with(|| name.clone());
        }
    }

    /// The object with this UID.
    pub fn get(&self, uid: &str) -> Option<ObjectRef<K>> {
        self.map().get(uid).cloned()
    }
}

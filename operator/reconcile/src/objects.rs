//! One store per kind: all objects of it, as the watch last told of them.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::packed::Packed;
use crate::reference::ObjectRef;

/// What is kept in a store.
pub trait Stored:
    Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
}

impl<K> Stored for K where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
}

/// In which form a store keeps its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are: kinds of which there are few, or which are looked at all the time.
    Plain,
    /// Packed: kinds of which there are many.
    Packed,
}

enum Kept<K> {
    Plain(Arc<K>),
    Packed(Packed),
}

struct Entry<K> {
    version: u64,
    kept: Kept<K>,
}

struct Inner<K> {
    form: Form,
    objects: RwLock<HashMap<ObjectRef<K>, Entry<K>>>,
    filled: watch::Sender<bool>,
}

/// The watch of a kind ended before its store was filled.
#[derive(thiserror::Error, Clone, Copy, Debug, PartialEq, Eq)]
#[error("a watch ended before its store was filled")]
pub struct NeverFilled;

/// All objects of a kind. Cheap to clone; reading never waits for a watch.
pub struct Objects<K>(Arc<Inner<K>>);

impl<K> Clone for Objects<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Stored> Objects<K> {
    /// An empty store.
    pub fn new(form: Form) -> Self {
        Self(Arc::new(Inner { form, objects: RwLock::default(), filled: watch::Sender::new(false) }))
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<ObjectRef<K>, Entry<K>>> {
        self.0.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<ObjectRef<K>, Entry<K>>> {
        self.0.objects.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object of this name.
    pub fn get(&self, name: &ObjectRef<K>) -> Option<Arc<K>> {
        self.read().get(name).and_then(open)
    }

    /// The version that the store has of an object, without a look at the object.
    pub fn version(&self, name: &ObjectRef<K>) -> Option<u64> {
        self.read().get(name).map(|entry| entry.version)
    }

    /// The name as the store has it, so that whoever keeps it shares its bytes; a new name as it is.
    pub fn shared(&self, name: ObjectRef<K>) -> ObjectRef<K> {
        self.read().get_key_value(&name).map(|(name, _)| name.clone()).unwrap_or(name)
    }

    /// All names.
    pub fn names(&self) -> Vec<ObjectRef<K>> {
        self.read().keys().cloned().collect()
    }

    /// Calls `with` for every name, without a copy of any.
    pub fn each_name(&self, with: impl FnMut(&ObjectRef<K>)) {
        self.read().keys().for_each(with);
    }

    /// All objects. Of a kind that is kept packed this is a lot of work: look for names instead.
    pub fn state(&self) -> Vec<Arc<K>> {
        self.read().values().filter_map(open).collect()
    }

    /// The objects that are meant, with the same warning.
    pub fn state_filter(&self, is_meant: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.read().values().filter_map(open).filter(|object| is_meant(object)).collect()
    }

    /// Puts an object in the place of its last version, which is given back.
    pub fn put(&self, name: ObjectRef<K>, object: &K) -> Option<Arc<K>> {
        let packed = (self.0.form == Form::Packed).then(|| Packed::of(object)).flatten();
        let kept = packed.map_or_else(|| Kept::Plain(Arc::new(object.clone())), Kept::Packed);
        let entry = Entry { version: version(object), kept };
        self.write().insert(name, entry).as_ref().and_then(open)
    }

    /// Takes an object out.
    pub fn remove(&self, name: &ObjectRef<K>) -> Option<Arc<K>> {
        let mut objects = self.write();
        let removed = objects.remove(name);
        if objects.len() * 4 < objects.capacity() {
            objects.shrink_to_fit();
        }
        drop(objects);
        removed.as_ref().and_then(open)
    }

    /// Says that a list was put in whole.
    pub fn fill(&self) {
        self.0.filled.send_replace(true);
    }

    /// Waits until a list was put in whole.
    pub async fn wait_until_ready(&self) -> Result<(), NeverFilled> {
        self.0.filled.subscribe().wait_for(|filled| *filled).await.map(drop).map_err(|_| NeverFilled)
    }
}

fn open<K: Stored>(entry: &Entry<K>) -> Option<Arc<K>> {
    match &entry.kept {
        Kept::Plain(object) => Some(Arc::clone(object)),
        Kept::Packed(packed) => packed.unpack().map(Arc::new),
    }
}

/// An object's resourceVersion; 0 when it has none.
pub fn version<K: Resource>(object: &K) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0)
}

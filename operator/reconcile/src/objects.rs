//! One store per kind: all objects of it, as the watch last told of them.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::packed::{pack, text, unpack};
use crate::reference::ObjectRef;
use crate::shelf::{Clearing, Shelf, Spot};

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
    Packed(Spot),
}

struct Entry<K> {
    version: u64,
    kept: Kept<K>,
}

struct Table<K> {
    objects: HashMap<ObjectRef<K>, Entry<K>>,
    shelf: Shelf,
}

struct Inner<K> {
    form: Form,
    table: RwLock<Table<K>>,
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
        let table = RwLock::new(Table { objects: HashMap::new(), shelf: Shelf::default() });
        Self(Arc::new(Inner { form, table, filled: watch::Sender::new(false) }))
    }

    fn read(&self) -> RwLockReadGuard<'_, Table<K>> {
        self.0.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<K>> {
        self.0.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object of this name.
    pub fn get(&self, name: &ObjectRef<K>) -> Option<Arc<K>> {
        let table = self.read();
        table.objects.get(name).and_then(|entry| table.open(entry))
    }

    /// The object of this name as JSON: of a kind that is kept packed, this is less work than to have the object.
    pub fn text(&self, name: &ObjectRef<K>) -> Option<Vec<u8>> {
        let table = self.read();
        match &table.objects.get(name)?.kept {
            Kept::Plain(object) => serde_json::to_vec(object.as_ref()).ok(),
            Kept::Packed(spot) => table.shelf.get(*spot).and_then(text),
        }
    }

    /// The version that the store has of an object, without a look at the object.
    pub fn version(&self, name: &ObjectRef<K>) -> Option<u64> {
        self.read().objects.get(name).map(|entry| entry.version)
    }

    /// The name as the store has it, so that whoever keeps it shares its bytes; a new name as it is.
    pub fn shared(&self, name: ObjectRef<K>) -> ObjectRef<K> {
        self.read().objects.get_key_value(&name).map(|(name, _)| name.clone()).unwrap_or(name)
    }

    /// All names.
    pub fn names(&self) -> Vec<ObjectRef<K>> {
        self.read().objects.keys().cloned().collect()
    }

    /// Calls `with` for every name, without a copy of any.
    pub fn each_name(&self, with: impl FnMut(&ObjectRef<K>)) {
        self.read().objects.keys().for_each(with);
    }

    /// All objects. Of a kind that is kept packed this is a lot of work: look for names instead.
    pub fn state(&self) -> Vec<Arc<K>> {
        self.state_filter(|_| true)
    }

    /// The objects that are meant, with the same warning.
    pub fn state_filter(&self, is_meant: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let table = self.read();
        table.objects.values().filter_map(|entry| table.open(entry)).filter(|object| is_meant(object)).collect()
    }

    /// Puts an object in the place of its last version, which is given back.
    pub fn put(&self, name: ObjectRef<K>, object: &K) -> Option<Arc<K>> {
        let packed = (self.0.form == Form::Packed).then(|| pack(object)).flatten();
        let mut table = self.write();
        let old = table.remove(&name);
        let spot = packed.and_then(|packed| table.shelf.put(&packed));
        let kept = spot.map_or_else(|| Kept::Plain(Arc::new(object.clone())), Kept::Packed);
        table.objects.insert(name, Entry { version: version(object), kept });
        old
    }

    /// Takes an object out.
    pub fn remove(&self, name: &ObjectRef<K>) -> Option<Arc<K>> {
        let mut table = self.write();
        let removed = table.remove(name);
        if table.objects.len() * 4 < table.objects.capacity() {
            table.objects.shrink_to_fit();
        }
        removed
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

impl<K: Stored> Table<K> {
    fn open(&self, entry: &Entry<K>) -> Option<Arc<K>> {
        match &entry.kept {
            Kept::Plain(object) => Some(Arc::clone(object)),
            Kept::Packed(spot) => self.shelf.get(*spot).and_then(unpack).map(Arc::new),
        }
    }

    fn remove(&mut self, name: &ObjectRef<K>) -> Option<Arc<K>> {
        let entry = self.objects.remove(name)?;
        let object = self.open(&entry);
        if let Kept::Packed(spot) = entry.kept
            && let Some(clearing) = self.shelf.take(spot)
        {
            self.clear(clearing);
        }
        object
    }

    fn clear(&mut self, clearing: Clearing) {
        for entry in self.objects.values_mut() {
            if let Kept::Packed(spot) = &mut entry.kept
                && let Some(moved) = self.shelf.rescue(*spot, &clearing)
            {
                *spot = moved;
            }
        }
        self.shelf.cleared(clearing);
    }
}

/// An object's resourceVersion; 0 when it has none.
pub fn version<K: Resource>(object: &K) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0)
}

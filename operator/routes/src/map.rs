//! A map from text that is cheap to change while others read the version before.
//!
//! Entries lie in buckets behind shared pointers; a change copies one bucket and, when a reader still holds the
//! version before, the list of buckets. At 100,000 entries that is some microseconds, and a lookup stays two steps.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};

/// Entries per bucket, on average, before the map spreads them over four times as many.
const FULL: usize = 32;

#[derive(Debug)]
pub(crate) struct Map<V> {
    buckets: Arc<Vec<Arc<Bucket<V>>>>,
    len: usize,
}

/// Sorted by hash.
type Bucket<V> = Vec<Entry<V>>;

#[derive(Clone, Debug)]
struct Entry<V> {
    hash: u64,
    key: Arc<str>,
    value: V,
}

/// Seeded once a process: names are chosen by users, so their hashes must not be foreseen.
fn hash(key: &str) -> u64 {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    SEED.get_or_init(RandomState::new).hash_one(key)
}

impl<V> Clone for Map<V> {
    fn clone(&self) -> Self {
        Self { buckets: Arc::clone(&self.buckets), len: self.len }
    }
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self { buckets: Arc::default(), len: 0 }
    }
}

/// Where the key is, or where it belongs.
fn place<V>(bucket: &Bucket<V>, hash: u64, key: &str) -> Result<usize, usize> {
    let start = bucket.partition_point(|entry| entry.hash < hash);
    let same = bucket[start..].iter().take_while(|entry| entry.hash == hash);
    same.enumerate().find(|(_, entry)| &*entry.key == key).map(|(at, _)| start + at).ok_or(start)
}

impl<V: Clone> Map<V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        if self.len == 0 {
            return None;
        }
        let hash = hash(key);
        let bucket = self.buckets.get(self.slot(hash))?;
        place(bucket, hash, key).ok().map(|at| &bucket[at].value)
    }

    /// The number of buckets is a power of two; the low bits choose, so the order by hash stays useful in a bucket.
    fn slot(&self, hash: u64) -> usize {
        hash as usize & (self.buckets.len().wrapping_sub(1))
    }

    pub(crate) fn insert(&mut self, key: &str, value: V) {
        if self.len >= self.buckets.len() * FULL {
            self.spread();
        }
        let hash = hash(key);
        let slot = self.slot(hash);
        let Some(bucket) = Arc::make_mut(&mut self.buckets).get_mut(slot).map(Arc::make_mut) else { return };
        match place(bucket, hash, key) {
            Ok(at) => bucket[at].value = value,
            Err(at) => {
                bucket.insert(at, Entry { hash, key: Arc::from(key), value });
                self.len += 1;
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &str) {
        if self.len == 0 {
            return;
        }
        let hash = hash(key);
        let slot = self.slot(hash);
        let Some(at) = self.buckets.get(slot).and_then(|bucket| place(bucket, hash, key).ok()) else { return };
        if let Some(bucket) = Arc::make_mut(&mut self.buckets).get_mut(slot) {
            Arc::make_mut(bucket).remove(at);
            self.len -= 1;
        }
        if self.len == 0 {
            self.buckets = Arc::default();
        }
    }

    fn spread(&mut self) {
        let count = (self.buckets.len() * 4).max(1);
        let mut spread = vec![Vec::new(); count];
        for entry in self.buckets.iter().flat_map(|bucket| bucket.iter()) {
            spread[entry.hash as usize & (count - 1)].push(entry.clone());
        }
        for bucket in &mut spread {
            bucket.sort_by_key(|entry| entry.hash);
        }
        self.buckets = Arc::new(spread.into_iter().map(Arc::new).collect());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_behaves_like_a_map_and_old_versions_stay(
            steps in proptest::collection::vec((0u16..300, any::<Option<u8>>()), 0..600),
        ) {
            let (mut map, mut model) = (Map::default(), HashMap::new());
            let mut kept: Option<(Map<u8>, HashMap<String, u8>)> = None;
            for (number, (key, value)) in steps.into_iter().enumerate() {
                let key = format!("key-{key}");
                match value {
                    Some(value) => {
                        map.insert(&key, value);
                        model.insert(key, value);
                    }
                    None => {
                        map.remove(&key);
                        model.remove(&key);
                    }
                }
                if number == 100 {
                    kept = Some((map.clone(), model.clone()));
                }
            }
            for (map, model) in [Some((map, model)), kept].into_iter().flatten() {
                prop_assert_eq!(map.len(), model.len());
                for number in 0..300 {
                    let key = format!("key-{number}");
                    prop_assert_eq!(map.get(&key), model.get(&key));
                }
            }
        }
    }
}

//! The small blobs read last, verified, in memory: a cold start waits for no disk.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::digest::Digest;

/// Counted for every blob beside its bytes: names and tables.
const OVERHEAD: usize = 300;

/// Least recently used goes first.
#[derive(Debug)]
pub(crate) struct Cache {
    limit: usize,
    used: usize,
    clock: u64,
    blobs: HashMap<Digest, (u64, Bytes)>,
    by_age: BTreeMap<u64, Digest>,
}

impl Cache {
    /// Holds up to `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0, clock: 0, blobs: HashMap::new(), by_age: BTreeMap::new() }
    }

    /// A blob, which is young again.
    pub(crate) fn get(&mut self, digest: &Digest) -> Option<Bytes> {
        self.clock += 1;
        let (age, bytes) = self.blobs.get_mut(digest)?;
        let name = self.by_age.remove(age)?;
        *age = self.clock;
        self.by_age.insert(self.clock, name);
        Some(bytes.clone())
    }

    /// Keeps a blob; what is too old for the room that is left goes.
    pub(crate) fn insert(&mut self, digest: &Digest, bytes: &Bytes) {
        let size = bytes.len() + OVERHEAD;
        if size > self.limit {
            return;
        }
        self.remove(digest);
        while self.used + size > self.limit {
            let Some((_, oldest)) = self.by_age.first_key_value() else { break };
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
        self.clock += 1;
        self.used += size;
        // A copy of its own: a slice would keep the whole buffer it came in.
        self.blobs.insert(digest.clone(), (self.clock, Bytes::copy_from_slice(bytes)));
        self.by_age.insert(self.clock, digest.clone());
    }

    /// Forgets a blob.
    pub(crate) fn remove(&mut self, digest: &Digest) {
        if let Some((age, bytes)) = self.blobs.remove(digest) {
            self.by_age.remove(&age);
            self.used -= bytes.len() + OVERHEAD;
        }
    }

    /// Bytes held.
    pub(crate) fn used(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use muon_crds::names;

    use super::*;

    fn blob(index: u8) -> (Digest, Bytes) {
        let bytes = vec![index; 1000];
        (Digest::parse(&names::digest(&bytes)).unwrap(), bytes.into())
    }

    #[test]
    fn the_blob_that_was_used_last_stays() {
        let mut cache = Cache::new(3 * (1000 + OVERHEAD));
        for index in 0..3 {
            let (digest, bytes) = blob(index);
            cache.insert(&digest, &bytes);
        }
        assert!(cache.get(&blob(0).0).is_some());
        cache.insert(&blob(3).0, &blob(3).1);
        let held: Vec<_> = (0..4).map(|index| cache.get(&blob(index).0).is_some()).collect();
        assert_eq!(held, [true, false, true, true]);
        assert_eq!(cache.used(), 3 * (1000 + OVERHEAD));
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_nothing_is_counted_twice() {
        let mut cache = Cache::new(1000 + OVERHEAD);
        let (digest, bytes) = blob(1);
        cache.insert(&digest, &bytes);
        cache.insert(&digest, &bytes);
        assert_eq!(cache.used(), 1000 + OVERHEAD);
        cache.insert(&blob(2).0, &vec![0; 5000].into());
        assert!(cache.get(&digest).is_some());
        cache.remove(&digest);
        assert_eq!(cache.used(), 0);
    }
}

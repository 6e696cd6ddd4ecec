//! What the store holds, whose it is, and since when it has been out of use: in memory, told at the start by what lies
//! in the storage. Everything that comes, goes or is counted passes here, under one lock that nobody waits in.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use muon_crds::wire::Lost;

use crate::digest::{Digest, Name};
use crate::failure::StoreError;

/// Losses that are remembered until somebody asks; more than these tell nothing new.
const MAX_LOST: usize = 1000;

/// How much each namespace may store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Bytes of a namespace that has none of its own; none: no bound.
    pub each: Option<u64>,
    /// Bytes of single namespaces.
    pub of: BTreeMap<String, u64>,
}

impl Quotas {
    fn of(&self, namespace: &str) -> Option<u64> {
        self.of.get(namespace).copied().or(self.each)
    }
}

#[derive(Debug)]
struct Entry {
    size: u64,
    /// When it was last put, asked for by its owner, or named as in use.
    used: Instant,
    /// When its content was last compared with its digest.
    checked: Instant,
}

#[derive(Debug, Default)]
struct Space {
    blobs: HashMap<Digest, Entry>,
    stored: u64,
    /// Bytes of uploads that are under way.
    coming: u64,
}

#[derive(Debug, Default)]
struct Books {
    spaces: HashMap<String, Space>,
    /// Blobs that are being written, by how many.
    written: HashMap<Name, usize>,
    /// Blobs that are being deleted.
    going: HashSet<Name>,
    lost: BTreeSet<Lost>,
}

/// The books. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    books: Arc<Mutex<Books>>,
    quotas: Arc<Quotas>,
}

/// What a sweep found out of use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unused {
    /// Their grace period is over: name and size.
    pub(crate) over: Vec<(Name, u64)>,
    /// Those whose grace period is not.
    pub(crate) waiting: u64,
}

/// What is held in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) blobs: usize,
    pub(crate) bytes: u64,
}

impl Ledger {
    pub(crate) fn new(quotas: Quotas) -> Self {
        Self { books: Arc::default(), quotas: Arc::new(quotas) }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Nothing in here panics half-way; what a poisoned lock guards is sound.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A blob that lies in the storage.
    pub(crate) fn found(&self, name: &Name, size: u64) {
        self.books().insert(name, size);
    }

    /// Whether the namespace has the blob.
    pub(crate) fn has(&self, name: &Name) -> bool {
        self.books().spaces.get(&name.namespace).is_some_and(|space| space.blobs.contains_key(&name.digest))
    }

    /// The size of a blob whose owner means to use it: its grace period begins anew.
    pub(crate) fn touch(&self, name: &Name) -> Option<u64> {
        let mut books = self.books();
        let entry = books.spaces.get_mut(&name.namespace)?.blobs.get_mut(&name.digest)?;
        entry.used = Instant::now();
        Some(entry.size)
    }

    /// Begins an upload, of which `size` bytes are known to come.
    pub(crate) fn begin(&self, name: &Name, size: u64) -> Result<Coming, StoreError> {
        let mut books = self.books();
        if books.going.contains(name) {
            return Err(StoreError::Busy("changes of this blob"));
        }
        *books.written.entry(name.clone()).or_default() += 1;
        drop(books);
        let mut coming = Coming { ledger: self.clone(), name: name.clone(), bytes: 0 };
        coming.reserve(size)?;
        Ok(coming)
    }

    /// A blob is no more: deleted, or damaged.
    pub(crate) fn remove(&self, name: &Name) {
        self.books().remove(name);
    }

    /// Takes a blob out so that it can be deleted, unless it is being written this moment.
    pub(crate) fn depart(&self, name: &Name) -> Option<Going> {
        let mut books = self.books();
        if books.written.contains_key(name) || !books.going.insert(name.clone()) {
            return None;
        }
        books.remove(name);
        Some(Going { ledger: self.clone(), name: name.clone() })
    }

    /// Marks what is in use and tells what is not; the second is what is in use and not here.
    pub(crate) fn compare(
        &self,
        live: &BTreeMap<String, BTreeSet<String>>,
        grace: Duration,
    ) -> (Unused, BTreeMap<String, BTreeSet<String>>) {
        let mut books = self.books();
        let mut unused = Unused::default();
        for (namespace, space) in &mut books.spaces {
            let live = live.get(namespace);
            for (digest, entry) in &mut space.blobs {
                if live.is_some_and(|live| live.contains(digest.as_str())) {
                    entry.used = Instant::now();
                } else if entry.used.elapsed() < grace {
                    unused.waiting += 1;
                } else {
                    let name = Name { namespace: namespace.clone(), digest: digest.clone() };
                    unused.over.push((name, entry.size));
                }
            }
        }
        let mut missing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (namespace, digests) in live {
            let space = books.spaces.get(namespace);
            let held = |digest: &str| {
                Digest::parse(digest).is_ok_and(|digest| space.is_some_and(|space| space.blobs.contains_key(&digest)))
            };
            let lacking: BTreeSet<_> = digests.iter().filter(|digest| !held(digest)).cloned().collect();
            if !lacking.is_empty() {
                missing.insert(namespace.clone(), lacking);
            }
        }
        (unused, missing)
    }

    /// The blobs that have not been looked at for longest, of so many bytes in all (and at least one): they count as
    /// looked at from now on.
    pub(crate) fn stalest(&self, bytes: u64) -> Vec<Name> {
        let mut books = self.books();
        let mut all: Vec<_> = books
            .spaces
            .iter()
            .flat_map(|(namespace, space)| {
                space.blobs.iter().map(move |(digest, entry)| {
                    (entry.checked, entry.size, Name { namespace: namespace.clone(), digest: digest.clone() })
                })
            })
            .collect();
        all.sort();
        let mut room = bytes;
        let mut chosen = Vec::new();
        for (_, size, name) in all {
            if size > room && !chosen.is_empty() {
                break;
            }
            room = room.saturating_sub(size);
            chosen.push(name);
        }
        for name in &chosen {
            let entry = books.spaces.get_mut(&name.namespace).and_then(|space| space.blobs.get_mut(&name.digest));
            if let Some(entry) = entry {
                entry.checked = Instant::now();
            }
        }
        chosen
    }

    /// Somebody wanted this and did not get it.
    pub(crate) fn lost(&self, name: &Name, damaged: bool) {
        let mut books = self.books();
        if books.lost.len() < MAX_LOST {
            let Name { namespace, digest } = name.clone();
            books.lost.insert(Lost { namespace, digest: digest.as_str().to_owned(), damaged });
        }
    }

    /// What was lost since the last time that somebody asked.
    pub(crate) fn take_lost(&self) -> Vec<Lost> {
        std::mem::take(&mut self.books().lost).into_iter().collect()
    }

    /// What is held in all.
    pub(crate) fn total(&self) -> Total {
        let books = self.books();
        let spaces = books.spaces.values();
        spaces.fold(Total::default(), |total, space| Total {
            blobs: total.blobs + space.blobs.len(),
            bytes: total.bytes + space.stored,
        })
    }
}

impl Books {
    fn insert(&mut self, name: &Name, size: u64) {
        let now = Instant::now();
        let space = self.spaces.entry(name.namespace.clone()).or_default();
        let before = space.blobs.insert(name.digest.clone(), Entry { size, used: now, checked: now });
        space.stored = space.stored + size - before.map_or(0, |before| before.size);
    }

    fn remove(&mut self, name: &Name) {
        let Some(space) = self.spaces.get_mut(&name.namespace) else { return };
        if let Some(entry) = space.blobs.remove(&name.digest) {
            space.stored -= entry.size;
        }
        self.tidy(&name.namespace);
    }

    fn tidy(&mut self, namespace: &str) {
        if self.spaces.get(namespace).is_some_and(|space| space.blobs.is_empty() && space.coming == 0) {
            self.spaces.remove(namespace);
        }
    }
}

/// An upload that is under way: it is counted to its namespace, and its blob is not deleted meanwhile.
#[derive(Debug)]
pub(crate) struct Coming {
    ledger: Ledger,
    name: Name,
    bytes: u64,
}

impl Coming {
    /// Makes room for a body of so many bytes in all.
    pub(crate) fn reserve(&mut self, bytes: u64) -> Result<(), StoreError> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let namespace = &self.name.namespace;
        let mut books = self.ledger.books();
        let space = books.spaces.entry(namespace.clone()).or_default();
        // A blob that is there already is written over, if at all: it is not counted twice.
        let there = space.blobs.get(&self.name.digest).map_or(0, |entry| entry.size);
        let used = space.stored + space.coming - there;
        if let Some(quota) = self.ledger.quotas.of(namespace)
            && used + more > quota
        {
            books.tidy(namespace);
            return Err(StoreError::Quota { namespace: namespace.clone(), used, quota, wanted: bytes });
        }
        space.coming += more;
        self.bytes = bytes;
        Ok(())
    }

    /// The blob is in the storage, whole, and of this size.
    pub(crate) fn arrived(self, size: u64) {
        self.ledger.books().insert(&self.name, size);
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let mut books = self.ledger.books();
        if let Some(space) = books.spaces.get_mut(&self.name.namespace) {
            space.coming -= self.bytes;
        }
        if let Some(count) = books.written.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                books.written.remove(&self.name);
            }
        }
        books.tidy(&self.name.namespace);
    }
}

/// A blob on its way out: nobody writes it meanwhile.
#[derive(Debug)]
pub(crate) struct Going {
    ledger: Ledger,
    name: Name,
}

impl Drop for Going {
    fn drop(&mut self) {
        self.ledger.books().going.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::of;

    fn name(namespace: &str, content: &str) -> Name {
        Name::new(namespace, of(content.as_bytes())).unwrap()
    }

    fn live(names: &[&Name]) -> BTreeMap<String, BTreeSet<String>> {
        let mut live: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for name in names {
            live.entry(name.namespace.clone()).or_default().insert(name.digest.to_string());
        }
        live
    }

    #[test]
    fn what_is_out_of_use_goes_after_its_grace_period_and_only_in_its_namespace() {
        let ledger = Ledger::new(Quotas::default());
        let (used, unused, others) = (name("a", "1"), name("a", "2"), name("b", "2"));
        for name in [&used, &unused, &others] {
            ledger.found(name, 10);
        }
        let (out, missing) = ledger.compare(&live(&[&used, &others, &name("c", "3")]), Duration::ZERO);
        assert_eq!(out, Unused { over: vec![(unused.clone(), 10)], waiting: 0 });
        assert_eq!(missing, live(&[&name("c", "3")]));
        let (out, _) = ledger.compare(&live(&[&used, &others]), Duration::from_secs(3600));
        assert_eq!(out, Unused { over: vec![], waiting: 1 });
        assert!(ledger.depart(&unused).is_some());
        assert_eq!(ledger.total(), Total { blobs: 2, bytes: 20 });
    }

    #[test]
    fn what_is_being_written_is_not_deleted_nor_the_other_way_round() {
        let ledger = Ledger::new(Quotas::default());
        let blob = name("a", "1");
        ledger.found(&blob, 10);
        let coming = ledger.begin(&blob, 10).unwrap();
        assert!(ledger.depart(&blob).is_none());
        coming.arrived(10);
        let going = ledger.depart(&blob).unwrap();
        assert!(matches!(ledger.begin(&blob, 10), Err(StoreError::Busy(_))));
        assert!(!ledger.has(&blob));
        drop(going);
        ledger.begin(&blob, 10).unwrap().arrived(10);
        assert_eq!(ledger.total(), Total { blobs: 1, bytes: 10 });
    }

    #[test]
    fn a_namespaces_uploads_count_from_their_beginning_and_no_longer_once_they_failed() {
        let of = BTreeMap::from([("large".to_owned(), 1000)]);
        let ledger = Ledger::new(Quotas { each: Some(100), of });
        let first = ledger.begin(&name("a", "1"), 60).unwrap();
        let refused = ledger.begin(&name("a", "2"), 60).unwrap_err();
        assert!(matches!(refused, StoreError::Quota { used: 60, quota: 100, wanted: 60, .. }), "{refused}");
        drop(first);
        let mut second = ledger.begin(&name("a", "2"), 60).unwrap();
        assert!(second.reserve(101).is_err());
        second.arrived(60);
        assert!(ledger.begin(&name("a", "2"), 100).is_ok(), "the same once more is not counted twice");
        assert!(ledger.begin(&name("b", "1"), 100).is_ok(), "each namespace has its own");
        assert!(ledger.begin(&name("large", "1"), 1000).is_ok());
        ledger.remove(&name("a", "2"));
        assert!(ledger.books().spaces.is_empty() && ledger.books().written.is_empty());
    }

    #[test]
    fn blobs_are_looked_at_in_turn() {
        let ledger = Ledger::new(Quotas::default());
        for content in ["1", "2", "3"] {
            ledger.found(&name("a", content), 10);
        }
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            let [next] = ledger.stalest(5).try_into().unwrap();
            seen.insert(next);
        }
        assert_eq!(seen.len(), 3);
        assert_eq!(ledger.stalest(20).len(), 2);
    }
}

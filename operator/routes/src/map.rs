//! A map from text that is cheap to change while others read the version before.
//!
//! A tree by the bits of the key's hash, sixteen ways at a time, with small leaves. A change copies the leaf and the
//! few branches above it; everything else is shared with the version before. A value holds its own key, and a leaf
//! compares hashes that lie side by side before it touches any value: a lookup meets few cold cache lines.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};

/// Values in a leaf before it becomes a branch.
const FULL: usize = 32;
/// Bits of the hash that one branch looks at.
const BITS: u32 = 4;
/// Branches above a leaf at most: keys whose hashes agree so far stay in one leaf.
const DEEPEST: u32 = 8;

/// A value that holds the text by which it is found.
pub(crate) trait Keyed {
    /// The text.
    fn key(&self) -> &str;
}

impl<T: Keyed> Keyed for Arc<T> {
    fn key(&self) -> &str {
        T::key(self)
    }
}

#[derive(Debug)]
pub(crate) struct Map<V> {
    root: Node<V>,
    len: usize,
}

/// Leaves and branches lie behind one pointer each, with nothing between it and what is looked at.
#[derive(Debug)]
enum Node<V> {
    Leaf(Arc<[Entry<V>]>),
    Branch(Arc<[Node<V>; 1 << BITS]>),
}

#[derive(Clone, Debug)]
struct Entry<V> {
    /// The low half of the key's hash.
    hash: u32,
    value: V,
}

/// Seeded once a process: names are chosen by users, so their hashes must not be foreseen.
fn hash(key: &str) -> u64 {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    SEED.get_or_init(RandomState::new).hash_one(key)
}

/// Which way a branch at this depth goes.
fn way(hash: u64, depth: u32) -> usize {
    (hash >> (64 - BITS * (depth + 1))) as usize & ((1 << BITS) - 1)
}

impl<V> Clone for Map<V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len }
    }
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

impl<V> Clone for Node<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(entries) => Self::Leaf(Arc::clone(entries)),
            Self::Branch(ways) => Self::Branch(Arc::clone(ways)),
        }
    }
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self::Leaf(Arc::new([]))
    }
}

/// Where the key is in a leaf.
fn place<V: Keyed>(entries: &[Entry<V>], hash: u64, key: &str) -> Option<usize> {
    entries.iter().position(|entry| entry.hash == hash as u32 && entry.value.key() == key)
}

impl<V: Clone + Keyed> Map<V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        if self.len == 0 {
            return None;
        }
        let mut node = &self.root;
        let hash = hash(key);
        let mut depth = 0;
        loop {
            match node {
                Node::Branch(ways) => node = &ways[way(hash, depth)],
                Node::Leaf(entries) => return place(entries, hash, key).map(|at| &entries[at].value),
            }
            depth += 1;
        }
    }

    /// Puts a value under its key, in the place of the one that was there.
    pub(crate) fn insert(&mut self, value: V) {
        self.len += usize::from(self.root.insert(hash(value.key()), value, 0));
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<V> {
        // Looked for first, so that nothing is copied in vain.
        let removed = self.get(key)?.clone();
        self.root.remove(hash(key), key);
        self.len -= 1;
        if self.len == 0 {
            self.root = Node::default();
        }
        Some(removed)
    }

    /// All values, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        let mut open = vec![&self.root];
        let mut leaf = [].iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(entry) = leaf.next() {
                    let entry: &Entry<V> = entry;
                    return Some(&entry.value);
                }
                match open.pop()? {
                    Node::Leaf(entries) => leaf = entries.iter(),
                    Node::Branch(ways) => open.extend(ways.iter()),
                }
            }
        })
    }
}

impl<V: Clone + Keyed> Node<V> {
    /// Whether the key is new.
    fn insert(&mut self, hash: u64, value: V, depth: u32) -> bool {
        match self {
            Self::Branch(ways) => Arc::make_mut(ways)[way(hash, depth)].insert(hash, value, depth + 1),
            Self::Leaf(entries) => {
                let at = place(entries, hash, value.key());
                let entry = Entry { hash: hash as u32, value };
                if let Some(at) = at {
                    if let Some(place) = Arc::make_mut(entries).get_mut(at) {
                        *place = entry;
                    }
                    return false;
                }
                let more: Vec<Entry<V>> = entries.iter().cloned().chain([entry]).collect();
                *self = if more.len() > FULL && depth < DEEPEST {
                    Self::spread(more, depth)
                } else {
                    Self::Leaf(more.into())
                };
                true
            }
        }
    }

    fn spread(entries: Vec<Entry<V>>, depth: u32) -> Self {
        let mut leaves: [Vec<Entry<V>>; 1 << BITS] = Default::default();
        for entry in entries {
            leaves[way(hash(entry.value.key()), depth)].push(entry);
        }
        Self::Branch(Arc::new(leaves.map(|entries| Self::Leaf(entries.into()))))
    }

    fn remove(&mut self, hash: u64, key: &str) {
        let mut node = self;
        let mut depth = 0;
        loop {
            match node {
                Self::Branch(ways) => node = &mut Arc::make_mut(ways)[way(hash, depth)],
                Self::Leaf(entries) => {
                    *entries = entries
                        .iter()
                        .filter(|entry| entry.hash != hash as u32 || entry.value.key() != key)
                        .cloned()
                        .collect();
                    return;
                }
            }
            depth += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Pair(String, u8);

    impl Keyed for Pair {
        fn key(&self) -> &str {
            &self.0
        }
    }

    fn filled(count: usize) -> Map<Arc<Pair>> {
        let mut map = Map::default();
        for number in 0..count {
            map.insert(Arc::new(Pair(format!("fn-{number}.scale-{}", number % 10), 0)));
        }
        map
    }

    /// What finding a key comes to: branches passed, and entries of the leaf looked at.
    fn work(map: &Map<Arc<Pair>>, key: &str) -> (usize, usize) {
        let (mut node, mut depth) = (&map.root, 0);
        while let Node::Branch(ways) = node {
            node = &ways[way(hash(key), depth)];
            depth += 1;
        }
        let Node::Leaf(entries) = node else { unreachable!("only leaves are left") };
        (depth as usize, place(entries, hash(key), key).expect("it is in the map") + 1)
    }

    /// Work is counted, not time: a lookup among a hundred thousand passes two branches more than one among a few hundred.
    #[test]
    fn a_lookup_is_flat() {
        for (count, branches) in [(10, 0), (1_000, 2), (100_000, 4)] {
            let map = filled(count);
            for number in (0..count).step_by((count / 1000).max(1)) {
                let (passed, looked) = work(&map, &format!("fn-{number}.scale-{}", number % 10));
                assert!(passed <= branches && looked <= FULL, "{passed} branches, {looked} entries of {count}");
            }
        }
    }

    /// Nodes that two versions of a map do not share.
    fn apart(old: &Node<Arc<Pair>>, new: &Node<Arc<Pair>>) -> usize {
        match (old, new) {
            (Node::Leaf(old), Node::Leaf(new)) => usize::from(!Arc::ptr_eq(old, new)),
            (Node::Branch(old), Node::Branch(new)) if Arc::ptr_eq(old, new) => 0,
            (Node::Branch(old), Node::Branch(new)) => {
                1 + old.iter().zip(new.iter()).map(|(old, new)| apart(old, new)).sum::<usize>()
            }
            _ => 1,
        }
    }

    /// An event costs what it touches: of ten thousand entries one leaf and the branches above it are made anew.
    #[test]
    fn a_change_copies_one_way_down() {
        let old = filled(10_000);
        for number in 0..100 {
            let mut new = old.clone();
            new.insert(Arc::new(Pair(format!("fn-{number}.scale-{}", number % 10), 1)));
            let copied = apart(&old.root, &new.root);
            assert!((1..=5).contains(&copied), "{copied} nodes");
        }
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_map_and_old_versions_stay(
            steps in proptest::collection::vec((0u16..600, any::<Option<u8>>()), 0..1200),
        ) {
            let (mut map, mut model) = (Map::default(), HashMap::new());
            let mut kept: Option<(Map<Pair>, HashMap<String, u8>)> = None;
            for (number, (key, value)) in steps.into_iter().enumerate() {
                let key = format!("key-{key}");
                match value {
                    Some(value) => {
                        map.insert(Pair(key.clone(), value));
                        model.insert(key, value);
                    }
                    None => {
                        prop_assert_eq!(map.remove(&key).map(|pair| pair.1), model.remove(&key));
                    }
                }
                if number == 300 {
                    kept = Some((map.clone(), model.clone()));
                }
            }
            for (map, model) in [Some((map, model)), kept].into_iter().flatten() {
                prop_assert_eq!((map.len(), map.values().count()), (model.len(), model.len()));
                for number in 0..600 {
                    let key = format!("key-{number}");
                    prop_assert_eq!(map.get(&key).map(|pair| pair.1), model.get(&key).copied());
                }
            }
        }
    }
}

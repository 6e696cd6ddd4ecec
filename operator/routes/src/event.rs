//! What a watch tells, and how a new list replaces an old one.

use std::collections::HashSet;

/// One event of a watch, in the order in which the API server tells them.
#[derive(Clone, Debug)]
pub enum Event<T> {
    /// A new list begins: what it does not name is gone when it ends.
    Relist,
    /// An object is there, or is like this now.
    Apply(T),
    /// An object is gone; this is how it was last.
    Delete(T),
    /// The list is complete.
    Listed,
}

/// An object's resourceVersion as a number; 0 when it has none.
pub fn resource_version(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The names that a running list has told so far, and whether any list was ever complete.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    told: Option<HashSet<String>>,
    pub(crate) complete: bool,
    pub(crate) seen: u64,
}

impl Listing {
    pub(crate) fn begin(&mut self) {
        self.told = Some(HashSet::new());
    }

    pub(crate) fn tell(&mut self, name: &str, version: u64) {
        self.seen = self.seen.max(version);
        if let Some(told) = &mut self.told {
            told.insert(name.to_owned());
        }
    }

    /// Ends the list: which of `known` it did not name.
    pub(crate) fn end<'a>(&mut self, known: impl Iterator<Item = &'a str>) -> Vec<String> {
        self.complete = true;
        match self.told.take() {
            Some(told) => known.filter(|name| !told.contains(*name)).map(str::to_owned).collect(),
            None => Vec::new(),
        }
    }
}

//! Which object a controller takes next: each once however often it was pushed, none by two visits at once, and some
//! only later. Pure: the time is told.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::reference::ObjectRef;

/// What waits, what is being looked at, and what comes later.
pub struct Desk<K> {
    ready: VecDeque<ObjectRef<K>>,
    waiting: HashSet<ObjectRef<K>>,
    /// Whether it was pushed again meanwhile.
    running: HashMap<ObjectRef<K>, bool>,
    later: BTreeSet<(Instant, ObjectRef<K>)>,
    at: HashMap<ObjectRef<K>, Instant>,
}

impl<K> Default for Desk<K> {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            waiting: HashSet::new(),
            running: HashMap::new(),
            later: BTreeSet::new(),
            at: HashMap::new(),
        }
    }
}

impl<K> Desk<K> {
    /// Has the object looked at; whatever was planned for later is thereby done.
    pub fn push(&mut self, object: ObjectRef<K>) {
        self.forget(&object);
        match self.running.get_mut(&object) {
            Some(again) => *again = true,
            None => {
                if self.waiting.insert(object.clone()) {
                    self.ready.push_back(object);
                }
            }
        }
    }

    /// Has the object looked at then, unless it waits already or comes sooner.
    pub fn push_at(&mut self, object: ObjectRef<K>, then: Instant) {
        if self.waiting.contains(&object) || self.at.get(&object).is_some_and(|planned| *planned <= then) {
            return;
        }
        self.forget(&object);
        self.at.insert(object.clone(), then);
        self.later.insert((then, object));
    }

    fn forget(&mut self, object: &ObjectRef<K>) {
        if let Some(planned) = self.at.remove(object) {
            self.later.remove(&(planned, object.clone()));
        }
    }

    /// When the first of what comes later is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.later.first().map(|(then, _)| *then)
    }

    /// Pushes what is due.
    pub fn come_due(&mut self, now: Instant) {
        while self.next_due().is_some_and(|then| then <= now) {
            if let Some((_, object)) = self.later.pop_first() {
                self.at.remove(&object);
                self.push(object);
            }
        }
    }

    /// The next one, which is being looked at from now on.
    pub fn take(&mut self) -> Option<ObjectRef<K>> {
        let object = self.ready.pop_front()?;
        self.waiting.remove(&object);
        self.running.insert(object.clone(), false);
        if self.ready.is_empty() {
            // After everything was pushed once, the lists would stay as large for ever.
            (self.ready, self.waiting) = Default::default();
        }
        Some(object)
    }

    /// It was looked at; it is looked at again after this time, or at once if it was pushed meanwhile.
    pub fn done(&mut self, object: ObjectRef<K>, after: Option<Duration>, now: Instant) {
        match (self.running.remove(&object), after) {
            (Some(true), _) => self.push(object),
            (_, Some(after)) => self.push_at(object, now + after),
            (_, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muon_crds::Function;

    fn name(name: &str) -> ObjectRef<Function> {
        ObjectRef::new(name).within("demo")
    }

    #[test]
    fn an_object_is_looked_at_once_and_by_one() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        desk.push(name("a"));
        desk.push(name("a"));
        assert_eq!(desk.take(), Some(name("a")));
        assert_eq!(desk.take(), None, "two pushes are one");
        desk.push(name("a"));
        assert_eq!(desk.take(), None, "it is being looked at");
        desk.done(name("a"), Some(Duration::from_secs(9)), now);
        assert_eq!(desk.take(), Some(name("a")), "at once: it was pushed meanwhile");
        desk.done(name("a"), None, now);
        assert_eq!((desk.take(), desk.next_due()), (None, None));
    }

    #[test]
    fn the_sooner_time_counts_and_a_push_comes_before_all() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(5));
        desk.push_at(name("a"), late);
        desk.push_at(name("a"), soon);
        desk.push_at(name("a"), late);
        desk.push_at(name("b"), late);
        assert_eq!(desk.next_due(), Some(soon));
        desk.come_due(soon);
        assert_eq!((desk.take(), desk.take()), (Some(name("a")), None));
        desk.push(name("b"));
        assert_eq!((desk.take(), desk.next_due()), (Some(name("b")), None));
    }

    #[test]
    fn what_comes_due_while_it_is_looked_at_comes_after() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        desk.push(name("a"));
        desk.take();
        desk.push_at(name("a"), now);
        desk.come_due(now);
        assert_eq!(desk.take(), None);
        desk.done(name("a"), None, now);
        assert_eq!(desk.take(), Some(name("a")));
    }
}

//! Which objects are to be looked at: a set, so its size is bounded by the objects there are.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::reference::ObjectRef;

/// Objects of one kind that wait for their reconcile. Any number of tasks may push; one controller takes them.
pub struct Queue<K>(Arc<Inner<K>>);

struct Inner<K> {
    waiting: Mutex<HashSet<ObjectRef<K>>>,
    later: Mutex<HashSet<ObjectRef<K>>>,
    pushed: Notify,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self(Arc::new(Inner { waiting: Mutex::default(), later: Mutex::default(), pushed: Notify::new() }))
    }
}

impl<K: 'static> Queue<K> {
    /// Has the object looked at, once, however often it is pushed before that.
    pub fn push(&self, object: ObjectRef<K>) {
        self.extend([object]);
    }

    /// Has all of them looked at.
    pub fn extend(&self, objects: impl IntoIterator<Item = ObjectRef<K>>) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(objects);
        if !waiting.is_empty() {
            self.0.pushed.notify_one();
        }
    }

    /// Has the object looked at after `delay`; pushes of it until then are one. For what may wait: what follows a claim
    /// must not compete with the cold request that made it.
    pub fn push_later(&self, object: ObjectRef<K>, delay: Duration) {
        if !self.0.later.lock().unwrap_or_else(PoisonError::into_inner).insert(object.clone()) {
            return;
        }
        let queue = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            queue.0.later.lock().unwrap_or_else(PoisonError::into_inner).remove(&object);
            queue.push(object);
        });
    }

    /// What waits now.
    pub fn drain(&self) -> HashSet<ObjectRef<K>> {
        // Taken with its memory: after everything was pushed once, the set would stay as large for ever.
        std::mem::take(&mut self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there is something, and takes it.
    pub async fn taken(&self) -> HashSet<ObjectRef<K>> {
        loop {
            let waiting = self.drain();
            if !waiting.is_empty() {
                return waiting;
            }
            self.0.pushed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muon_crds::Function;

    #[tokio::test]
    async fn what_may_wait_comes_once_and_later() {
        let queue = Queue::<Function>::default();
        let object = ObjectRef::new("hello").within("demo");
        for _ in 0..2 {
            queue.push_later(object.clone(), Duration::from_millis(20));
        }
        assert!(queue.drain().is_empty(), "it waits");
        assert_eq!(queue.taken().await, HashSet::from([object]));
        assert!(queue.drain().is_empty(), "two were one");
    }

    #[tokio::test]
    async fn an_object_pushed_twice_comes_once() {
        let queue = Queue::<Function>::default();
        let object = ObjectRef::new("hello").within("demo");
        queue.extend([object.clone(), object.clone()]);
        queue.push(object.clone());
        assert_eq!(queue.taken().await, HashSet::from([object.clone()]));
        assert!(queue.drain().is_empty());
        queue.push(object.clone());
        assert_eq!(queue.taken().await, HashSet::from([object]));
    }
}

//! Which objects are to be looked at: a set, so its size is bounded by the objects there are.

use std::collections::HashSet;
use std::convert::Infallible;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::Stream;
use kube::runtime::reflector::{Lookup, ObjectRef};
use tokio::sync::Notify;

/// Objects of one kind that wait for their reconcile. Any number of tasks may push; one stream drains it.
pub struct Queue<K: Lookup<DynamicType = ()> + 'static>(Arc<Inner<K>>);

struct Inner<K: Lookup<DynamicType = ()> + 'static> {
    waiting: Mutex<HashSet<ObjectRef<K>>>,
    later: Mutex<HashSet<ObjectRef<K>>>,
    pushed: Notify,
}

impl<K: Lookup<DynamicType = ()> + 'static> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Lookup<DynamicType = ()> + 'static> Default for Queue<K> {
    fn default() -> Self {
        Self(Arc::new(Inner { waiting: Mutex::default(), later: Mutex::default(), pushed: Notify::new() }))
    }
}

impl<K: Lookup<DynamicType = ()> + 'static> Queue<K>
where
    ObjectRef<K>: Hash + Eq,
{
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
    pub fn push_later(&self, object: ObjectRef<K>, delay: Duration)
    where
        ObjectRef<K>: Send,
    {
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
    pub fn drain(&self) -> Vec<ObjectRef<K>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }

    /// The objects as they come; never ends, never fails.
    pub fn stream(&self) -> impl Stream<Item = Result<ObjectRef<K>, Infallible>> + Send + use<K>
    where
        ObjectRef<K>: Send,
    {
        let queue = self.clone();
        futures::stream::unfold((queue, Vec::new()), |(queue, mut ready)| async move {
            while ready.is_empty() {
                ready = queue.drain();
                if ready.is_empty() {
                    queue.0.pushed.notified().await;
                }
            }
            ready.pop().map(|object| (Ok(object), (queue, ready)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;
    use muon_crds::Function;

    #[tokio::test]
    async fn what_may_wait_comes_once_and_later() {
        let queue = Queue::<Function>::default();
        let object = ObjectRef::new("hello").within("demo");
        for _ in 0..2 {
            queue.push_later(object.clone(), Duration::from_millis(20));
        }
        assert!(queue.drain().is_empty(), "it waits");
        assert_eq!(std::pin::pin!(queue.stream()).next().await, Some(Ok(object)));
        assert!(queue.drain().is_empty(), "two were one");
    }

    #[tokio::test]
    async fn an_object_pushed_twice_comes_once() {
        let queue = Queue::<Function>::default();
        let object = ObjectRef::new("hello").within("demo");
        queue.extend([object.clone(), object.clone()]);
        queue.push(object.clone());
        let mut stream = std::pin::pin!(queue.stream());
        assert_eq!(stream.next().await, Some(Ok(object.clone())));
        assert!(queue.drain().is_empty());
        queue.push(object.clone());
        assert_eq!(stream.next().await, Some(Ok(object)));
    }
}

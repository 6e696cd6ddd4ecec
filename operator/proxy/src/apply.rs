//! What the watches tell: the only way in which anything that a proxy knows changes.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use k8s_openapi::api::core::v1;
use muon_routes::{Changed, Event, FunctionChange, FunctionEntry, PodIndex, Table, TriggerEntry};

use crate::proxy::Proxy;
use crate::served::Served;

/// One event of one of the three watches.
// A Pod is large, and each is handed over once: a box would only be one allocation more.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Change {
    /// Of the HTTPTriggers.
    Trigger(Event<TriggerEntry>),
    /// Of the Functions.
    Function(Event<FunctionEntry>),
    /// Of the Pods with the label `muon.dev/environment`.
    Pod(Event<v1::Pod>),
}

impl Proxy {
    /// Applies changes in their order and publishes what they come to. Many at once cost less than one by one.
    pub fn apply(self: &Arc<Self>, changes: impl IntoIterator<Item = Change>) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let before = book.seen();
        let mut functions = Vec::new();
        let mut pods = Vec::new();
        for change in changes {
            match change {
                Change::Trigger(event) => book.trigger(event),
                Change::Function(event) => functions.extend(book.function(event)),
                Change::Pod(event) => pods.push(event),
            }
        }
        let table = book.table();
        self.shared.metrics.functions.set(i64::try_from(table.functions()).unwrap_or(i64::MAX));
        self.table.store(Arc::new(table));
        let (after, complete) = (book.seen(), book.complete());
        let changed: Vec<String> =
            functions.iter().filter_map(|change| Some(change.after.as_ref()?.key().to_owned())).collect();
        self.update_functions(functions);
        // Watermarks are told after what they stand for has been applied.
        drop(book);
        let pods_before = self.with_index(|index| index.seen());
        self.with_pods(|index, _| pods.into_iter().flat_map(|event| index.apply(event)).collect());
        self.adopt(&changed);
        let (pods_after, pods_complete) = self.with_index(|index| (index.seen(), index.complete()));
        if complete && pods_complete {
            self.complete.get_or_init(Instant::now);
        }
        if before != after || pods_before != pods_after {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.functions = seen.functions.max(after.0);
            seen.triggers = seen.triggers.max(after.1);
            seen.pods = seen.pods.max(pods_after);
            drop(seen);
            self.shared.bump();
        }
    }

    fn update_functions(self: &Arc<Self>, changes: Vec<FunctionChange>) {
        for change in changes {
            let uid =
                |function: &Option<Arc<muon_routes::Function>>| function.as_ref().map(|function| function.uid.clone());
            let (before, after) = (uid(&change.before), uid(&change.after));
            if let Some(gone) = before.filter(|before| Some(before) != after.as_ref()) {
                self.forget(&gone);
            }
            if let Some(function) = change.after
                && let Some(served) = self.known(&function.uid)
            {
                self.update(&served, function);
            }
        }
    }

    /// Changes the pod index and lets the functions whose pods changed know, in one order for all.
    pub(crate) fn with_pods(self: &Arc<Self>, change: impl FnOnce(&mut PodIndex, &Table) -> Vec<Changed>) -> bool {
        let mut index = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let table = self.table.load();
        let changed = change(&mut index, &table);
        let mut freed = false;
        let mut keys: Vec<String> = Vec::new();
        for changed in &changed {
            freed |= changed.freed();
            if let Some(before) =
                changed.before.as_ref().filter(|_| !changed.after.as_ref().is_some_and(|pod| pod.is_free()))
            {
                self.taken().forget(&before.uid);
            }
            keys.extend(changed.functions());
        }
        keys.sort_unstable();
        keys.dedup();
        for key in &keys {
            if let Some(served) = table.function(key).and_then(|function| self.known(&function.uid)) {
                served.refresh(index.of_function(key));
            }
        }
        drop(index);
        self.adopt(&keys);
        if freed {
            self.freed.notify_waiters();
        }
        if changed.iter().any(Changed::of_pool) {
            self.reserves.look_again();
        }
        !changed.is_empty()
    }

    /// Reads the pod index.
    pub(crate) fn with_index<T>(&self, read: impl FnOnce(&PodIndex) -> T) -> T {
        read(&self.pods.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells a function how it is now. Only under the lock of the book, so that no older news comes after it.
    pub(crate) fn update(self: &Arc<Self>, served: &Arc<Served>, function: Arc<muon_routes::Function>) {
        let index = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let key = function.key().to_owned();
        served.update(function, index.of_function(&key));
    }
}

//! The writer of the table: applies events of triggers and functions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use muon_crds::http_trigger::Selector;

use crate::entry::{FunctionEntry, Labels, TriggerEntry};
use crate::event::{Event, Listing};
use crate::function::Function;
use crate::host::ClusterName;
use crate::map::Map;
use crate::route::{Route, Target};
use crate::selector::holds;
use crate::table::{Choice, Selected, Table};

/// All that is known of routes and functions, and the table made of it.
#[derive(Debug, Default)]
pub struct Book {
    table: Table,
    /// By `namespace/name`; a trigger whose path cannot be a route is not here.
    routes: Map<Arc<Route>>,
    /// What selectors look at, by namespace.
    namespaces: HashMap<Box<str>, Namespace>,
    functions: Listing,
    triggers: Listing,
}

#[derive(Debug, Default)]
struct Namespace {
    /// By name, so that choices are always in the same order.
    functions: BTreeMap<Box<str>, Candidate>,
    /// Triggers of this namespace that select by labels.
    selecting: BTreeSet<Box<str>>,
}

#[derive(Debug)]
struct Candidate {
    function: Arc<Function>,
    labels: Labels,
    weight: u32,
}

fn selected(selector: &Selector, labels: &str) -> bool {
    holds(selector, |key| {
        labels.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| *name == key).map(|(_, value)| value)
    })
}

impl Book {
    /// Empty, for a cluster of this name.
    pub fn new(cluster: ClusterName) -> Self {
        Self { table: Table::new(cluster), ..Self::default() }
    }

    /// The table as it is now. What the caller holds stays as it was.
    pub fn table(&self) -> Table {
        self.table.clone()
    }

    /// Whether Functions and HTTPTriggers were listed whole at least once.
    pub fn complete(&self) -> bool {
        self.functions.complete && self.triggers.complete
    }

    /// The last resourceVersion applied, of Functions and of HTTPTriggers.
    pub fn seen(&self) -> (u64, u64) {
        (self.functions.seen, self.triggers.seen)
    }

    /// Applies an event of the Functions. Says which changed: those whose UIDs are gone, and those that are new or other.
    pub fn function(&mut self, event: Event<impl Into<FunctionEntry>>) -> Vec<FunctionChange> {
        match event {
            Event::Relist => self.functions.begin(),
            Event::Apply(object) => {
                let FunctionEntry { version, function, labels, weight } = object.into();
                self.functions.tell(function.key(), version);
                return self.put(function, labels, weight).into_iter().collect();
            }
            Event::Delete(object) => {
                let FunctionEntry { version, function, .. } = object.into();
                self.functions.tell(function.key(), version);
                return self.drop_function(function.key()).into_iter().collect();
            }
            Event::Listed => {
                let known = self.namespaces.values().flat_map(|namespace| namespace.functions.values());
                let gone = self.functions.end(known.map(|candidate| candidate.function.key()));
                return gone.iter().filter_map(|key| self.drop_function(key)).collect();
            }
        }
        Vec::new()
    }

    /// Applies an event of the HTTPTriggers.
    pub fn trigger(&mut self, event: Event<impl Into<TriggerEntry>>) {
        match event {
            Event::Relist => self.triggers.begin(),
            Event::Apply(object) => {
                let TriggerEntry { version, key, route } = object.into();
                self.triggers.tell(key.as_str(), version);
                let same = match (self.routes.get(key.as_str()), &route) {
                    (Some(old), Some(new)) => same(old, new),
                    (None, None) => true,
                    _ => false,
                };
                if !same {
                    self.drop_route(key.as_str());
                    if let Some(route) = route {
                        self.add_route(Arc::from(route));
                    }
                }
            }
            Event::Delete(object) => {
                let TriggerEntry { version, key, .. } = object.into();
                self.triggers.tell(key.as_str(), version);
                self.drop_route(key.as_str());
            }
            Event::Listed => {
                for key in self.triggers.end(self.routes.values().map(|route| route.key.as_str())) {
                    self.drop_route(&key);
                }
            }
        }
    }

    fn put(&mut self, function: Function, labels: Labels, weight: u32) -> Option<FunctionChange> {
        let namespace = self.namespaces.entry(function.namespace().into()).or_default();
        let old = namespace.functions.get(function.name());
        let before = old.map(|old| (Arc::clone(&old.function), old.labels.clone()));
        if old.is_some_and(|old| *old.function == function && old.labels == labels && old.weight == weight) {
            return None;
        }
        // An unchanged Function keeps its one allocation, which readers compare by address.
        let function = match &before {
            Some((old, _)) if **old == function => Arc::clone(old),
            _ => Arc::new(function),
        };
        let candidate = Candidate { function: Arc::clone(&function), labels: labels.clone(), weight };
        namespace.functions.insert(function.name().into(), candidate);
        self.table.functions.insert(Arc::clone(&function));
        let old_labels = before.as_ref().map(|(_, labels)| Arc::clone(labels));
        self.reselect(function.namespace(), [old_labels.as_deref(), Some(&labels)]);
        Some(FunctionChange { before: before.map(|(function, _)| function), after: Some(function) })
    }

    fn drop_function(&mut self, key: &str) -> Option<FunctionChange> {
        let (name, space) = key.split_once('.')?;
        let namespace = self.namespaces.get_mut(space)?;
        let gone = namespace.functions.remove(name)?;
        if namespace.functions.is_empty() && namespace.selecting.is_empty() {
            self.namespaces.remove(space);
        }
        self.table.functions.remove(key);
        self.reselect(space, [Some(&gone.labels), None]);
        Some(FunctionChange { before: Some(gone.function), after: None })
    }

    fn add_route(&mut self, route: Arc<Route>) {
        self.table.insert(&route);
        if let Target::Selector(selector) = &route.target {
            let namespace = self.namespaces.entry(route.key.namespace().into()).or_default();
            namespace.selecting.insert(route.key.name().into());
            let choices = namespace.select(selector);
            self.table.selected.insert(Arc::new(Selected { trigger: route.key.clone(), choices }));
        }
        self.routes.insert(route);
    }

    fn drop_route(&mut self, key: &str) {
        let Some(route) = self.routes.remove(key) else { return };
        self.table.remove(&route);
        if let Target::Selector(_) = &route.target {
            self.table.selected.remove(key);
            if let Some(namespace) = self.namespaces.get_mut(route.key.namespace()) {
                namespace.selecting.remove(route.key.name());
                if namespace.functions.is_empty() && namespace.selecting.is_empty() {
                    self.namespaces.remove(route.key.namespace());
                }
            }
        }
    }

    /// Selects again for the triggers that select any of these labels: those of a function before and after a change.
    fn reselect(&mut self, space: &str, labels: [Option<&str>; 2]) {
        let Some(namespace) = self.namespaces.get(space) else { return };
        for name in &namespace.selecting {
            let key = format!("{space}/{name}");
            let Some(route) = self.routes.get(&key) else { continue };
            let Target::Selector(selector) = &route.target else { continue };
            if labels.iter().flatten().any(|labels| selected(selector, labels)) {
                let choices = namespace.select(selector);
                self.table.selected.insert(Arc::new(Selected { trigger: route.key.clone(), choices }));
            }
        }
    }
}

/// What became of one Function.
#[derive(Clone, Debug)]
pub struct FunctionChange {
    /// How it was; none: it is new.
    pub before: Option<Arc<Function>>,
    /// How it is; none: it is gone.
    pub after: Option<Arc<Function>>,
}

impl Namespace {
    fn select(&self, selector: &Selector) -> Box<[Choice]> {
        let candidates = self.functions.values().filter(|candidate| selected(selector, &candidate.labels));
        candidates
            .map(|candidate| Choice { function: Arc::clone(&candidate.function), weight: candidate.weight })
            .collect()
    }
}

/// Status writes change nothing of a route.
fn same(old: &Route, new: &Route) -> bool {
    // Taken apart, so that a field that comes later is not forgotten here. The parameters are the pattern's.
    let Route { key: _, created: _, host, ingress, methods, retries, pattern, params: _, target } = old;
    old.seniority(new).is_eq()
        && *host == new.host
        && *ingress == new.ingress
        && *methods == new.methods
        && *retries == new.retries
        && *pattern == new.pattern
        && *target == new.target
}

#[cfg(test)]
mod tests {
    use muon_crds::HTTPTrigger;
    use serde_json::{Value, json};

    use super::*;

    fn apply(book: &mut Book, spec: &Value) {
        let metadata = json!({"name": "t", "namespace": "demo", "creationTimestamp": "2026-01-01T00:00:00Z"});
        let trigger =
            json!({"apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": metadata, "spec": spec});
        book.trigger(Event::Apply(serde_json::from_value::<HTTPTrigger>(trigger).unwrap()));
    }

    #[test]
    fn whatever_a_trigger_says_now_is_in_force() {
        let mut spec = json!({"host": "a.example", "pathPrefix": "/", "function": {"name": "f"}});
        let mut book = Book::default();
        let shown = |book: &Book| format!("{:?}", book.routes.values().collect::<Vec<_>>());
        for (field, value) in [
            ("ingress", json!({})),
            ("host", json!("b.example")),
            ("pathPrefix", json!("/b/")),
            ("methods", json!(["GET", "PUT"])),
            ("retry", json!({})),
            ("retry", json!({"methods": ["PUT"]})),
            ("retry", Value::Null),
            ("function", json!({"name": "g"})),
            ("function", json!({"selector": {"matchLabels": {"app": "g"}}})),
        ] {
            apply(&mut book, &spec);
            let before = shown(&book);
            spec[field] = value;
            apply(&mut book, &spec);
            let mut fresh = Book::default();
            apply(&mut fresh, &spec);
            assert_eq!(shown(&book), shown(&fresh), "{field}");
            assert_ne!(shown(&book), before, "{field}");
        }
    }
}

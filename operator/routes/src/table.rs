//! The table that requests are routed by: a value that never changes.

use std::sync::Arc;

use muon_crds::words::GATEWAY_SERVICE;

use crate::function::Function;
use crate::host::{ClusterName, host_name};
use crate::map::{Keyed, Map};
use crate::route::{Key, Methods, Route, Target};
use crate::tree::{Host, Search};

/// Which of the proxy's ports a request of a route came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Listener {
    /// From an Ingress controller: triggers that ask for an Ingress. Exact host, then `*.` wildcard, then no host.
    Ingress,
    /// From inside the cluster: `muon-gateway.<namespace>` holds that namespace's triggers without a host; any
    /// other host the triggers that name it.
    Gateway,
}

/// A route that was found.
#[derive(Debug)]
pub struct Match<'t, 'p> {
    /// The route.
    pub route: &'t Arc<Route>,
    /// Values of its parameters, as the path spells them, in order.
    pub values: Vec<&'p str>,
}

/// What the table says of a request.
#[derive(Debug)]
pub enum Outcome<'t, 'p> {
    /// Go here.
    Found(Match<'t, 'p>),
    /// The path is known, the method is not: these are.
    MethodNotAllowed(Methods),
    /// No trigger has the path.
    NotFound,
    /// No trigger has the host.
    UnknownHost,
}

/// Why a route leads to no function now.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// No such Function.
    #[error("there is no such Function in the trigger's namespace")]
    Missing,
    /// There is one, but nothing of it can be served yet.
    #[error("the Function is not ready to be served yet: see its conditions")]
    NotServing,
    /// All weights are 0.
    #[error("all selected Functions have the weight 0")]
    NoWeight,
}

/// A Function that a selector selects, and its share.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) function: Arc<Function>,
    pub(crate) weight: u32,
}

/// The Functions that a trigger's selector selects.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    pub(crate) trigger: Key,
    pub(crate) choices: Box<[Choice]>,
}

impl Keyed for Selected {
    fn key(&self) -> &str {
        self.trigger.as_str()
    }
}

/// Hosts of one listener.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    exact: Map<Arc<Host>>,
    /// By what follows the star and its dot. A star is one label, as in an Ingress.
    wildcard: Map<Arc<Host>>,
}

/// Routes and functions at one moment. Cloning shares all.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub(crate) cluster: Arc<ClusterName>,
    ingress: Hosts,
    ingress_any: Option<Arc<Host>>,
    gateway: Hosts,
    /// Triggers without a host, by namespace.
    namespaces: Map<Arc<Host>>,
    /// By `name.namespace`.
    pub(crate) functions: Map<Arc<Function>>,
    /// Choices of the triggers with a selector, by `namespace/name`.
    pub(crate) selected: Map<Arc<Selected>>,
}

impl Hosts {
    fn edit(&mut self, host: &str, change: impl FnOnce(&mut Host)) {
        match host.strip_prefix("*.") {
            Some(suffix) => edit(&mut self.wildcard, suffix, change),
            None => edit(&mut self.exact, host, change),
        }
    }

    /// The nodes that may answer for a host, most specific first.
    fn of(&self, host: &str) -> [Option<&Host>; 2] {
        let wildcard = host.split_once('.').and_then(|(_, suffix)| self.wildcard.get(suffix));
        [self.exact.get(host).map(|node| &**node), wildcard.map(|node| &**node)]
    }
}

fn edit(map: &mut Map<Arc<Host>>, name: &str, change: impl FnOnce(&mut Host)) {
    let mut host = map.remove(name).unwrap_or_else(|| Arc::new(Host::new(name)));
    change(Arc::make_mut(&mut host));
    if !host.is_empty() {
        map.insert(host);
    }
}

impl Table {
    /// Empty, for a cluster of this name.
    pub fn new(cluster: ClusterName) -> Self {
        Self { cluster: Arc::new(cluster), ..Self::default() }
    }

    /// The route of a request: by its `Host` as sent, its method and its path (checked by [`crate::check_path`]).
    pub fn route<'t, 'p>(&'t self, listener: Listener, host: &str, method: &str, path: &'p str) -> Outcome<'t, 'p> {
        let host = host_name(host);
        let nodes = match listener {
            Listener::Ingress => {
                let [exact, wildcard] = self.ingress.of(&host);
                [exact, wildcard, self.ingress_any.as_deref()]
            }
            Listener::Gateway => match self.gateway_namespace(&host) {
                Some(namespace) => [self.namespaces.get(namespace).map(|node| &**node), None, None],
                None => {
                    let [exact, wildcard] = self.gateway.of(&host);
                    [exact, wildcard, None]
                }
            },
        };
        let mut search = Search::new(Methods::one(method));
        let mut known = false;
        // A host that has nothing for the path leaves it to the less specific ones.
        for node in nodes.into_iter().flatten() {
            known |= !node.is_empty();
            if let Some(route) = node.find(path, &mut search) {
                return Outcome::Found(Match { route, values: search.values });
            }
        }
        match search.allowed {
            Methods::NONE if known => Outcome::NotFound,
            Methods::NONE => Outcome::UnknownHost,
            allowed => Outcome::MethodNotAllowed(allowed),
        }
    }

    /// `demo`, of `muon-gateway.demo…`.
    fn gateway_namespace<'h>(&self, host: &'h str) -> Option<&'h str> {
        if !host.starts_with(GATEWAY_SERVICE) {
            return None;
        }
        self.cluster.parse(host).filter(|name| name.name == GATEWAY_SERVICE).map(|name| name.namespace)
    }

    /// The Function `name.namespace`.
    pub fn function(&self, key: &str) -> Option<&Arc<Function>> {
        self.functions.get(key)
    }

    /// The cluster's own names.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// The number of Functions.
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    /// All of them.
    pub fn each_function(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.values()
    }

    /// Chooses a function of the route; `random` decides among several, by their weights.
    pub fn choose(&self, route: &Route, random: u64) -> Result<&Arc<Function>, Unserved> {
        let function = match &route.target {
            Target::Name(key) => self.functions.get(key),
            Target::Selector(_) => return self.choose_selected(&route.key, random),
            Target::Nobody => None,
        };
        let function = function.ok_or(Unserved::Missing)?;
        function.serving.is_some().then_some(function).ok_or(Unserved::NotServing)
    }

    fn choose_selected(&self, key: &Key, random: u64) -> Result<&Arc<Function>, Unserved> {
        let choices = &self.selected.get(key.as_str()).ok_or(Unserved::Missing)?.choices;
        let serving = || choices.iter().filter(|choice| choice.function.serving.is_some());
        let total: u64 = serving().map(|choice| u64::from(choice.weight)).sum();
        if total == 0 {
            return Err(match (choices.is_empty(), serving().next()) {
                (true, _) => Unserved::Missing,
                (_, None) => Unserved::NotServing,
                _ => Unserved::NoWeight,
            });
        }
        let mut at = random % total;
        for choice in serving() {
            let weight = u64::from(choice.weight);
            if at < weight {
                return Ok(&choice.function);
            }
            at -= weight;
        }
        Err(Unserved::NoWeight)
    }

    pub(crate) fn insert(&mut self, route: &Arc<Route>) {
        self.edit(route, |node| node.insert(route));
    }

    pub(crate) fn remove(&mut self, route: &Route) {
        self.edit(route, |node| node.remove(route));
    }

    /// Changes the node of every scope that the route is in; [`crate::conflict::scopes`] names the same ones.
    fn edit(&mut self, route: &Route, change: impl Fn(&mut Host)) {
        match &route.host {
            Some(host) => self.gateway.edit(host, &change),
            None => edit(&mut self.namespaces, route.key.namespace(), &change),
        }
        match &route.host {
            Some(host) if route.ingress => self.ingress.edit(host, &change),
            None if route.ingress => {
                change(Arc::make_mut(self.ingress_any.get_or_insert_with(|| Arc::new(Host::new("")))));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;

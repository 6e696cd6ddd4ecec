//! The routes of one host.
//!
//! Few of them lie in a list, the most specific first, and are tried one by one. Many are a tree of path segments that
//! shares what did not change with its version before: at each segment the static child is tried first, then
//! the parameter, then the prefix that ends there, and a branch that has nothing for the request's method is left
//! again. Both ways the most specific path *for that method* wins, and among equal paths the oldest trigger.

use std::sync::Arc;

use crate::map::{Keyed, Map};
use crate::route::{Methods, Route};

/// Routes in a list, at most. The build that hack/bench must catch has no tree.
const FEW: usize = if cfg!(feature = "weakened") { usize::MAX } else { 16 };

/// The routes of one host of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    name: Box<str>,
    routes: Routes,
}

#[derive(Clone, Debug)]
enum Routes {
    Few(Vec<Arc<Route>>),
    Many(Node),
}

/// One node of the tree: what follows, and the routes that end here.
#[derive(Clone, Debug, Default)]
struct Node {
    /// The segment that leads here; nothing for a parameter.
    segment: Box<str>,
    statics: Map<Arc<Node>>,
    param: Option<Arc<Node>>,
    /// Oldest first, as in `prefix`: the first one with the method answers.
    exact: Box<[Arc<Route>]>,
    prefix: Box<[Arc<Route>]>,
    /// Routes here and below.
    len: usize,
}

/// What a search gathers on its way.
pub(crate) struct Search<'p> {
    method: Methods,
    /// Values of the parameters on the branch that is being tried.
    pub(crate) values: Vec<&'p str>,
    /// Methods of routes that match the path alone.
    pub(crate) allowed: Methods,
}

impl<'p> Search<'p> {
    pub(crate) fn new(method: Methods) -> Self {
        Self { method, values: Vec::new(), allowed: Methods::NONE }
    }

    /// The oldest of `routes` that has the method.
    fn pick<'t>(&mut self, routes: &'t [Arc<Route>]) -> Option<&'t Arc<Route>> {
        let found = routes.iter().find(|route| route.methods.meets(self.method));
        if found.is_none() {
            self.allowed = routes.iter().fold(self.allowed, |all, route| all.with(route.methods));
        }
        found
    }
}

impl Keyed for Host {
    fn key(&self) -> &str {
        &self.name
    }
}

impl Keyed for Node {
    fn key(&self) -> &str {
        &self.segment
    }
}

impl Host {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), routes: Routes::Few(Vec::new()) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match &self.routes {
            Routes::Few(routes) => routes.is_empty(),
            Routes::Many(root) => root.len == 0,
        }
    }

    /// Finds the route for `path`, which begins with `/`.
    pub(crate) fn find<'t, 'p>(&'t self, path: &'p str, search: &mut Search<'p>) -> Option<&'t Arc<Route>> {
        match &self.routes {
            Routes::Few(routes) => routes.iter().find(|route| {
                search.values.clear();
                route.pattern.matches(path, &mut search.values) && {
                    let meets = route.methods.meets(search.method);
                    if !meets {
                        search.allowed = search.allowed.with(route.methods);
                    }
                    meets
                }
            }),
            Routes::Many(root) => {
                search.values.clear();
                root.find(path.strip_prefix('/'), search)
            }
        }
    }

    pub(crate) fn insert(&mut self, route: &Arc<Route>) {
        match &mut self.routes {
            Routes::Few(routes) if routes.len() < FEW => {
                let before = |other: &Arc<Route>| {
                    other.pattern.rank().cmp(route.pattern.rank()).then_with(|| other.seniority(route)).is_lt()
                };
                let at = routes.partition_point(before);
                routes.insert(at, Arc::clone(route));
            }
            Routes::Few(routes) => {
                let mut root = Node::default();
                for route in routes.iter().chain([route]) {
                    root.insert(route.pattern.segments(), route);
                }
                self.routes = Routes::Many(root);
            }
            Routes::Many(root) => root.insert(route.pattern.segments(), route),
        }
    }

    pub(crate) fn remove(&mut self, route: &Route) {
        match &mut self.routes {
            Routes::Few(routes) => routes.retain(|other| other.key != route.key),
            Routes::Many(root) => root.remove(route.pattern.segments(), route),
        }
    }
}

impl Node {
    /// `rest`: what follows the slash after this node's segment; none when the path ends with the segment.
    fn find<'t, 'p>(&'t self, rest: Option<&'p str>, search: &mut Search<'p>) -> Option<&'t Arc<Route>> {
        let Some(rest) = rest else { return search.pick(&self.exact) };
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        if let Some(found) = self.statics.get(segment).and_then(|child| child.find(after, search)) {
            return Some(found);
        }
        if let Some(param) = self.param.as_deref().filter(|_| !segment.is_empty()) {
            search.values.push(segment);
            if let Some(found) = param.find(after, search) {
                return Some(found);
            }
            search.values.pop();
        }
        search.pick(&self.prefix)
    }

    fn insert<'r>(&mut self, mut segments: impl Iterator<Item = &'r str>, route: &Arc<Route>) {
        self.len += 1;
        match segments.next() {
            None => {
                let routes = if route.pattern.is_prefix() { &mut self.prefix } else { &mut self.exact };
                let mut list = routes.to_vec();
                let at = list.partition_point(|other| other.seniority(route).is_lt());
                list.insert(at, Arc::clone(route));
                *routes = list.into();
            }
            Some("{}") => Arc::make_mut(self.param.get_or_insert_default()).insert(segments, route),
            Some(segment) => {
                let new = || Arc::new(Self { segment: segment.into(), ..Self::default() });
                let mut child = self.statics.get(segment).cloned().unwrap_or_else(new);
                Arc::make_mut(&mut child).insert(segments, route);
                self.statics.insert(child);
            }
        }
    }

    fn remove<'r>(&mut self, mut segments: impl Iterator<Item = &'r str>, route: &Route) {
        self.len -= 1;
        match segments.next() {
            None => {
                let routes = if route.pattern.is_prefix() { &mut self.prefix } else { &mut self.exact };
                *routes = routes.iter().filter(|other| other.key != route.key).cloned().collect();
            }
            Some("{}") => {
                if let Some(param) = &mut self.param {
                    Arc::make_mut(param).remove(segments, route);
                    if param.len == 0 {
                        self.param = None;
                    }
                }
            }
            Some(segment) => {
                let Some(mut child) = self.statics.remove(segment) else { return };
                Arc::make_mut(&mut child).remove(segments, route);
                if child.len > 0 {
                    self.statics.insert(child);
                }
            }
        }
    }
}

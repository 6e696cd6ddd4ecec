//! The routes of one host, as a tree of path segments that shares what did not change with its version before.
//!
//! At each segment the static child is tried first, then the parameter, then the prefix that ends there; a branch that
//! has nothing for the request's method is left again. So the most specific path for *that method* wins.

use std::sync::Arc;

use crate::map::Map;
use crate::pattern::Segment;
use crate::route::{Methods, Route};

/// One node: what follows, and the routes that end here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    statics: Map<Arc<Node>>,
    param: Option<Arc<Node>>,
    /// Oldest first, as in `prefix`: the first one with the method answers.
    exact: Box<[Arc<Route>]>,
    prefix: Box<[Arc<Route>]>,
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

impl Node {
    pub(crate) fn is_empty(&self) -> bool {
        self.statics.is_empty() && self.param.is_none() && self.exact.is_empty() && self.prefix.is_empty()
    }

    /// Finds the route for `path`, which begins with `/`.
    pub(crate) fn find<'t, 'p>(&'t self, path: &'p str, search: &mut Search<'p>) -> Option<&'t Arc<Route>> {
        self.below(path.strip_prefix('/'), search)
    }

    /// `rest`: what follows the slash after this node's segment; none when the path ends with the segment.
    fn below<'t, 'p>(&'t self, rest: Option<&'p str>, search: &mut Search<'p>) -> Option<&'t Arc<Route>> {
        let Some(rest) = rest else { return search.pick(&self.exact) };
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        if let Some(found) = self.statics.get(segment).and_then(|child| child.below(after, search)) {
            return Some(found);
        }
        if let Some(param) = self.param.as_deref().filter(|_| !segment.is_empty()) {
            search.values.push(segment);
            if let Some(found) = param.below(after, search) {
                return Some(found);
            }
            search.values.pop();
        }
        search.pick(&self.prefix)
    }

    pub(crate) fn insert(&mut self, segments: &[Segment], route: &Arc<Route>) {
        match segments {
            [] => {
                let routes = if route.pattern.prefix { &mut self.prefix } else { &mut self.exact };
                let mut list = routes.to_vec();
                let at = list.partition_point(|other| other.seniority(route).is_lt());
                list.insert(at, Arc::clone(route));
                *routes = list.into();
            }
            [Segment::Param(_), rest @ ..] => {
                Arc::make_mut(self.param.get_or_insert_default()).insert(rest, route);
            }
            [Segment::Static(segment), rest @ ..] => {
                let mut child = self.statics.get(segment).cloned().unwrap_or_default();
                Arc::make_mut(&mut child).insert(rest, route);
                self.statics.insert(segment, child);
            }
        }
    }

    pub(crate) fn remove(&mut self, segments: &[Segment], route: &Route) {
        match segments {
            [] => {
                let routes = if route.pattern.prefix { &mut self.prefix } else { &mut self.exact };
                *routes = routes.iter().filter(|other| other.key != route.key).cloned().collect();
            }
            [Segment::Param(_), rest @ ..] => {
                if let Some(param) = &mut self.param {
                    Arc::make_mut(param).remove(rest, route);
                    if param.is_empty() {
                        self.param = None;
                    }
                }
            }
            [Segment::Static(segment), rest @ ..] => {
                let Some(mut child) = self.statics.get(segment).cloned() else { return };
                Arc::make_mut(&mut child).remove(rest, route);
                if child.is_empty() {
                    self.statics.remove(segment);
                } else {
                    self.statics.insert(segment, child);
                }
            }
        }
    }
}

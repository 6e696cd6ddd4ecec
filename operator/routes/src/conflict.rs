//! Which trigger wins where two ask for the same, told for status in the words of the tables.

use std::collections::{BTreeMap, HashMap};

use muon_crds::HTTPTrigger;

use crate::pattern::BadPattern;
use crate::route::{Key, Methods, Route};

/// Why a trigger, or part of it, is not served.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// An older trigger has the same host, path and method.
    #[error("{methods} {path} is served by the older HTTPTrigger {with}: change one of the two")]
    Conflict {
        /// The trigger that wins.
        with: Key,
        /// The path, with `{}` for parameters and `{*}` for all below.
        path: String,
        /// The methods that it keeps from this one; `every method` when it is all of them.
        methods: String,
    },
    /// The path cannot be a route.
    #[error("the path cannot be a route: {0}")]
    BadPattern(BadPattern),
}

/// Where a route is looked up: two triggers in one scope with one path and a common method are in conflict.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    IngressHost(Box<str>),
    IngressAny,
    GatewayHost(Box<str>),
    GatewayNamespace(Box<str>),
}

pub(crate) fn scopes(route: &Route) -> Vec<Scope> {
    let (gateway, ingress) = match &route.host {
        Some(host) => (Scope::GatewayHost(host.clone()), Scope::IngressHost(host.clone())),
        None => (Scope::GatewayNamespace(route.key.namespace().into()), Scope::IngressAny),
    };
    std::iter::once(gateway).chain(route.ingress.then_some(ingress)).collect()
}

/// What keeps each trigger from being served, wholly or in part. Triggers that are served as asked are not named.
/// The older trigger wins, then the one that comes first by namespace and name; nobody loses to one that loses to it.
pub fn findings<'a>(triggers: impl IntoIterator<Item = &'a HTTPTrigger>) -> BTreeMap<Key, Finding> {
    let mut found = BTreeMap::new();
    let mut slots: HashMap<(Scope, String), Vec<usize>> = HashMap::new();
    let mut routes = Vec::new();
    for trigger in triggers {
        match Route::of(trigger) {
            Ok(route) => routes.push(route),
            Err(bad) => {
                found.insert(Key::of(trigger), Finding::BadPattern(bad));
            }
        }
    }
    routes.sort_by(Route::seniority);
    for (at, route) in routes.iter().enumerate() {
        let path = route.pattern.normalised().to_owned();
        for scope in scopes(route) {
            let slot = slots.entry((scope, path.clone())).or_default();
            let mut open = route.methods;
            for older in slot.iter().filter_map(|older| routes.get(*older)) {
                let taken = open.common(older.methods);
                if taken != Methods::NONE && !found.contains_key(&route.key) {
                    let methods = match taken {
                        Methods::ALL => "every method".to_owned(),
                        some => some.to_string(),
                    };
                    let finding = Finding::Conflict { with: older.key.clone(), path: path.clone(), methods };
                    found.insert(route.key.clone(), finding);
                }
                open = open.without(taken);
            }
            slot.push(at);
        }
    }
    found
}

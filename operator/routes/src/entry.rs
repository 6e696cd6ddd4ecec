//! Objects as far as the tables go. A watch makes them of each object at once, so that a list of ten thousand is never
//! held whole while it waits to be applied in one step.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt as _;
use muon_crds::HTTPTrigger;

use crate::event::resource_version;
use crate::function::Function;
use crate::route::{Key, Route};
use crate::weight::weight;

/// `key=value`, a line each: there are many functions, and their labels are looked at when something changes only.
pub(crate) type Labels = Arc<str>;

/// A Function, for the tables.
#[derive(Clone, Debug)]
pub struct FunctionEntry {
    pub(crate) version: u64,
    pub(crate) function: Function,
    pub(crate) labels: Labels,
    pub(crate) weight: u32,
}

/// An HTTPTrigger, for the tables.
#[derive(Clone, Debug)]
pub struct TriggerEntry {
    pub(crate) version: u64,
    pub(crate) key: Key,
    /// None when its path cannot be a route.
    pub(crate) route: Option<Box<Route>>,
}

impl From<muon_crds::Function> for FunctionEntry {
    fn from(object: muon_crds::Function) -> Self {
        Self {
            version: resource_version(object.metadata.resource_version.as_deref()),
            function: Function::of(&object),
            labels: labels(object.labels()),
            weight: weight(Some(object.annotations())).unwrap_or(0),
        }
    }
}

impl From<HTTPTrigger> for TriggerEntry {
    fn from(object: HTTPTrigger) -> Self {
        Self {
            version: resource_version(object.metadata.resource_version.as_deref()),
            key: Key::of(&object),
            route: Route::of(&object).ok().map(Box::new),
        }
    }
}

fn labels(of: &BTreeMap<String, String>) -> Labels {
    let lines: Vec<String> = of.iter().map(|(key, value)| format!("{key}={value}")).collect();
    lines.join("\n").into()
}

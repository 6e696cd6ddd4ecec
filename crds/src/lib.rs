//! Muon's words: the four custom resources, the labels, ports and derived names that every part shares, and
//! the messages that its parts send to each other.
//!
//! ```text
//!   Environment ◄── Package ◄── Function ◄── HTTPTrigger
//!   (a pool of      (code, by    (code + how   (a route, by name
//!    runtimes)       digest)      to run it)    or by labels)
//! ```
//!
//! Nothing here does IO. The YAML under `crds/generated/` is made from these types and a test compares it
//! (`BLESS=1 cargo test -p muon-crds` rewrites it).
// Several printer columns are several attributes of one name, which the lint takes for a slip.
#![allow(clippy::duplicated_attributes)]

pub mod condition;
pub mod environment;
pub mod function;
pub mod http_trigger;
pub mod names;
pub mod package;
pub mod pods;
pub mod scaling;
pub mod values;
pub mod wire;
pub mod words;

pub use condition::{Condition, ConditionType};
pub use environment::{Environment, EnvironmentSpec, EnvironmentStatus};
pub use function::{Function, FunctionSpec, FunctionStatus, Mode, Serving};
pub use http_trigger::{HTTPTrigger, HTTPTriggerSpec, HTTPTriggerStatus};
pub use package::{Package, PackageSpec, PackageStatus, Source};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt as _;
use serde_json::json;

/// The four CustomResourceDefinitions, in the order in which they are installed.
pub fn all() -> [CustomResourceDefinition; 4] {
    [Environment::crd(), Package::crd(), Function::crd(), HTTPTrigger::crd()].map(unseen_until_observed)
}

/// A new object begins with the status that no generation of it was observed: whoever waits for it by the rules of
/// kstatus (Flux, `kubectl wait`, Argo CD) would take one without a status for done.
fn unseen_until_observed(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let properties = schema.and_then(|schema| schema.properties.as_mut());
        if let Some(status) = properties.and_then(|properties| properties.get_mut("status")) {
            status.default = Some(JSON(json!({"observedGeneration": -1})));
        }
    }
    crd
}

//! HTTPTrigger: a route, and the Ingress that leads to it.

mod build;
mod report;
mod validate;

use k8s_openapi::api::networking::v1::Ingress;
use muon_crds::http_trigger::Share;
use muon_crds::{ConditionType, Function, HTTPTrigger, condition};
use serde::{Deserialize, Serialize};

use crate::finding::Invalid;
use crate::meta::Owner;

pub use build::build;
pub use report::report;
pub use validate::validate;

/// An HTTPTrigger and what there is of it.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// The object.
    pub object: HTTPTrigger,
    /// The functions that it names or selects, of those that exist.
    #[serde(default)]
    pub functions: Vec<Selected>,
    /// The older trigger, `namespace/name`, that has its route.
    #[serde(default)]
    pub winner: Option<String>,
    /// Why the proxies cannot read its route, if they cannot.
    #[serde(default)]
    pub unreadable: Option<String>,
    /// The cluster's default IngressClass.
    #[serde(default)]
    pub default_class: Option<String>,
    /// Where the Ingress controller published its Ingress: an address or host name.
    #[serde(default)]
    pub address: Option<String>,
    /// The lowest `seen.triggers` of all ready proxies; none while no proxy is ready.
    #[serde(default)]
    pub watermark: Option<u64>,
}

/// A function of a route.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Selected {
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: u32,
    /// What is wrong with its weight annotation; the weight is then 0.
    pub bad_weight: Option<String>,
    /// Condition `Ready` of the Function is `True`.
    pub ready: bool,
    /// It has `status.serving`.
    pub serving: bool,
    /// What its `Ready` condition says.
    pub message: Option<String>,
}

impl Selected {
    /// A function that the trigger names: it takes all requests whatever its weight annotation says.
    pub fn by_name(function: &Function) -> Self {
        Self::new(function, 100, None)
    }

    /// A function that the trigger's selector selects, with what its annotation says.
    pub fn by_labels(function: &Function, weight: Result<u32, String>) -> Self {
        match weight {
            Ok(weight) => Self::new(function, weight, None),
            Err(message) => Self::new(function, 0, Some(message)),
        }
    }

    fn new(function: &Function, weight: u32, bad_weight: Option<String>) -> Self {
        let status = function.status.as_ref();
        let ready = status.and_then(|status| condition::find(&status.conditions, ConditionType::Ready));
        Self {
            name: function.metadata.name.clone().unwrap_or_default(),
            weight,
            bad_weight,
            ready: ready.is_some_and(|condition| condition.status == "True"),
            serving: status.is_some_and(|status| status.serving.is_some()),
            message: ready.map(|condition| condition.message.clone()),
        }
    }
}

/// An HTTPTrigger as far as it can be built.
#[derive(Clone, Debug)]
pub struct Valid {
    /// Owner and namespace of all that is built.
    pub owner: Owner,
    /// The Ingress that is to be there, when one is asked for and its class is known.
    pub ingress: Option<IngressPlan>,
    /// The functions with their shares.
    pub shares: Vec<Share>,
    /// What keeps requests from being served, most important first.
    pub findings: Vec<Invalid>,
}

/// An Ingress, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressPlan {
    /// Its class.
    pub class: String,
    /// Its path.
    pub path: String,
    /// `Exact` or `Prefix`.
    pub path_type: &'static str,
    /// The trigger's part of the spec.
    pub host: Option<String>,
    /// The user's annotations.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// TLS: present when asked for, with the Secret when one is named.
    pub tls: Option<Option<String>>,
}

/// All that an HTTPTrigger asks for, beside its namespace's gateway.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// The Ingress. Applied after the gateway's EndpointSlice. None: one of ours that is there goes.
    pub ingress: Option<Ingress>,
}

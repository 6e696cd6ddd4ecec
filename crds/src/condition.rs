//! Conditions: the types every kind sets, and one place that merges them.
//!
//! All kinds follow the Kubernetes API conventions and kstatus: `Ready` sums up, `Reconciling` is present and
//! true while work goes on, `Stalled` is present and true when nothing will change until the user acts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A status condition with the fields of the Kubernetes API conventions.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is said, e.g. `Ready`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(schema_with = "status_schema")]
    pub status: String,
    /// One CamelCase word for machines.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// A sentence for people: what is, and what to do.
    #[schemars(length(max = 32768))]
    pub message: String,
    /// The generation of the spec that this was said of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the status last changed, RFC 3339.
    #[schemars(schema_with = "time_schema")]
    pub last_transition_time: String,
}

fn status_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "enum": ["True", "False", "Unknown"], "description": "`True`, `False` or `Unknown`."})
}

fn time_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "format": "date-time", "description": "When the status last changed, RFC 3339."})
}

/// Condition types in use. `Ready` sums up the kind's own ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// Served: what the object asks for is what a request meets now.
    Ready,
    /// Work is under way (kstatus).
    Reconciling,
    /// Nothing will change until the user acts (kstatus).
    Stalled,
    /// Environment: the pool's Deployment has its free pods.
    PoolReady,
    /// Package: the source's archive lies in the store.
    Stored,
    /// Package with `build`: what was built of the source lies in the store.
    Built,
    /// Function: Environment and Package exist and are ready.
    Resolved,
    /// Function: the current revision could be loaded by the runtime.
    Loaded,
    /// HTTPTrigger: the route is in the proxies' tables, no older trigger has it.
    Accepted,
    /// HTTPTrigger: the Ingress is as asked.
    IngressReady,
}

impl ConditionType {
    /// The condition's `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::PoolReady => "PoolReady",
            Self::Stored => "Stored",
            Self::Built => "Built",
            Self::Resolved => "Resolved",
            Self::Loaded => "Loaded",
            Self::Accepted => "Accepted",
            Self::IngressReady => "IngressReady",
        }
    }
}

/// Finds a condition by its type.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

/// Whether the condition is there and `True`.
pub fn is_true(conditions: &[Condition], type_: ConditionType) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

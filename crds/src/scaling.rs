//! Windows of time in which more pods are kept, and what is said of the pods that are kept.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A window of time, ahead of a known peak, in which pods are kept loaded though nobody calls.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.end) != has(self.duration)").message("schedule: set exactly one of end and duration"))]
pub struct Window {
    /// When it opens: minute, hour, day of the month, month, day of the week, as in cron: `30 7 * * MON-FRI`.
    #[schemars(length(min = 9, max = 100))]
    pub start: String,
    /// When it closes, as `start`: the first such time after the opening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 100))]
    pub end: Option<String>,
    /// How long it stays open, in hours and minutes that pass: `90m`, `2h30m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 10), regex(pattern = r"^([0-9]{1,4}h)?([0-9]{1,4}m)?$"))]
    pub duration: Option<String>,
    /// The time zone of `start` and `end`, by its name in the IANA database: `Europe/Berlin`.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// Pods kept loaded while it is open, where `scaling.min` is lower.
    #[schemars(range(min = 1, max = 1000))]
    pub min: i32,
}

fn default_time_zone() -> String {
    "UTC".to_owned()
}

/// How many pods are kept though nobody calls, and why a function has as many as it has.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// Pods kept though nobody calls.
    pub kept: i32,
    /// OnDemand, Minimum, Scheduled, Held or Autoscaled.
    pub reason: String,
    /// When `scaling.schedule` may make it another number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub until: Option<String>,
    /// The same for people: what keeps them, until when, and what the others are for.
    pub message: String,
}

//! One look at an object, told to whoever makes spans of it.

use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

use crate::metrics::Metrics;

/// A visit that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Kind of the object.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it began.
    pub started: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// `ok`, or the kind of trouble.
    pub outcome: &'static str,
}

/// Tells of a visit where somebody listens. What does not fit is dropped and counted.
pub(crate) fn tell(to: Option<&mpsc::Sender<Visit>>, metrics: &Metrics, visit: impl FnOnce() -> Visit) {
    if let Some(to) = to
        && to.try_send(visit()).is_err()
    {
        metrics.trace_lost();
    }
}

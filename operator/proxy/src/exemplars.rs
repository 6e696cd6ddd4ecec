//! Examples beside a histogram: for each of its buckets the last request of it that belongs to a trace somebody keeps.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// One request in a bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The histogram.
    pub metric: &'static str,
    /// Value of its only label.
    pub start: &'static str,
    /// The bucket's upper bound; infinite for the last.
    pub bound: f64,
    /// What was observed.
    pub value: f64,
    /// Id of the request's trace.
    pub trace_id: String,
    /// When.
    pub at: SystemTime,
}

/// One of each bucket: so many are kept as there are buckets and starts.
#[derive(Debug)]
pub(crate) struct Exemplars {
    bounds: Vec<f64>,
    kept: Mutex<BTreeMap<(&'static str, usize), Exemplar>>,
}

impl Exemplars {
    pub(crate) fn new(bounds: Vec<f64>) -> Self {
        Self { bounds, kept: Mutex::default() }
    }

    pub(crate) fn keep(&self, start: &'static str, value: f64, trace: &str) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        let bound = self.bounds.get(at).copied().unwrap_or(f64::INFINITY);
        let metric = crate::metrics::REQUEST_SECONDS;
        let exemplar = Exemplar { metric, start, bound, value, trace_id: trace.to_owned(), at: SystemTime::now() };
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert((start, at), exemplar);
    }

    pub(crate) fn all(&self) -> Vec<Exemplar> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_bucket_is_kept() {
        let exemplars = Exemplars::new(vec![1.0, 2.0]);
        for (start, value, trace) in
            [("warm", 1.0, "a"), ("warm", 0.5, "b"), ("cold", 1.5, "c"), ("warm", 1.5, "d"), ("warm", 9.0, "e")]
        {
            exemplars.keep(start, value, trace);
        }
        let all = exemplars.all();
        let told: Vec<_> = all.iter().map(|one| (one.start, one.bound, one.trace_id.as_str())).collect();
        assert_eq!(told, [("cold", 2.0, "c"), ("warm", 1.0, "b"), ("warm", 2.0, "d"), ("warm", f64::INFINITY, "e")]);
    }
}

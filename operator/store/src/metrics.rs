//! What the store counts.

use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The store's metrics. Labels are of fixed small sets.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// Calls, by method and status.
    pub(crate) requests: IntCounterVec,
    /// Time until the answer's head, by method.
    pub(crate) seconds: HistogramVec,
    /// Bytes in and out.
    pub(crate) bytes: IntCounterVec,
    /// Reads of small blobs, by whether they were in memory.
    pub(crate) cache: IntCounterVec,
    /// Bytes in memory.
    pub(crate) cached: IntGauge,
    /// Blobs found damaged.
    pub(crate) corrupt: IntCounter,
    /// Blobs that are held.
    pub(crate) blobs: IntGauge,
    /// Their bytes.
    pub(crate) stored: IntGauge,
    /// Blobs that the last sweep found out of use and left.
    pub(crate) unused: IntGauge,
    /// Blobs that sweeps deleted.
    pub(crate) swept: IntCounter,
    /// Their bytes.
    pub(crate) swept_bytes: IntCounter,
    /// Uploads refused, since a namespace had no room.
    pub(crate) over_quota: IntCounter,
    /// Builds whose results are remembered, as the last sweep left them.
    pub(crate) builds: IntGauge,
    /// Builds that were forgotten, since their results are gone.
    pub(crate) forgotten: IntCounter,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let buckets = vec![0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
        let seconds = HistogramOpts::new("muon_store_request_seconds", "Time until the head of the answer.");
        let requests = Opts::new("muon_store_requests_total", "Calls by method and status.");
        let bytes = Opts::new("muon_store_bytes_total", "Bytes of blobs, in and out.");
        let cache = Opts::new("muon_store_cache_total", "Reads of small blobs, by whether they were in memory.");
        Ok(Self {
            requests: IntCounterVec::new(requests, &["method", "status"])?,
            seconds: HistogramVec::new(seconds.buckets(buckets), &["method"])?,
            bytes: IntCounterVec::new(bytes, &["direction"])?,
            cache: IntCounterVec::new(cache, &["result"])?,
            cached: IntGauge::new("muon_store_cache_bytes", "Bytes of blobs in memory.")?,
            corrupt: IntCounter::new("muon_store_corrupt_total", "Blobs found damaged and set aside.")?,
            blobs: IntGauge::new("muon_store_blobs", "Blobs held.")?,
            stored: IntGauge::new("muon_store_stored_bytes", "Bytes of blobs held.")?,
            unused: IntGauge::new("muon_store_unused_blobs", "Blobs out of use that the last sweep left.")?,
            swept: IntCounter::new("muon_store_swept_total", "Blobs deleted because they were out of use.")?,
            swept_bytes: IntCounter::new("muon_store_swept_bytes_total", "Bytes of blobs deleted as out of use.")?,
            over_quota: IntCounter::new("muon_store_over_quota_total", "Uploads that a namespace had no room for.")?,
            builds: IntGauge::new("muon_store_builds", "Builds whose results are remembered, at the last sweep.")?,
            forgotten: IntCounter::new("muon_store_forgotten_total", "Builds forgotten with their results.")?,
        })
    }

    /// Makes them part of what a process exposes.
    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        self.collectors().into_iter().try_for_each(|metric| registry.register(metric))
    }

    /// All of them.
    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let mut all: Vec<Box<dyn Collector>> = vec![
            Box::new(self.requests.clone()),
            Box::new(self.seconds.clone()),
            Box::new(self.bytes.clone()),
            Box::new(self.cache.clone()),
        ];
        for gauge in [&self.cached, &self.blobs, &self.stored, &self.unused, &self.builds] {
            all.push(Box::new(gauge.clone()));
        }
        for counter in [&self.corrupt, &self.swept, &self.swept_bytes, &self.over_quota, &self.forgotten] {
            all.push(Box::new(counter.clone()));
        }
        all
    }
}

/// Everything that a store counts, whether or not it has.
pub fn catalogue() -> Result<Vec<Box<dyn Collector>>, prometheus::Error> {
    Ok(Metrics::new()?.collectors())
}

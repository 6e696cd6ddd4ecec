//! What the operator counts. Labels are kinds, outcomes and Environments: their number is bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};

/// Environments that get gauges of their own; those beyond it are left out (and counted).
const MAX_POOLS: usize = 200;

/// The operator's metrics. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    reconciles: IntCounterVec,
    duration: HistogramVec,
    writes: IntCounterVec,
    pool_pods: IntGaugeVec,
    pools_unshown: IntGauge,
    idle_deletions: IntCounterVec,
    gateways: IntGauge,
    activity_errors: IntCounter,
    proxies: IntGauge,
    malformed: IntCounterVec,
    lost: IntCounterVec,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let buckets = vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
        Ok(Self {
            reconciles: register(
                registry,
                IntCounterVec::new(
                    Opts::new("muon_operator_reconciles_total", "Reconciles by kind and outcome."),
                    &["kind", "outcome"],
                )?,
            )?,
            duration: register(
                registry,
                HistogramVec::new(
                    HistogramOpts::new("muon_operator_reconcile_seconds", "How long a reconcile takes, by kind.")
                        .buckets(buckets),
                    &["kind"],
                )?,
            )?,
            writes: register(
                registry,
                IntCounterVec::new(
                    Opts::new("muon_operator_writes_total", "Writes to the API server by kind of the object written."),
                    &["kind"],
                )?,
            )?,
            pool_pods: register(
                registry,
                IntGaugeVec::new(
                    Opts::new("muon_operator_pool_pods", "Pods of an Environment by state."),
                    &["namespace", "environment", "state"],
                )?,
            )?,
            pools_unshown: register(
                registry,
                IntGauge::new(
                    "muon_operator_pools_unshown",
                    "Environments beyond the bound of muon_operator_pool_pods.",
                )?,
            )?,
            idle_deletions: register(
                registry,
                IntCounterVec::new(
                    Opts::new("muon_operator_pods_deleted_total", "Pods deleted after draining, by cause."),
                    &["cause"],
                )?,
            )?,
            gateways: register(
                registry,
                IntGauge::new("muon_operator_gateway_namespaces", "Namespaces that have gateway Services of ours.")?,
            )?,
            activity_errors: register(
                registry,
                IntCounter::new("muon_operator_activity_errors_total", "Polls of proxies that got no usable answer.")?,
            )?,
            proxies: register(
                registry,
                IntGauge::new("muon_operator_proxies", "Ready proxies known to the operator.")?,
            )?,
            malformed: register(
                registry,
                IntCounterVec::new(
                    Opts::new("muon_operator_malformed_total", "Objects that a watch delivered and nobody could read."),
                    &["kind"],
                )?,
            )?,
            lost: register(
                registry,
                IntCounterVec::new(
                    Opts::new("muon_operator_archives_lost_total", "Archives in use that the store lost, by how."),
                    &["how"],
                )?,
            )?,
        })
    }

    /// One reconcile ended.
    pub fn reconciled(&self, kind: &str, outcome: &str, took: Duration) {
        self.reconciles.with_label_values(&[kind, outcome]).inc();
        self.duration.with_label_values(&[kind]).observe(took.as_secs_f64());
    }

    /// One object was written.
    pub fn wrote(&self, kind: &str) {
        self.writes.with_label_values(&[kind]).inc();
    }

    /// Pods of all Environments: (namespace, environment) → (free, claimed). Replaces what was shown.
    pub fn pools(&self, pools: &BTreeMap<(String, String), (i64, i64)>) {
        self.pool_pods.reset();
        for ((namespace, environment), (free, claimed)) in pools.iter().take(MAX_POOLS) {
            self.pool_pods.with_label_values(&[namespace.as_str(), environment, "free"]).set(*free);
            self.pool_pods.with_label_values(&[namespace.as_str(), environment, "claimed"]).set(*claimed);
        }
        self.pools_unshown.set(i64::try_from(pools.len().saturating_sub(MAX_POOLS)).unwrap_or(i64::MAX));
    }

    /// A pod was deleted after draining: `idle`, `revision`.
    pub fn deleted(&self, cause: &str) {
        self.idle_deletions.with_label_values(&[cause]).inc();
    }

    /// Namespaces with gateways.
    pub fn gateways(&self, count: usize) {
        self.gateways.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A proxy's activity could not be read.
    pub fn activity_failed(&self) {
        self.activity_errors.inc();
    }

    /// Ready proxies.
    pub fn proxies(&self, count: usize) {
        self.proxies.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A watch delivered an object that is not of its kind's form.
    pub fn malformed(&self, kind: &str) {
        self.malformed.with_label_values(&[kind]).inc();
    }

    /// Whether there ever was such an object of this kind.
    pub fn has_malformed(&self, kind: &str) -> bool {
        self.malformed.with_label_values(&[kind]).get() > 0
    }

    /// The store lost an archive that is in use: `missing` or `damaged`.
    pub fn lost(&self, how: &str) {
        self.lost.with_label_values(&[how]).inc();
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

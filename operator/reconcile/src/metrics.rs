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
    leading: IntGauge,
    unseen: IntGauge,
    builds: IntCounterVec,
    traces_lost: IntCounter,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        Self::made(&mut |metric| registry.register(metric))
    }

    /// Everything that an operator counts, whether or not it has.
    pub fn catalogue() -> prometheus::Result<Vec<Box<dyn Collector>>> {
        let mut all = Vec::new();
        Self::made(&mut |metric| {
            all.push(metric);
            Ok(())
        })?;
        Ok(all)
    }

    fn made(add: Add<'_>) -> prometheus::Result<Self> {
        let buckets = vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
        Ok(Self {
            reconciles: register(
                add,
                IntCounterVec::new(
                    Opts::new("muon_operator_reconciles_total", "Reconciles by kind and outcome."),
                    &["kind", "outcome"],
                )?,
            )?,
            duration: register(
                add,
                HistogramVec::new(
                    HistogramOpts::new("muon_operator_reconcile_seconds", "How long a reconcile takes, by kind.")
                        .buckets(buckets),
                    &["kind"],
                )?,
            )?,
            writes: register(
                add,
                IntCounterVec::new(
                    Opts::new("muon_operator_writes_total", "Writes to the API server by kind of the object written."),
                    &["kind"],
                )?,
            )?,
            pool_pods: register(
                add,
                IntGaugeVec::new(
                    Opts::new("muon_operator_pool_pods", "Pods of an Environment by state."),
                    &["namespace", "environment", "state"],
                )?,
            )?,
            pools_unshown: register(
                add,
                IntGauge::new(
                    "muon_operator_pools_unshown",
                    "Environments beyond the bound of muon_operator_pool_pods.",
                )?,
            )?,
            idle_deletions: register(
                add,
                IntCounterVec::new(
                    Opts::new("muon_operator_pods_deleted_total", "Pods deleted after draining, by cause."),
                    &["cause"],
                )?,
            )?,
            gateways: register(
                add,
                IntGauge::new("muon_operator_gateway_namespaces", "Namespaces that have gateway Services of ours.")?,
            )?,
            activity_errors: register(
                add,
                IntCounter::new("muon_operator_activity_errors_total", "Polls of proxies that got no usable answer.")?,
            )?,
            proxies: register(add, IntGauge::new("muon_operator_proxies", "Ready proxies known to the operator.")?)?,
            malformed: register(
                add,
                IntCounterVec::new(
                    Opts::new("muon_operator_malformed_total", "Objects that a watch delivered and nobody could read."),
                    &["kind"],
                )?,
            )?,
            lost: register(
                add,
                IntCounterVec::new(
                    Opts::new("muon_operator_archives_lost_total", "Archives in use that the store lost, by how."),
                    &["how"],
                )?,
            )?,
            leading: register(
                add,
                IntGauge::new(
                    "muon_operator_leading",
                    "Whether this replica holds the lease, and so reconciles: 1 or 0.",
                )?,
            )?,
            unseen: register(
                add,
                IntGauge::new(
                    "muon_operator_unseen_seconds",
                    "For how long a written version has waited for the proxies to see it, without one of them getting on.",
                )?,
            )?,
            builds: register(
                add,
                IntCounterVec::new(
                    Opts::new("muon_operator_builds_total", "Builds that came to an end, by outcome: built or failed."),
                    &["outcome"],
                )?,
            )?,
            traces_lost: register(
                add,
                IntCounter::new(
                    "muon_operator_traces_lost_total",
                    "Spans for which the queue to the collector had no room.",
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

    /// Whether this replica leads.
    pub fn leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// How long the proxies have been behind.
    pub fn unseen(&self, time: Duration) {
        self.unseen.set(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    }

    /// A build came to an end: `built` or `failed`.
    pub fn built(&self, outcome: &str) {
        self.builds.with_label_values(&[outcome]).inc();
    }

    /// There was no room for a span.
    pub fn trace_lost(&self) {
        self.traces_lost.inc();
    }

    /// The store lost an archive that is in use: `missing` or `damaged`.
    pub fn lost(&self, how: &str) {
        self.lost.with_label_values(&[how]).inc();
    }
}

/// Takes a metric where it is made.
type Add<'a> = &'a mut dyn FnMut(Box<dyn Collector>) -> prometheus::Result<()>;

fn register<C: Collector + Clone + 'static>(add: Add<'_>, collector: C) -> prometheus::Result<C> {
    add(Box::new(collector.clone()))?;
    Ok(collector)
}

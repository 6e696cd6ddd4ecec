//! Metrics: resolved once, so that a request adds numbers and looks up no names. No label is taken from users.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::answer::Refusal;

/// The port that a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Gateway,
    Ingress,
    Functions,
}

impl Entry {
    const ALL: [Self; 3] = [Self::Gateway, Self::Ingress, Self::Functions];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Ingress => "ingress",
            Self::Functions => "functions",
        }
    }
}

/// What a request met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It did not come as far as a function.
    None,
    /// A pod was loaded.
    Warm,
    /// None was.
    Cold,
}

impl Start {
    const ALL: [Self; 3] = [Self::None, Self::Warm, Self::Cold];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// All metrics of the data plane.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// By entry, status class and start, in this order.
    requests: Vec<IntCounter>,
    warm: Histogram,
    cold: Histogram,
    pub(crate) cold_route: Histogram,
    pub(crate) cold_claim: Histogram,
    pub(crate) cold_load: Histogram,
    pub(crate) cold_first_byte: Histogram,
    pub(crate) in_flight: IntGauge,
    pub(crate) queued: IntGauge,
    pub(crate) connections: IntGauge,
    pub(crate) claims_won: IntCounter,
    pub(crate) claims_lost: IntCounter,
    pub(crate) claims_failed: IntCounter,
    pub(crate) reserved: IntCounter,
    pub(crate) reserve_taken: IntCounter,
    pub(crate) reserve_returned: IntCounter,
    pub(crate) reserve_retired: IntCounter,
    pub(crate) reserve_failed: IntCounter,
    pub(crate) pool_dry: IntCounter,
    pub(crate) ejections: IntCounter,
    pub(crate) retried: IntCounter,
    pub(crate) lines_lost: IntCounter,
    pub(crate) evicted: IntCounter,
    pub(crate) pods_broken: IntCounter,
    /// Answers of ours, by who failed and why.
    pub(crate) failures: IntCounterVec,
    pub(crate) loads_done: IntCounter,
    pub(crate) loads_already: IntCounter,
    pub(crate) loads_failed: IntCounter,
    pub(crate) loads_code: IntCounter,
    pub(crate) peer_asked: IntCounter,
    pub(crate) peer_unreachable: IntCounter,
    pub(crate) scaled: IntCounter,
    pub(crate) functions: IntGauge,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let add = |metric: Box<dyn prometheus::core::Collector>| registry.register(metric);
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            add(Box::new(gauge.clone()))?;
            prometheus::Result::Ok(gauge)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            add(Box::new(counters.clone()))?;
            prometheus::Result::Ok(counters)
        };
        let histograms = |name: &str, help: &str, label: &str, least: f64| {
            let buckets = prometheus::exponential_buckets(least, 2.0, 18)?;
            let histograms = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &[label])?;
            add(Box::new(histograms.clone()))?;
            prometheus::Result::Ok(histograms)
        };

        let by = counters(
            "muon_proxy_requests_total",
            "Requests, by listener, status class and start.",
            &["listener", "code", "start"],
        )?;
        let mut requests = Vec::new();
        for entry in Entry::ALL {
            for class in CLASSES {
                for start in Start::ALL {
                    requests.push(by.get_metric_with_label_values(&[entry.as_str(), class, start.as_str()])?);
                }
            }
        }
        let latency =
            histograms("muon_proxy_request_seconds", "Time until the head of a function's answer.", "start", 0.0001)?;
        let phases = histograms("muon_proxy_cold_seconds", "Phases of cold requests.", "phase", 0.00001)?;
        let claims = counters("muon_proxy_claims_total", "Claims of free pods.", &["outcome"])?;
        let reserves = counters("muon_proxy_reserves_total", "Pods set aside ahead of requests.", &["outcome"])?;
        let loads = counters("muon_proxy_loads_total", "Loads asked of agents.", &["outcome"])?;
        let peers = counters("muon_proxy_peer_requests_total", "Pods asked of a function's home proxy.", &["outcome"])?;
        let failures = counters(
            "muon_proxy_failures_total",
            "Requests that got an answer of ours, by who failed and why.",
            &["component", "reason"],
        )?;
        let events = counters("muon_proxy_events_total", "Things that should be rare.", &["event"])?;
        Ok(Self {
            requests,
            warm: latency.get_metric_with_label_values(&["warm"])?,
            cold: latency.get_metric_with_label_values(&["cold"])?,
            cold_route: phases.get_metric_with_label_values(&["route"])?,
            cold_claim: phases.get_metric_with_label_values(&["claim"])?,
            cold_load: phases.get_metric_with_label_values(&["load"])?,
            cold_first_byte: phases.get_metric_with_label_values(&["first_byte"])?,
            in_flight: gauge("muon_proxy_in_flight", "Requests between head and end of answer.")?,
            queued: gauge("muon_proxy_queued", "Requests that wait for a pod.")?,
            connections: gauge("muon_proxy_connections", "Connections of clients.")?,
            claims_won: claims.get_metric_with_label_values(&["won"])?,
            claims_lost: claims.get_metric_with_label_values(&["lost"])?,
            claims_failed: claims.get_metric_with_label_values(&["failed"])?,
            reserved: reserves.get_metric_with_label_values(&["reserved"])?,
            reserve_taken: reserves.get_metric_with_label_values(&["taken"])?,
            reserve_returned: reserves.get_metric_with_label_values(&["returned"])?,
            reserve_retired: reserves.get_metric_with_label_values(&["retired"])?,
            reserve_failed: reserves.get_metric_with_label_values(&["failed"])?,
            pool_dry: events.get_metric_with_label_values(&["pool_dry"])?,
            ejections: events.get_metric_with_label_values(&["pod_ejected"])?,
            pods_broken: events.get_metric_with_label_values(&["pod_broken"])?,
            failures,
            evicted: events.get_metric_with_label_values(&["connection_evicted"])?,
            retried: events.get_metric_with_label_values(&["request_repeated"])?,
            lines_lost: events.get_metric_with_label_values(&["log_line_lost"])?,
            scaled: events.get_metric_with_label_values(&["scaled_out"])?,
            loads_done: loads.get_metric_with_label_values(&["loaded"])?,
            loads_already: loads.get_metric_with_label_values(&["already"])?,
            loads_failed: loads.get_metric_with_label_values(&["failed"])?,
            loads_code: loads.get_metric_with_label_values(&["code"])?,
            peer_asked: peers.get_metric_with_label_values(&["answered"])?,
            peer_unreachable: peers.get_metric_with_label_values(&["unreachable"])?,
            functions: gauge("muon_proxy_functions", "Functions in the route table.")?,
        })
    }

    /// Counts an answer of ours.
    pub(crate) fn failed(&self, refusal: &Refusal) {
        let component = refusal.component().as_str();
        if let Ok(counter) = self.failures.get_metric_with_label_values(&[component, refusal.reason()]) {
            counter.inc();
        }
    }

    /// Counts a request that is over.
    pub(crate) fn request(&self, entry: Entry, status: u16, start: Start, head: Duration) {
        let class = (usize::from(status / 100)).clamp(1, CLASSES.len()) - 1;
        let at = (entry as usize * CLASSES.len() + class) * Start::ALL.len() + start as usize;
        if let Some(counter) = self.requests.get(at) {
            counter.inc();
        }
        match start {
            Start::Warm => self.warm.observe(head.as_secs_f64()),
            Start::Cold => self.cold.observe(head.as_secs_f64()),
            Start::None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_where_it_belongs() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        metrics.request(Entry::Functions, 503, Start::Cold, Duration::from_millis(1));
        let families = registry.gather();
        let requests = families.iter().find(|family| family.name() == "muon_proxy_requests_total").unwrap();
        let counted: Vec<_> =
            requests.get_metric().iter().filter(|metric| metric.get_counter().get_value() > 0.0).collect();
        let labels: Vec<_> = counted[0].get_label().iter().map(|label| label.value()).collect();
        assert_eq!((counted.len(), labels), (1, vec!["5xx", "functions", "cold"]));
    }
}

//! Metrics: resolved once, so that a request adds numbers and looks up no names. No label is taken from users.

use std::cell::RefCell;
use std::time::Duration;

use muon_crds::wire::LoadReport;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::answer::Refusal;
use crate::exemplars::{Exemplar, Exemplars};

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

/// The histogram that has exemplars.
pub(crate) const REQUEST_SECONDS: &str = "muon_proxy_request_seconds";

fn request_buckets() -> prometheus::Result<Vec<f64>> {
    prometheus::exponential_buckets(0.0001, 2.0, 18)
}

fn phase_buckets() -> prometheus::Result<Vec<f64>> {
    prometheus::exponential_buckets(0.00001, 2.0, 20)
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
    cold_load: Histogram,
    /// Its steps, as the agent tells them: fetch, verify, unpack, import.
    load_steps: [Histogram; 4],
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
    pub(crate) traces_lost: IntCounter,
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
    exemplars: Exemplars,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Self::made(&|metric| registry.register(metric))
    }

    fn made(add: &dyn Fn(Box<dyn Collector>) -> prometheus::Result<()>) -> prometheus::Result<Self> {
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
        let histograms = |name: &str, help: &str, label: &str, buckets: Vec<f64>| {
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
            histograms(REQUEST_SECONDS, "Time until the head of a function's answer.", "start", request_buckets()?)?;
        let phases = histograms("muon_proxy_cold_seconds", "Phases of cold requests.", "phase", phase_buckets()?)?;
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
            load_steps: [
                phases.get_metric_with_label_values(&["fetch"])?,
                phases.get_metric_with_label_values(&["verify"])?,
                phases.get_metric_with_label_values(&["unpack"])?,
                phases.get_metric_with_label_values(&["import"])?,
            ],
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
            traces_lost: events.get_metric_with_label_values(&["trace_lost"])?,
            lines_lost: events.get_metric_with_label_values(&["log_line_lost"])?,
            scaled: events.get_metric_with_label_values(&["scaled_out"])?,
            loads_done: loads.get_metric_with_label_values(&["loaded"])?,
            loads_already: loads.get_metric_with_label_values(&["already"])?,
            loads_failed: loads.get_metric_with_label_values(&["failed"])?,
            loads_code: loads.get_metric_with_label_values(&["code"])?,
            peer_asked: peers.get_metric_with_label_values(&["answered"])?,
            peer_unreachable: peers.get_metric_with_label_values(&["unreachable"])?,
            functions: gauge("muon_proxy_functions", "Functions in the route table.")?,
            exemplars: Exemplars::new(request_buckets()?),
        })
    }

    /// Counts an answer of ours.
    pub(crate) fn failed(&self, refusal: &Refusal) {
        let component = refusal.component().as_str();
        if let Ok(counter) = self.failures.get_metric_with_label_values(&[component, refusal.reason()]) {
            counter.inc();
        }
    }

    /// Counts a load that requests waited for.
    pub(crate) fn loaded(&self, took: Duration, report: Option<&LoadReport>) {
        self.cold_load.observe(took.as_secs_f64());
        if let Some(report) = report.filter(|report| !report.already) {
            let steps = [report.fetch_us, report.verify_us, report.unpack_us, report.load_us];
            for (step, micros) in self.load_steps.iter().zip(steps) {
                step.observe(Duration::from_micros(micros).as_secs_f64());
            }
        }
    }

    /// Examples of requests, by the buckets that they fell into.
    pub(crate) fn exemplars(&self) -> Vec<Exemplar> {
        self.exemplars.all()
    }

    /// Keeps a request of a trace as an example of its bucket.
    pub(crate) fn example(&self, start: Start, head: Duration, trace: &str) {
        if start != Start::None {
            self.exemplars.keep(start.as_str(), head.as_secs_f64(), trace);
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

/// Everything that a proxy counts, whether or not it has.
pub fn catalogue() -> prometheus::Result<Vec<Box<dyn Collector>>> {
    let all = RefCell::new(Vec::new());
    Metrics::made(&|metric| {
        all.borrow_mut().push(metric);
        Ok(())
    })?;
    Ok(all.into_inner())
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

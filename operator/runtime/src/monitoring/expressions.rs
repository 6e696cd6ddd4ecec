//! Expressions of PromQL against the metrics that there are: every name, and every label that is asked for.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

use super::{Exported, exported};

/// Labels that the PodMonitors give every series, or that Prometheus does.
const OF_TARGETS: &[&str] = &["job", "pod", "namespace", "container", "instance", "endpoint"];

/// What expressions may name.
pub(crate) struct Names {
    metrics: BTreeMap<String, Exported>,
    records: BTreeSet<String>,
}

impl Names {
    /// The metrics, and these names of recorded series.
    pub(crate) fn new(records: impl IntoIterator<Item = String>) -> Self {
        Self { metrics: exported(), records: records.into_iter().collect() }
    }

    /// Panics with what is wrong with an expression.
    pub(crate) fn check(&self, whose: &str, expression: &str) {
        let parsed = parser::parse(expression).unwrap_or_else(|error| panic!("{whose}: {error}: {expression}"));
        let mut seen = Seen { names: self, whose, labels: BTreeSet::new(), selectors: 0, asked: Vec::new() };
        walk_expr(&mut seen, &parsed).unwrap();
        assert!(seen.selectors > 0, "{whose}: {expression} asks for no metric");
        for label in &seen.asked {
            assert!(seen.labels.contains(label), "{whose}: no metric of {expression} has the label {label}");
        }
    }

    /// Labels of a series; none: nobody exports it.
    fn labels(&self, series: &str) -> Option<BTreeSet<String>> {
        let targets = OF_TARGETS.iter().map(|label| (*label).to_owned());
        if series == "up" || self.records.contains(series) {
            return Some(targets.collect());
        }
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
            let name = series.strip_suffix(end)?;
            self.metrics.get(name).filter(|metric| metric.kind == "histogram")
        });
        let metric = match of_histogram {
            Some(metric) => metric,
            None => self.metrics.get(series).filter(|metric| metric.kind != "histogram")?,
        };
        let bucket = series.ends_with("_bucket").then(|| "le".to_owned());
        Some(targets.chain(metric.labels.iter().cloned()).chain(bucket).collect())
    }
}

struct Seen<'a> {
    names: &'a Names,
    whose: &'a str,
    labels: BTreeSet<String>,
    selectors: usize,
    asked: Vec<String>,
}

impl Seen<'_> {
    fn selector(&mut self, selector: &VectorSelector) {
        let whose = self.whose;
        let name = selector.name.as_deref().unwrap_or_else(|| panic!("{whose}: a selector without a name"));
        let labels = self.names.labels(name).unwrap_or_else(|| panic!("{whose}: nobody exports {name}"));
        for matcher in &selector.matchers.matchers {
            assert!(labels.contains(&matcher.name), "{whose}: {name} has no label {}", matcher.name);
            assert!(matcher.op != MatchOp::Equal || !matcher.value.is_empty(), "{whose}: {name}: {matcher}");
        }
        self.labels.extend(labels);
        self.selectors += 1;
    }
}

impl ExprVisitor for Seen<'_> {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
        let mut modifiers: Vec<&LabelModifier> = Vec::new();
        match expression {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            Expr::Aggregate(aggregate) => modifiers.extend(&aggregate.modifier),
            Expr::Binary(binary) => {
                modifiers.extend(binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref()));
            }
            _ => {}
        }
        self.asked.extend(modifiers.into_iter().flat_map(|modifier| modifier.labels().labels.clone()));
        Ok(true)
    }
}

#[test]
fn what_is_not_exported_is_found() {
    let names = Names::new(["muon:recorded".to_owned()]);
    for good in [
        "sum by (code) (rate(muon_proxy_requests_total{start=\"cold\"}[5m]))",
        "histogram_quantile(0.99, sum by (le, start) (rate(muon_proxy_request_seconds_bucket[5m])))",
        "muon:recorded > 1 and on (pod) up{job=\"muon-proxy\"} == 1",
    ] {
        names.check("good", good);
    }
    for bad in [
        "sum(rate(muon_proxy_request_total[5m]))",
        "muon_proxy_request_seconds",
        "rate(muon_proxy_requests_total_bucket[5m])",
        "sum by (route) (rate(muon_proxy_requests_total[5m]))",
        "rate(muon_proxy_requests_total{function=\"x\"}[5m])",
        "muon_proxy_in_flight / on (route) muon_proxy_queued",
        "sum(rate(muon_proxy_requests_total[5m])",
        "1 + 1",
    ] {
        let outcome = std::panic::catch_unwind(|| names.check("bad", bad));
        assert!(outcome.is_err(), "{bad}");
    }
}

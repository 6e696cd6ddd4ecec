//! OpenMetrics text: what the library's own text form cannot say is exemplars, and they are the way from a slow bucket
//! to a trace in it (ADR 20).

use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

use axum::http::HeaderValue;
use muon_proxy::Exemplar;
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// The content type of what [`encode`] gives.
pub(crate) const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the scraper takes it before the plain text form: Prometheus names first what it likes best.
pub(crate) fn is_wanted(accept: Option<&HeaderValue>) -> bool {
    let accept = accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let mut known = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    known.find(|range| matches!(*range, "application/openmetrics-text" | "text/plain" | "*/*"))
        == Some("application/openmetrics-text")
}

/// All of it, with the exemplars of the histograms that have some.
pub(crate) fn encode(families: &[MetricFamily], exemplars: &[Exemplar]) -> String {
    let mut out = String::new();
    for family in families {
        let full = family.name();
        let (kind, name) = match family.get_field_type() {
            // The name of a counter is that of its sample without the ending.
            MetricType::COUNTER => ("counter", full.strip_suffix("_total").unwrap_or(full)),
            MetricType::GAUGE => ("gauge", full),
            MetricType::HISTOGRAM => ("histogram", full),
            MetricType::SUMMARY => ("summary", full),
            MetricType::UNTYPED => ("unknown", full),
        };
        line(&mut out, format_args!("# HELP {name} {}", escaped(family.help())));
        line(&mut out, format_args!("# TYPE {name} {kind}"));
        for metric in family.get_metric() {
            match family.get_field_type() {
                MetricType::COUNTER => {
                    sample(&mut out, &format!("{name}_total"), metric, metric.get_counter().get_value())
                }
                MetricType::HISTOGRAM => histogram(&mut out, name, metric, exemplars),
                _ => sample(&mut out, name, metric, metric.get_gauge().get_value()),
            }
        }
    }
    out.push_str("# EOF\n");
    out
}

fn sample(out: &mut String, name: &str, metric: &Metric, value: f64) {
    line(out, format_args!("{name}{} {value}", labels(metric.get_label(), None)));
}

fn histogram(out: &mut String, name: &str, metric: &Metric, exemplars: &[Exemplar]) {
    let told = metric.get_histogram();
    let mut buckets: Vec<(f64, u64)> =
        told.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect();
    if buckets.last().is_none_or(|(bound, _)| bound.is_finite()) {
        buckets.push((f64::INFINITY, told.get_sample_count()));
    }
    for (bound, count) in buckets {
        let le = if bound.is_infinite() { "+Inf".to_owned() } else { format!("{bound:?}") };
        let head = format!("{name}_bucket{} {count}", labels(metric.get_label(), Some(&le)));
        let own = exemplars.iter().find(|one| {
            let same = |label: &LabelPair| label.value() == one.start;
            one.metric == name && one.bound == bound && metric.get_label().iter().all(same)
        });
        match own {
            Some(Exemplar { trace_id, value, at, .. }) => {
                let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
                line(out, format_args!("{head} # {{trace_id=\"{}\"}} {value} {at:.3}", escaped(trace_id)));
            }
            None => line(out, format_args!("{head}")),
        }
    }
    let all = labels(metric.get_label(), None);
    line(out, format_args!("{name}_count{all} {}", told.get_sample_count()));
    line(out, format_args!("{name}_sum{all} {}", told.get_sample_sum()));
}

fn labels(pairs: &[LabelPair], le: Option<&str>) -> String {
    let pairs = pairs.iter().map(|pair| (pair.name(), pair.value())).chain(le.map(|le| ("le", le)));
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

fn line(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{Gauge, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
    use std::time::Duration;

    #[test]
    fn every_kind_has_its_form() {
        let registry = Registry::new();
        let counter = IntCounterVec::new(Opts::new("a_total", "Of \"a\"."), &["why"]).unwrap();
        counter.with_label_values(&["x\"y\\z\n"]).inc();
        let gauge = Gauge::new("b", "Of b.").unwrap();
        gauge.set(0.5);
        let opts = HistogramOpts::new("c_seconds", "Of c.").buckets(vec![0.001, 1.0]);
        let histogram = HistogramVec::new(opts, &["start"]).unwrap();
        histogram.with_label_values(&["warm"]).observe(0.5);
        histogram.with_label_values(&["warm"]).observe(3.0);
        for metric in [Box::new(counter) as Box<dyn prometheus::core::Collector>, Box::new(gauge), Box::new(histogram)]
        {
            registry.register(metric).unwrap();
        }
        let exemplar = |bound: f64, value: f64| Exemplar {
            metric: "c_seconds",
            start: "warm",
            bound,
            value,
            trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
            at: UNIX_EPOCH + Duration::from_millis(1_500),
        };
        let exemplars = [exemplar(1.0, 0.5), exemplar(f64::INFINITY, 3.0)];
        assert_eq!(
            encode(&registry.gather(), &exemplars),
            r##"# HELP a Of \"a\".
# TYPE a counter
a_total{why="x\"y\\z\n"} 1
# HELP b Of b.
# TYPE b gauge
b 0.5
# HELP c_seconds Of c.
# TYPE c_seconds histogram
c_seconds_bucket{start="warm",le="0.001"} 0
c_seconds_bucket{start="warm",le="1.0"} 1 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.5 1.500
c_seconds_bucket{start="warm",le="+Inf"} 2 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 3 1.500
c_seconds_count{start="warm"} 2
c_seconds_sum{start="warm"} 3.5
# EOF
"##
        );
    }

    #[test]
    fn the_scraper_says_what_it_likes_best() {
        let wanted = |accept: &str| is_wanted(Some(&HeaderValue::from_str(accept).unwrap()));
        assert!(wanted("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
        assert!(wanted("application/vnd.google.protobuf;q=0.7, application/openmetrics-text;version=1.0.0;q=0.6"));
        assert!(!wanted("text/plain;version=0.0.4, application/openmetrics-text"));
        assert!(!wanted("*/*") && !is_wanted(None));
    }
}

//! What is made of the metrics for people: the reference of their names, dashboards, and alert rules. All of it is held
//! against what the processes really export: `BLESS=1 cargo test -p muon-runtime` writes the generated ones.

mod component;
mod dashboards;
mod expressions;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricType;

/// A metric as it is exported.
pub(crate) struct Exported {
    pub(crate) kind: &'static str,
    pub(crate) help: String,
    pub(crate) labels: Vec<String>,
    /// The processes that have it.
    pub(crate) parts: Vec<&'static str>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All metrics, by name.
pub(crate) fn exported() -> BTreeMap<String, Exported> {
    let mut all = BTreeMap::new();
    let process = || Box::new(ProcessCollector::for_self()) as Box<dyn Collector>;
    let traces = || Box::new(crate::traces::counter().unwrap()) as Box<dyn Collector>;
    for (part, mut collectors) in [
        ("proxy", muon_proxy::catalogue().unwrap()),
        ("operator", muon_reconcile::metrics::Metrics::catalogue().unwrap()),
        ("store", muon_store::catalogue().unwrap()),
    ] {
        collectors.push(process());
        if part != "store" {
            collectors.push(traces());
        }
        for collector in &collectors {
            add(&mut all, part, collector.as_ref());
        }
    }
    all
}

fn add(all: &mut BTreeMap<String, Exported>, part: &'static str, collector: &dyn Collector) {
    let kinds: BTreeMap<String, MetricType> =
        collector.collect().iter().map(|family| (family.name().to_owned(), family.get_field_type())).collect();
    for desc in collector.desc() {
        let kind = match kinds.get(&desc.fq_name) {
            Some(MetricType::COUNTER) => "counter",
            Some(MetricType::HISTOGRAM) => "histogram",
            Some(MetricType::GAUGE) => "gauge",
            // What the kernel does not tell here it may tell elsewhere.
            _ => continue,
        };
        let entry = all.entry(desc.fq_name.clone()).or_insert_with(|| Exported {
            kind,
            help: desc.help.clone(),
            labels: desc.variable_labels.clone(),
            parts: Vec::new(),
        });
        entry.parts.push(part);
    }
}

/// Compares a generated file, or writes it.
fn hold(path: &Path, made: &str) {
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, made).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == made, "{} is stale: run BLESS=1 cargo test -p muon-runtime", path.display());
}

#[test]
fn the_reference_has_every_metric() {
    let mut table = String::from("\n| metric | kind | labels | of | says |\n| --- | --- | --- | --- | --- |\n");
    for (name, metric) in exported() {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (labels, parts) = (labels.join(", "), metric.parts.join(", "));
        writeln!(table, "| `{name}` | {} | {labels} | {parts} | {} |", metric.kind, metric.help).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("TELEMETRY.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- metrics from here -->\n", "<!-- metrics to here -->");
    let (before, rest) = page.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    hold(&path, &format!("{before}{begin}{table}\n{end}{after}"));
}

#[test]
fn names_tell_their_kind_and_labels_are_few() {
    for (name, metric) in exported() {
        assert_eq!(name.ends_with("_total"), metric.kind == "counter", "{name}");
        assert!(name.starts_with("muon_") || name.starts_with("process_"), "{name}");
        assert!(!metric.help.is_empty() && metric.labels.len() <= 3, "{name}");
        // Names of users' objects would grow without bound; Environments are shown up to a bound.
        let users = ["namespace", "environment"];
        let bounded = name == "muon_operator_pool_pods" || !metric.labels.iter().any(|label| users.contains(&&**label));
        assert!(bounded && !metric.labels.iter().any(|label| label == "function" || label == "path"), "{name}");
    }
}

//! `muon top`: functions by what their pods use now.

use std::collections::BTreeMap;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt as _};
use muon_crds::{pods, words};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{self, Cell, Table, Terminal, Tone};

/// Arguments of `muon top`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// In all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

/// What one pod uses: thousandths of a processor, bytes.
pub(crate) type Usage = BTreeMap<(String, String), (f64, f64)>;

pub(crate) async fn run(arguments: Arguments, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
    let session = connection.open().await?;
    let metrics =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("metrics.k8s.io", "v1beta1", "PodMetrics"), "pods");
    let (pods, used): (Api<Pod>, Api<DynamicObject>) = match arguments.all_namespaces {
        true => (Api::all(session.client.clone()), Api::all_with(session.client.clone(), &metrics)),
        false => (session.api(), Api::namespaced_with(session.client.clone(), &session.namespace, &metrics)),
    };
    let labelled = ListParams::default().labels(words::ENVIRONMENT);
    let pods = pods.list(&labelled).await.map_err(|error| Failure::of("pods", error))?.items;
    let usage = match used.list(&labelled).await {
        Ok(list) => usage(&list.items),
        Err(_) => {
            output::note("no metrics-server in this cluster: pods are counted, not measured");
            Usage::new()
        }
    };
    if pods.is_empty() {
        output::note("no pod of Muon's runs here");
        return Ok(());
    }
    output::write(&table(&pods, &usage, arguments.all_namespaces).render(terminal))
}

fn usage(items: &[DynamicObject]) -> Usage {
    let of = |object: &DynamicObject| {
        let containers = object.data["containers"].as_array().cloned().unwrap_or_default();
        let sum = |resource: &str| {
            containers.iter().filter_map(|container| quantity(container["usage"][resource].as_str()?)).sum::<f64>()
        };
        ((object.namespace().unwrap_or_default(), object.name_any()), (sum("cpu") * 1000.0, sum("memory")))
    };
    items.iter().map(of).collect()
}

/// A quantity of Kubernetes as a number.
fn quantity(text: &str) -> Option<f64> {
    let split = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[derive(Default)]
struct Sum {
    pods: usize,
    ready: usize,
    restarts: i32,
    cpu: f64,
    memory: f64,
    measured: bool,
}

/// One row a function, and one an Environment for what waits for code; the busiest first.
fn table(pods: &[Pod], usage: &Usage, namespaces: bool) -> Table {
    let mut sums: BTreeMap<(String, String), Sum> = BTreeMap::new();
    for pod in pods {
        let label = |key: &str| pod.labels().get(key).cloned();
        let environment = label(words::ENVIRONMENT).unwrap_or_default();
        let name = label(words::FUNCTION).unwrap_or_else(|| format!("(pool {environment})"));
        let namespace = pod.namespace().unwrap_or_default();
        let sum = sums.entry((namespace.clone(), name)).or_default();
        sum.pods += 1;
        sum.ready += usize::from(pods::is_ready(pod));
        let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        sum.restarts += containers.into_iter().flatten().map(|container| container.restart_count).sum::<i32>();
        if let Some((cpu, memory)) = usage.get(&(namespace, pod.name_any())) {
            sum.cpu += cpu;
            sum.memory += memory;
            sum.measured = true;
        }
    }
    let mut sorted: Vec<_> = sums.into_iter().collect();
    sorted.sort_by(|(_, one), (_, other)| other.cpu.total_cmp(&one.cpu));
    let rows = sorted.into_iter().map(|((namespace, name), sum)| {
        let measured = |text: String| Cell::from(if sum.measured { text } else { String::new() });
        let mut row = vec![
            name.into(),
            format!("{}/{}", sum.ready, sum.pods).into(),
            measured(format!("{:.0}m", sum.cpu)),
            measured(output::bytes(sum.memory as i64)),
            Cell::new(if sum.restarts > 0 { Tone::Bad } else { Tone::Plain }, sum.restarts.to_string()),
        ];
        if namespaces {
            row.insert(0, namespace.into());
        }
        row
    });
    let mut header = vec!["FUNCTION", "PODS", "CPU", "MEMORY", "RESTARTS"];
    if namespaces {
        header.insert(0, "NAMESPACE");
    }
    Table { header, rows: rows.collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::golden;

    fn pod(name: &str, function: Option<&str>, restarts: i32) -> Pod {
        let mut labels = json!({"muon.dev/environment": "python"});
        if let Some(function) = function {
            labels["muon.dev/function"] = Value::from(function);
        }
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "team", "labels": labels},
            "status": {"conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "runtime", "restartCount": restarts, "ready": true, "image": "", "imageID": ""}]}}))
        .unwrap()
    }

    #[test]
    fn the_busiest_comes_first_and_what_is_not_measured_is_not_made_up() {
        let metrics: DynamicObject = serde_json::from_value(json!({"metadata": {"name": "a", "namespace": "team"},
            "containers": [{"usage": {"cpu": "12500000n", "memory": "20480Ki"}}, {"usage": {"cpu": "2m", "memory": "1Mi"}}]}))
        .unwrap();
        let pods = [pod("p", None, 0), pod("a", Some("hello"), 3)];
        let paper = Terminal { colour: false, moves: false };
        golden::check("top.txt", &table(&pods, &usage(&[metrics]), true).render(paper));
        assert_eq!(quantity("1.5Gi"), Some(1_610_612_736.0));
        assert_eq!(quantity("1x"), None);
    }
}

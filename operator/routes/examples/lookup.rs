//! What a lookup and a change cost, from ten triggers to a hundred thousand: `cargo run --release -p muon-routes --example lookup`.

use std::hint::black_box;
use std::time::Instant;

use muon_routes::{Book, Event, Listener, Outcome};
use serde_json::json;

fn main() {
    println!("| triggers | hosts | lookup ns | change µs | KiB per function and trigger |");
    println!("| --- | --- | --- | --- | --- |");
    for (count, hosts) in [(10, 10), (1_000, 1_000), (10_000, 10_000), (100_000, 100_000), (100_000, 1)] {
        let before = resident();
        let mut book = Book::default();
        for number in 0..count {
            book.trigger(Event::Apply(trigger(number, hosts)));
            book.function(Event::Apply(function(number)));
        }
        let table = book.table();
        let grown = resident().saturating_sub(before);

        let asked: Vec<(String, String)> = (0..4096)
            .map(|step| (step * 7919) % count)
            .map(|number| {
                (format!("h{}.example", number % hosts), format!("/api/v{number}/items/{step}", step = number * 3))
            })
            .collect();
        // The best of many rounds: what the lookup costs, not what else the machine was doing.
        let mut lookup = usize::MAX;
        for _ in 0..100 {
            let started = Instant::now();
            let mut found = 0;
            for (host, path) in &asked {
                let outcome = table.route(Listener::Ingress, black_box(host), "GET", black_box(path));
                if let Outcome::Found(route) = outcome {
                    found += usize::from(table.choose(route.route, 0).is_ok());
                }
            }
            assert_eq!(found, asked.len());
            lookup = lookup.min(started.elapsed().as_nanos() as usize / asked.len());
        }

        let changes = 200;
        let started = Instant::now();
        let mut held = book.table();
        for number in 0..changes {
            let mut changed = trigger(number % count, hosts);
            changed.spec.methods =
                vec![muon_crds::http_trigger::Method::Get; usize::from(number % 2 == 0 || number >= count)];
            book.trigger(Event::Apply(changed));
            // A reader holds the version before, as in the proxy.
            held = book.table();
        }
        black_box(held);
        let change = started.elapsed().as_micros() as usize / changes;
        println!("| {count} | {hosts} | {lookup} | {change} | {:.2} |", grown as f64 / count as f64);
    }
}

fn trigger(number: usize, hosts: usize) -> muon_crds::HTTPTrigger {
    object(json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger",
        "metadata": {"name": format!("t{number}"), "namespace": "demo", "creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "1"},
        "spec": {"host": format!("h{}.example", number % hosts), "path": format!("/api/v{number}/items/{{id}}"),
            "function": {"name": format!("f{number}")}, "ingress": {}},
    }))
}

fn function(number: usize) -> muon_crds::Function {
    object(json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Function",
        "metadata": {"name": format!("f{number}"), "namespace": "demo", "uid": format!("11111111-2222-3333-4444-{number:012}"),
            "resourceVersion": "1", "labels": {"app": "greeter"}},
        "spec": {"environment": "python", "package": "p"},
        "status": {"serving": {"revision": "0123abcd", "digest": format!("sha256:{number:064}"), "mode": "Pool", "environment": "python",
            "entrypoint": "main.main", "concurrency": 10, "timeoutSeconds": 60, "max": 10}},
    }))
}

#[allow(clippy::panic)]
fn object<K: serde::de::DeserializeOwned>(value: serde_json::Value) -> K {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"))
}

/// Resident memory in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

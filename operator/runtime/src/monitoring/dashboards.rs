//! The dashboards of Grafana, as files that its sidecar, or a person, loads.

use serde_json::{Value, json};

use super::expressions::Names;
use super::{hold, root};

/// One chart: its title, the unit, and what is drawn under which name.
type Chart = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What one page answers, row by row.
struct Page {
    file: &'static str,
    title: &'static str,
    rows: &'static [(&'static str, &'static [Chart])],
}

const PAGES: &[Page] = &[
    Page {
        file: "requests",
        title: "Muon: requests",
        rows: &[
            (
                "Do callers get answers?",
                &[
                    (
                        "Requests",
                        "reqps",
                        &[("sum by (start) (rate(muon_proxy_requests_total[$__rate_interval]))", "{{start}}")],
                    ),
                    (
                        "Answers by status",
                        "reqps",
                        &[("sum by (code) (rate(muon_proxy_requests_total[$__rate_interval]))", "{{code}}")],
                    ),
                    (
                        "Answers of Muon's own, by who failed and why",
                        "reqps",
                        &[(
                            "sum by (component, reason) (rate(muon_proxy_failures_total[$__rate_interval]))",
                            "{{component}}: {{reason}}",
                        )],
                    ),
                    (
                        "Share of requests that failed for Muon's own reasons",
                        "percentunit",
                        &[("muon:failed:ratio_rate5m", "failed")],
                    ),
                ],
            ),
            (
                "How fast?",
                &[
                    (
                        "Time to the head of a warm answer",
                        "s",
                        &[
                            (
                                "histogram_quantile(0.5, sum by (le) (rate(muon_proxy_request_seconds_bucket{start=\"warm\"}[$__rate_interval])))",
                                "p50",
                            ),
                            (
                                "histogram_quantile(0.99, sum by (le) (rate(muon_proxy_request_seconds_bucket{start=\"warm\"}[$__rate_interval])))",
                                "p99",
                            ),
                        ],
                    ),
                    (
                        "Time to the head of a cold answer",
                        "s",
                        &[
                            (
                                "histogram_quantile(0.5, sum by (le) (rate(muon_proxy_request_seconds_bucket{start=\"cold\"}[$__rate_interval])))",
                                "p50",
                            ),
                            (
                                "histogram_quantile(0.99, sum by (le) (rate(muon_proxy_request_seconds_bucket{start=\"cold\"}[$__rate_interval])))",
                                "p99",
                            ),
                        ],
                    ),
                ],
            ),
            (
                "How much is going on?",
                &[
                    (
                        "In flight and waiting",
                        "short",
                        &[("sum(muon_proxy_in_flight)", "in flight"), ("sum(muon_proxy_queued)", "waiting for a pod")],
                    ),
                    ("Connections of clients", "short", &[("sum by (pod) (muon_proxy_connections)", "{{pod}}")]),
                    (
                        "Rare events",
                        "short",
                        &[("sum by (event) (increase(muon_proxy_events_total[$__rate_interval]))", "{{event}}")],
                    ),
                    (
                        "CPU of the proxies, per request",
                        "s",
                        &[(
                            "sum(rate(process_cpu_seconds_total{job=\"muon-proxy\"}[$__rate_interval])) / sum(rate(muon_proxy_requests_total[$__rate_interval]))",
                            "seconds",
                        )],
                    ),
                ],
            ),
        ],
    },
    Page {
        file: "cold-starts",
        title: "Muon: cold starts",
        rows: &[
            (
                "How often, and how long?",
                &[
                    (
                        "Cold requests",
                        "reqps",
                        &[(
                            "sum by (code) (rate(muon_proxy_requests_total{start=\"cold\"}[$__rate_interval]))",
                            "{{code}}",
                        )],
                    ),
                    (
                        "Share of requests that are cold",
                        "percentunit",
                        &[(
                            "sum(rate(muon_proxy_requests_total{start=\"cold\"}[$__rate_interval])) / sum(rate(muon_proxy_requests_total[$__rate_interval]))",
                            "cold",
                        )],
                    ),
                    (
                        "Phases, p50",
                        "s",
                        &[(
                            "histogram_quantile(0.5, sum by (le, phase) (rate(muon_proxy_cold_seconds_bucket[$__rate_interval])))",
                            "{{phase}}",
                        )],
                    ),
                    (
                        "Phases, p99",
                        "s",
                        &[(
                            "histogram_quantile(0.99, sum by (le, phase) (rate(muon_proxy_cold_seconds_bucket[$__rate_interval])))",
                            "{{phase}}",
                        )],
                    ),
                ],
            ),
            (
                "Where do pods come from?",
                &[
                    (
                        "Pools",
                        "short",
                        &[(
                            "max by (namespace, environment, state) (muon_operator_pool_pods)",
                            "{{namespace}}/{{environment}} {{state}}",
                        )],
                    ),
                    (
                        "Claims",
                        "reqps",
                        &[("sum by (outcome) (rate(muon_proxy_claims_total[$__rate_interval]))", "{{outcome}}")],
                    ),
                    (
                        "Reservations",
                        "reqps",
                        &[("sum by (outcome) (rate(muon_proxy_reserves_total[$__rate_interval]))", "{{outcome}}")],
                    ),
                    (
                        "Loads",
                        "reqps",
                        &[("sum by (outcome) (rate(muon_proxy_loads_total[$__rate_interval]))", "{{outcome}}")],
                    ),
                    (
                        "Pods asked of a home proxy",
                        "reqps",
                        &[("sum by (outcome) (rate(muon_proxy_peer_requests_total[$__rate_interval]))", "{{outcome}}")],
                    ),
                    (
                        "Pods given up after idleness, or with their revision",
                        "short",
                        &[(
                            "sum by (cause) (increase(muon_operator_pods_deleted_total[$__rate_interval]))",
                            "{{cause}}",
                        )],
                    ),
                ],
            ),
        ],
    },
    Page {
        file: "control-plane",
        title: "Muon: operator and store",
        rows: &[
            (
                "Operator",
                &[
                    ("Who leads", "short", &[("muon_operator_leading", "{{pod}}")]),
                    (
                        "Reconciles",
                        "ops",
                        &[(
                            "sum by (kind, outcome) (rate(muon_operator_reconciles_total[$__rate_interval]))",
                            "{{kind}} {{outcome}}",
                        )],
                    ),
                    (
                        "Time of a reconcile, p99",
                        "s",
                        &[(
                            "histogram_quantile(0.99, sum by (le, kind) (rate(muon_operator_reconcile_seconds_bucket[$__rate_interval])))",
                            "{{kind}}",
                        )],
                    ),
                    (
                        "Writes to the API server",
                        "ops",
                        &[("sum by (kind) (rate(muon_operator_writes_total[$__rate_interval]))", "{{kind}}")],
                    ),
                    (
                        "Proxies known, and behind for",
                        "short",
                        &[
                            ("max(muon_operator_proxies)", "ready proxies"),
                            ("max(muon_operator_unseen_seconds)", "seconds without progress"),
                        ],
                    ),
                    (
                        "Builds",
                        "short",
                        &[("sum by (outcome) (increase(muon_operator_builds_total[$__rate_interval]))", "{{outcome}}")],
                    ),
                ],
            ),
            (
                "Store",
                &[
                    (
                        "Calls",
                        "reqps",
                        &[(
                            "sum by (method, status) (rate(muon_store_requests_total[$__rate_interval]))",
                            "{{method}} {{status}}",
                        )],
                    ),
                    (
                        "Time of a call, p99",
                        "s",
                        &[(
                            "histogram_quantile(0.99, sum by (le, method) (rate(muon_store_request_seconds_bucket[$__rate_interval])))",
                            "{{method}}",
                        )],
                    ),
                    (
                        "Bytes held",
                        "bytes",
                        &[("sum(muon_store_stored_bytes)", "stored"), ("sum(muon_store_cache_bytes)", "in memory")],
                    ),
                    (
                        "Refused and damaged",
                        "short",
                        &[
                            ("sum(increase(muon_store_over_quota_total[$__rate_interval]))", "over quota"),
                            ("sum(increase(muon_store_corrupt_total[$__rate_interval]))", "damaged"),
                        ],
                    ),
                ],
            ),
            (
                "Processes",
                &[
                    (
                        "CPU",
                        "short",
                        &[(
                            "sum by (job, pod) (rate(process_cpu_seconds_total{job=~\"muon-.*\"}[$__rate_interval]))",
                            "{{pod}}",
                        )],
                    ),
                    (
                        "Memory",
                        "bytes",
                        &[("max by (job, pod) (process_resident_memory_bytes{job=~\"muon-.*\"})", "{{pod}}")],
                    ),
                    (
                        "Spans",
                        "short",
                        &[(
                            "sum by (job, outcome) (rate(muon_traces_spans_total[$__rate_interval]))",
                            "{{job}} {{outcome}}",
                        )],
                    ),
                ],
            ),
        ],
    },
];

/// Charts in a row, of Grafana's 24 columns.
const ACROSS: usize = 2;
const HEIGHT: usize = 8;

fn page(page: &Page) -> Value {
    let (mut panels, mut y) = (Vec::new(), 0);
    for (title, charts) in page.rows {
        panels.push(json!({
            "id": panels.len() + 1, "type": "row", "title": title, "collapsed": false, "panels": [],
            "gridPos": {"h": 1, "w": 24, "x": 0, "y": y},
        }));
        y += 1;
        for (at, chart) in charts.iter().enumerate() {
            let width = 24 / ACROSS;
            let place = json!({"h": HEIGHT, "w": width, "x": at % ACROSS * width, "y": y + at / ACROSS * HEIGHT});
            panels.push(panel(panels.len() + 1, chart, &place));
        }
        y += charts.len().div_ceil(ACROSS) * HEIGHT;
    }
    json!({
        "uid": format!("muon-{}", page.file), "title": page.title, "tags": ["muon"], "schemaVersion": 39, "version": 1,
        "editable": true, "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser",
        "templating": {"list": [{
            "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1,
            "current": {}, "hide": 0, "options": [],
        }]},
        "links": [{"type": "dashboards", "tags": ["muon"], "title": "Muon", "asDropdown": true, "keepTime": true}],
        "panels": panels,
    })
}

fn panel(id: usize, (title, unit, targets): &Chart, place: &Value) -> Value {
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let targets: Vec<Value> = targets
        .iter()
        .zip('A'..)
        .map(|((expression, legend), letter)| {
            json!({
                "refId": letter.to_string(), "datasource": source, "expr": expression, "legendFormat": legend,
                // Only histograms of requests have any; elsewhere it asks for nothing.
                "exemplar": expression.contains("muon_proxy_request_seconds_bucket"),
            })
        })
        .collect();
    json!({
        "id": id, "type": "timeseries", "title": title, "datasource": source, "gridPos": place, "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"showPoints": "never", "fillOpacity": 8}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": {"mode": "multi", "sort": "desc"}},
    })
}

#[test]
fn the_dashboards_are_generated() {
    for one in PAGES {
        let path = root().join(format!("config/components/monitoring/dashboards/{}.json", one.file));
        hold(&path, &format!("{}\n", serde_json::to_string_pretty(&page(one)).unwrap()));
    }
}

#[test]
fn the_dashboards_ask_for_what_is_exported() {
    let names = Names::new(super::component::records());
    for one in PAGES {
        for (title, _, targets) in one.rows.iter().flat_map(|(_, charts)| *charts) {
            for (expression, legend) in *targets {
                let whose = format!("{}: {title}", one.title);
                names.check(&whose, &expression.replace("$__rate_interval", "5m"));
                for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
                    let grouped =
                        expression.contains(&format!("({label}")) || expression.contains(&format!(", {label}"));
                    let plain = !expression.contains(" by ") && label == "pod";
                    assert!(grouped || plain, "{whose}: {legend} names {label}, by which nothing is grouped");
                }
            }
        }
    }
}

#[test]
fn every_metric_of_ours_that_moves_has_a_place() {
    // Left out on purpose: what is looked up when something else points at it.
    let aside = [
        "muon_operator_activity_errors_total",
        "muon_operator_archives_lost_total",
        "muon_operator_gateway_namespaces",
        "muon_operator_malformed_total",
        "muon_operator_pools_unshown",
        "muon_operator_traces_lost_total",
        "muon_proxy_functions",
        "muon_store_blobs",
        "muon_store_builds",
        "muon_store_bytes_total",
        "muon_store_cache_total",
        "muon_store_forgotten_total",
        "muon_store_swept_bytes_total",
        "muon_store_swept_total",
        "muon_store_unused_blobs",
    ];
    let drawn: String = PAGES
        .iter()
        .flat_map(|page| page.rows)
        .flat_map(|(_, charts)| *charts)
        .flat_map(|(_, _, targets)| *targets)
        .map(|(expression, _)| *expression)
        .collect::<Vec<_>>()
        .join("\n");
    for name in super::exported().keys().filter(|name| name.starts_with("muon_")) {
        assert_ne!(
            drawn.contains(name.as_str()),
            aside.contains(&name.as_str()),
            "{name} is drawn or set aside, not both"
        );
    }
}

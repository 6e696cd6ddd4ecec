//! The edges between crates (hack/adr/0001-crates.md), and what no edge may bring in.

use std::collections::BTreeSet;

use crate::{cargo, output, packages};

/// Every crate of ours, and those of ours that it may depend on. A new edge is a decision: hack/adr/.
const EDGES: &[(&str, &[&str])] = &[
    ("muon-crds", &[]),
    ("muon-plan", &["muon-crds"]),
    ("muon-routes", &["muon-crds"]),
    ("muon-order", &["muon-crds"]),
    ("muon-proxy", &["muon-crds", "muon-routes", "muon-order"]),
    ("muon-agent", &["muon-crds", "muon-order"]),
    ("muon-store", &["muon-crds", "muon-order"]),
    ("muon-reconcile", &["muon-crds", "muon-plan", "muon-routes", "muon-order"]),
    ("muon-cli", &["muon-crds", "muon-plan"]),
    (
        "muon-runtime",
        &[
            "muon-cli",
            "muon-crds",
            "muon-plan",
            "muon-routes",
            "muon-order",
            "muon-reconcile",
            "muon-proxy",
            "muon-agent",
            "muon-store",
        ],
    ),
    (
        "muon-e2e",
        &[
            "muon-crds",
            "muon-plan",
            "muon-routes",
            "muon-order",
            "muon-reconcile",
            "muon-proxy",
            "muon-agent",
            "muon-store",
        ],
    ),
    ("muon-bench", &["muon-crds", "muon-routes", "muon-e2e"]),
    ("xtask", &[]),
];

/// Crates that cannot do IO: whoever reads them knows that nothing but their arguments matters.
const PURE: &[&str] = &["muon-crds", "muon-plan", "muon-routes", "muon-order"];
/// What would let a pure crate do IO.
const IO: &[&str] =
    &["tokio", "mio", "hyper", "hyper-util", "axum", "reqwest", "kube-client", "kube-runtime", "object_store"];

/// Crates on the path of a request: none of them can wait for the API server.
const WITHOUT_API: &[&str] = &["muon-proxy", "muon-agent", "muon-store"];
const API: &[&str] = &["kube-client", "kube-runtime"];

/// The agent stays small: cluster-internal HTTP, verified by digest, needs no TLS.
const TLS: &[&str] = &["rustls", "ring", "reqwest", "hyper-rustls"];

/// Providers of TLS and cryptography other than the one we chose (ring); two at once make rustls panic at start.
const OTHER_PROVIDERS: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "boring", "boring-sys"];

#[test]
fn only_known_edges_between_our_crates() {
    let packages = packages();
    let names: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let known: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, known, "the table of edges names every crate of the workspace");
    let mut unknown = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let (_, allowed) = EDGES.iter().find(|(known, _)| *known == name).unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            // A test may use what it likes; `kind` is null for what is shipped.
            if dependency["kind"].is_null() && names.contains(to) && !allowed.contains(&to) {
                unknown.push(format!("{name} -> {to}"));
            }
        }
    }
    assert!(unknown.is_empty(), "edges that no record allows: {unknown:#?}");
}

#[test]
fn pure_crates_cannot_do_io() {
    for name in PURE {
        assert_without(name, IO);
    }
}

#[test]
fn the_request_path_holds_no_api_client() {
    for name in WITHOUT_API {
        assert_without(name, API);
    }
}

#[test]
fn the_agent_has_no_tls() {
    assert_without("muon-agent", TLS);
}

#[test]
fn one_cryptography_provider() {
    let tree = tree(&["--workspace", "-e", "normal,build,dev"]);
    let found: Vec<_> = OTHER_PROVIDERS.iter().filter(|name| tree.iter().any(|(crate_, _)| crate_ == *name)).collect();
    assert!(found.is_empty(), "providers beside ring: {found:?} (cargo tree -i NAME shows who brings it)");
    let rings: Vec<_> = tree.iter().filter(|(name, _)| name == "ring").collect();
    assert_eq!(rings.len(), 1, "exactly one ring: {rings:?}");
}

fn assert_without(name: &str, banned: &[&str]) {
    // `cargo metadata` would show features that other crates switch on; the tree of the one crate does not.
    let found: Vec<_> = tree(&["-p", name, "-e", "normal"])
        .into_iter()
        .filter(|(crate_, _)| banned.contains(&crate_.as_str()))
        .collect();
    assert!(found.is_empty(), "{name} must not reach {found:?} (cargo tree -e normal -p {name} -i NAME shows the way)");
}

/// Names and versions of all that the tree holds.
fn tree(arguments: &[&str]) -> BTreeSet<(String, String)> {
    let mut all = vec!["tree", "--locked", "--prefix", "none", "--format", "{p}"];
    all.extend(arguments);
    output(&cargo(), &all)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect()
}

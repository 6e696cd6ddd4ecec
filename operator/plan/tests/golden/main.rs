//! Golden cases: `testdata/<kind>/<case>.in.yaml` is what was observed, `.out.yaml` all that follows from it.
//! Adding a case is adding a file; `BLESS=1 cargo test -p muon-plan` writes the outputs, and a person reads the
//! difference. Every sample of the repository is a case too (`testdata/samples`).

#![allow(clippy::unwrap_used, clippy::panic)]

mod kinds;
mod laws;
mod samples;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use muon_plan::Settings;
use serde_json::Value;

/// The installation that all cases run in.
fn settings() -> Settings {
    Settings {
        namespace: "muon-system".to_owned(),
        agent_image: "muon/agent:test".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        public_key: "cHVibGljIGtleSBvZiB0aGUgdGVzdHM=".to_owned(),
        store: "http://muon-store.muon-system.svc.cluster.local:8080".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        cluster_variables: [("KUBERNETES_SERVICE_HOST".to_owned(), "198.19.0.1".to_owned())].into(),
    }
}

const NOW: &str = "2026-11-23T12:00:00Z";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn files(dir: &Path, ending: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(ending).map(str::to_owned))
        .collect()
}

/// Compares what came out with the golden file, or writes it.
fn compare(path: &Path, out: &Value, stale: &mut Vec<String>) {
    let text = serde_yaml::to_string(out).unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    if std::fs::read_to_string(path).unwrap_or_default() != text {
        stale.push(format!("{}:\n{text}", path.display()));
    }
}

fn run(kind: &str, case: fn(&str) -> Value) {
    let dir = root().join(kind);
    let cases = files(&dir, ".in.yaml");
    assert!(!cases.is_empty(), "{} has no case", dir.display());
    let orphans: Vec<String> = files(&dir, ".out.yaml").difference(&cases).cloned().collect();
    assert!(orphans.is_empty(), "outputs of {kind} without an input: {orphans:?}");
    let mut stale = Vec::new();
    for name in cases {
        let text = std::fs::read_to_string(dir.join(format!("{name}.in.yaml"))).unwrap();
        let out = case(&text);
        laws::check(&out, &format!("{kind}/{name}"));
        compare(&dir.join(format!("{name}.out.yaml")), &out, &mut stale);
    }
    assert!(stale.is_empty(), "not as in the golden files (BLESS=1 rewrites them):\n{}", stale.join("\n"));
}

#[test]
fn environment() {
    run("environment", kinds::environment);
}

#[test]
fn package() {
    run("package", kinds::package);
}

#[test]
fn function() {
    run("function", kinds::function);
}

#[test]
fn http_trigger() {
    run("http_trigger", kinds::http_trigger);
}

#[test]
fn gateway() {
    run("gateway", kinds::gateway);
}

#[test]
fn samples() {
    let mut stale = Vec::new();
    let mut names = BTreeSet::new();
    for (name, out) in samples::all() {
        laws::check(&out, &name);
        compare(&root().join("samples").join(format!("{name}.out.yaml")), &out, &mut stale);
        names.insert(name);
    }
    let orphans: Vec<String> = files(&root().join("samples"), ".out.yaml").difference(&names).cloned().collect();
    assert!(orphans.is_empty(), "outputs of samples that are gone: {orphans:?}");
    assert!(stale.is_empty(), "not as in the golden files (BLESS=1 rewrites them):\n{}", stale.join("\n"));
}

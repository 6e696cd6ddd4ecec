//! What people read and run first: the top level, the README, links, samples.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_yaml::Value;

use crate::{files, root, text};

/// Names at the top, beside dotfiles.
const TOP: &[&str] =
    &["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "operator", "crds", "config", "samples", "e2e", "hack"];

#[test]
fn the_top_level_is_the_agreed_one() {
    let found: BTreeSet<String> = files()
        .iter()
        .filter_map(|path| path.split('/').next())
        .filter(|name| !name.starts_with('.') && !TOP.contains(name))
        .map(str::to_owned)
        .collect();
    assert!(found.is_empty(), "these belong below one of {TOP:?}: {found:?}");
}

#[test]
fn the_readme_names_the_two_commands_and_they_run() {
    let readme = text("README.md");
    let first_screen: String = readme.lines().take(40).collect::<Vec<_>>().join("\n");
    for command in ["hack/up", "hack/test"] {
        assert!(first_screen.contains(command), "the first screen of README.md must name {command}");
        assert!(is_executable(command), "{command} must be executable");
    }
}

#[test]
fn ci_runs_exactly_the_tests_that_people_run() {
    assert!(is_executable(".ci/run"));
    let script = text(".ci/run");
    let commands: Vec<&str> = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !["#", "set ", "cd "].iter().any(|start| line.starts_with(start)))
        .collect();
    assert!(
        matches!(commands[..], [only] if only.contains("hack/test")),
        ".ci/run must run hack/test alone: {commands:?}"
    );
}

fn is_executable(path: &str) -> bool {
    std::fs::metadata(root().join(path)).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for path in files().into_iter().filter(|path| path.ends_with(".md")) {
        let page = root().join(&path);
        for link in links(&text(&path)) {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') && !page.parent().unwrap().join(target).exists() {
                broken.push(format!("{path}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "broken links: {broken:#?}");
}

/// Targets of `[text](target)`.
fn links(page: &str) -> Vec<&str> {
    page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn every_sample_is_told_and_checked() {
    let mut wrong = Vec::new();
    let names: BTreeSet<String> = files()
        .iter()
        .filter_map(|path| path.strip_prefix("samples/")?.split_once('/').map(|(name, _)| name.to_owned()))
        .collect();
    assert!(!names.is_empty());
    let index = text("samples/README.md");
    for name in names {
        let folder = root().join("samples").join(&name);
        if !index.contains(&format!("({name})")) || !folder.join("README.md").is_file() {
            wrong.push(format!("{name}: needs a README.md and a line in samples/README.md"));
        }
        // What is never built is never called.
        if name != "broken-build" {
            wrong.extend(check_steps(&name, &folder));
        }
        wrong.extend(check_hosts(&name));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn check_steps(name: &str, folder: &Path) -> Vec<String> {
    let file = std::fs::read_to_string(folder.join("test/check.yaml")).unwrap_or_default();
    let steps: Vec<Value> = serde_yaml::from_str(&file).unwrap_or_default();
    if steps.is_empty() {
        return vec![format!("{name}: test/check.yaml must hold a list of steps (samples/README.md)")];
    }
    steps
        .iter()
        .filter(|step| {
            step["request"]["path"].as_str().is_none_or(|path| !path.starts_with('/'))
                || step["expect"]["status"].is_u64() == step["expectAny"].is_sequence()
        })
        .map(|step| format!("{name}: a step needs request.path and one of expect and expectAny: {step:?}"))
        .collect()
}

fn check_hosts(name: &str) -> Vec<String> {
    let folder = format!("samples/{name}/");
    let mut wrong = Vec::new();
    for path in files() {
        let direct = path.strip_prefix(&folder).is_some_and(|rest| rest.ends_with(".yaml") && !rest.contains('/'));
        if !direct {
            continue;
        }
        for document in serde_yaml::Deserializer::from_str(&text(&path)) {
            let object: Value = serde::Deserialize::deserialize(document).unwrap_or_default();
            if object["kind"].as_str().is_none() {
                wrong.push(format!("{path}: kubectl apply -f reads every file of the folder, and this is no object"));
            }
            let host = object["spec"]["host"].as_str();
            if object["kind"] == "HTTPTrigger" && host != Some(&format!("{name}.example.com")) {
                wrong.push(format!("{path}: the host of a sample's route is {name}.example.com"));
            }
        }
    }
    wrong
}

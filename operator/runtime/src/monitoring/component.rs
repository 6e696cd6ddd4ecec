//! The kustomize component: monitors that find our pods and their ports, and alert rules that ask for what is exported.

use std::collections::BTreeSet;

use serde::Deserialize as _;
use serde_yaml::Value;

use super::expressions::Names;
use super::root;

fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("config").join(path)).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn groups() -> Vec<Value> {
    documents("components/monitoring/rules.yaml")[0]["spec"]["groups"].as_sequence().unwrap().clone()
}

fn rules() -> Vec<Value> {
    groups().iter().flat_map(|group| group["rules"].as_sequence().unwrap().clone()).collect()
}

/// Names of the series that the rules record.
pub(crate) fn records() -> Vec<String> {
    rules().iter().filter_map(|rule| rule["record"].as_str().map(str::to_owned)).collect()
}

#[test]
fn the_rules_ask_for_what_is_exported() {
    let names = Names::new(records());
    for rule in rules() {
        let name = rule["record"].as_str().or(rule["alert"].as_str()).unwrap();
        names.check(name, rule["expr"].as_str().unwrap());
    }
}

#[test]
fn alerts_say_what_they_mean_and_what_to_do() {
    let page = std::fs::read_to_string(root().join("operator/runtime/TELEMETRY.md")).unwrap();
    let mut seen = BTreeSet::new();
    for rule in rules().iter().filter(|rule| rule["alert"].is_string()) {
        let name = rule["alert"].as_str().unwrap();
        assert!(name.starts_with("Muon") && seen.insert(name.to_owned()), "{name}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let annotations = &rule["annotations"];
        let (summary, description) =
            (annotations["summary"].as_str().unwrap(), annotations["description"].as_str().unwrap());
        assert!(!summary.contains('\n') && description.len() > summary.len() / 2, "{name}");
        // A template may name only a label that the expression keeps.
        let expression = rule["expr"].as_str().unwrap();
        for label in [summary, description].iter().flat_map(|text| text.split("$labels.").skip(1)) {
            let label = label.split([' ', '}']).next().unwrap();
            let kept = [format!("({label}"), format!(", {label}")];
            assert!(kept.iter().any(|kept| expression.contains(kept)), "{name}: the expression does not keep {label}");
        }
        assert!(page.contains(&format!("`{name}`")), "{name} is not in operator/runtime/TELEMETRY.md");
    }
    for named in page.split('`').filter(|word| word.starts_with("Muon") && word.chars().all(char::is_alphanumeric)) {
        assert!(seen.contains(named), "TELEMETRY.md names {named}, which is no alert");
    }
}

#[test]
fn the_monitors_find_our_pods() {
    let monitors = documents("components/monitoring/monitors.yaml");
    let mut found = BTreeSet::new();
    for (part, workload) in [
        ("proxy", "proxy/deployment.yaml"),
        ("operator", "operator/deployment.yaml"),
        ("store", "store/statefulset.yaml"),
    ] {
        let template = &documents(workload)[0]["spec"]["template"];
        let monitor = monitors.iter().find(|monitor| monitor["metadata"]["name"] == format!("muon-{part}")).unwrap();
        for (key, value) in monitor["spec"]["selector"]["matchLabels"].as_mapping().unwrap() {
            assert_eq!(&template["metadata"]["labels"][key], value, "{part}");
        }
        let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
        let mut ports = template["spec"]["containers"][0]["ports"].as_sequence().unwrap().iter();
        let port = ports.find(|port| port["name"] == endpoint["port"]).unwrap();
        assert_eq!(port["containerPort"].as_u64(), Some(u64::from(muon_crds::words::PORT_ADMIN)), "{part}");
        let job = endpoint["relabelings"][0]["replacement"].as_str().unwrap();
        assert_eq!((job, &endpoint["honorLabels"]), (&*format!("muon-{part}"), &Value::Bool(true)));
        found.insert(job.to_owned());
    }
    assert_eq!(monitors.len(), found.len());
    // What rules and dashboards call jobs are these.
    let asked: Vec<String> = rules().iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect();
    for job in asked.join(" ").split("job=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()) {
        assert!(found.contains(&job), "{job}");
    }
}

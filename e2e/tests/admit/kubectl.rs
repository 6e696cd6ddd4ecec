//! The resources as people meet them: through the real kubectl.

use std::collections::BTreeSet;

use muon_e2e::control_plane::{ControlPlane, repository};
use muon_e2e::manifest::documents;

fn apply(namespace: &str, folder: &str) -> Vec<String> {
    let path = repository().join(folder);
    let output = ControlPlane::shared().kubectl_ok(&["apply", "-n", namespace, "-f", &path.to_string_lossy()], "");
    output.lines().map(str::to_owned).collect()
}

#[test]
fn admit_applies_custom_resources_plainly_and_twice() {
    for name in ["environments", "packages", "functions", "httptriggers"] {
        // The install created them by the same way, with labels beside.
        apply("default", &format!("crds/generated/{name}.yaml"));
        let lines = apply("default", &format!("crds/generated/{name}.yaml"));
        assert_eq!(lines, [format!("customresourcedefinition.apiextensions.k8s.io/{name}.muon.dev unchanged")]);
    }
}

#[test]
fn admit_applies_every_sample_plainly_and_twice() {
    let plane = ControlPlane::shared();
    plane.kubectl_ok(&["create", "namespace", "samples"], "");
    for entry in std::fs::read_dir(repository().join("samples")).expect("the samples") {
        let path = entry.expect("a folder").path();
        if !path.is_dir() {
            continue;
        }
        let first = apply("samples", &path.to_string_lossy());
        assert!(!first.is_empty() && first.iter().all(|line| line.ends_with(" created")), "{first:?}");
        let second = apply("samples", &path.to_string_lossy());
        assert_eq!(first.len(), second.len());
        // A Secret's stringData is written to data by the server, which kubectl cannot know.
        let changed = |line: &&String| !line.ends_with(" unchanged") && !line.starts_with("secret/");
        assert_eq!(second.iter().find(changed), None, "{second:?}");
    }
}

#[test]
fn admit_explains_every_field() {
    let told = ControlPlane::shared().kubectl_ok(&["explain", "function.spec"], "");
    for field in [
        "concurrency",
        "entrypoint",
        "env",
        "environment",
        "package",
        "replicas",
        "resources",
        "scaling",
        "source",
        "timeoutSeconds",
        "volumes",
    ] {
        let (_, after) = told.split_once(&format!("\n  {field}\t")).unwrap_or_else(|| panic!("no {field} in {told}"));
        let description = after.lines().nth(1).unwrap_or_default();
        assert!(description.starts_with("    ") && !description.trim().is_empty(), "{field}: {after}");
    }
}

#[test]
fn admit_explains_what_is_inside_of_fields() {
    for crd in muon_crds::all() {
        let told = ControlPlane::shared().kubectl_ok(&["explain", "--recursive", &crd.spec.names.plural], "");
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).expect("a schema");
        let mut names = BTreeSet::new();
        collect_names(&schema["openAPIV3Schema"], &mut names);
        let listed: BTreeSet<&str> = told.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let missing: Vec<&String> = names.iter().filter(|name| !listed.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "{}: {missing:?} of {told}", crd.spec.names.kind);
    }
}

fn collect_names(schema: &serde_json::Value, names: &mut BTreeSet<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        names.insert(name.clone());
        collect_names(field, names);
    }
    for inside in ["items", "additionalProperties"] {
        if schema[inside].is_object() {
            collect_names(&schema[inside], names);
        }
    }
}

/// Whoever waits by the rules of kstatus takes an object without a status for done.
#[test]
fn admit_a_new_object_says_that_nothing_was_observed() {
    let plane = ControlPlane::shared();
    plane.kubectl_ok(&["create", "namespace", "observed"], "");
    plane.kubectl_ok(&["apply", "-n", "observed", "-f", "-"], include_str!("../../testdata/good/one-of-each.yaml"));
    for object in ["env/python", "pkg/hello", "fn/hello", "ht/hello"] {
        let path = "jsonpath={.status.observedGeneration}";
        assert_eq!(plane.kubectl_ok(&["get", "-n", "observed", object, "-o", path], ""), "-1", "{object}");
    }
}

#[test]
fn admit_shows_columns() {
    let plane = ControlPlane::shared();
    plane.kubectl_ok(&["create", "namespace", "columns"], "");
    plane.kubectl_ok(&["apply", "-n", "columns", "-f", "-"], include_str!("../../testdata/good/one-of-each.yaml"));
    let ready = |reason: &str| {
        format!(
            r#"{{"type":"Ready","status":"True","reason":"{reason}","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}}"#
        )
    };
    let patch = |object: &str, status: &str| {
        let body = format!(r#"{{"status":{{"conditions":[{}],{status}}}}}"#, ready("Served"));
        plane.kubectl_ok(
            &["patch", "-n", "columns", object, "--subresource=status", "--type=merge", "--patch", &body],
            "",
        );
    };
    patch("env/python", r#""free":3,"claimed":1"#);
    patch("pkg/hello", r#""sizeBytes":2048,"digest":"sha256:00""#);
    patch("fn/hello", r#""url":"http://hello.columns","replicas":1"#);
    patch("ht/hello", r#""url":"http://hello.example.com/""#);
    let table = |kind: &str| -> Vec<Vec<String>> {
        let text = plane.kubectl_ok(&["get", "-n", "columns", kind], "");
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let expect = |kind: &str, head: &str, row: &str| {
        let found = table(kind);
        assert_eq!(found[0].join(" "), head);
        let age = found[1].len() - 1;
        assert_eq!(found[1][..age].join(" "), row);
    };
    expect("env", "NAME READY REASON FREE CLAIMED AGE", "python True Served 3 1");
    expect("pkg", "NAME READY REASON ENVIRONMENT SIZE AGE", "hello True Served python 2048");
    expect("fn", "NAME READY REASON URL REPLICAS ENV AGE", "hello True Served http://hello.columns 1 python");
    expect(
        "ht",
        "NAME READY REASON URL METHODS FUNCTION AGE",
        r#"hello True Served http://hello.example.com/ ["GET"] hello"#,
    );
    let all = plane.kubectl_ok(&["get", "-n", "columns", "muon", "-o", "name"], "");
    assert_eq!(all.lines().count(), 4, "{all}");
}

#[test]
fn admit_scales_a_function() {
    let plane = ControlPlane::shared();
    plane.kubectl_ok(&["create", "namespace", "scale"], "");
    plane.kubectl_ok(&["apply", "-n", "scale", "-f", "-"], include_str!("../../testdata/good/one-of-each.yaml"));
    plane.kubectl_ok(&["scale", "-n", "scale", "fn/hello", "--replicas=4"], "");
    let replicas = plane.kubectl_ok(&["get", "-n", "scale", "fn/hello", "-o", "jsonpath={.spec.replicas}"], "");
    assert_eq!(replicas, "4");
}

#[test]
fn admit_renders_the_install_with_and_without_the_monitoring_component() {
    let render = |components: &str| {
        let overlay = tempfile::tempdir().expect("a directory");
        // kustomize takes relative paths only, and follows links before it does.
        let here = overlay.path().canonicalize().expect("its real path");
        let up = "../".repeat(here.components().count() - 1);
        let config = format!("{up}{}", repository().canonicalize().expect("the clone").join("config").display());
        let config = config.replacen("//", "/", 1);
        let file = format!("resources: [{config}/default]\ncomponents: [{}]\n", components.replace("CONFIG", &config));
        std::fs::write(overlay.path().join("kustomization.yaml"), file).expect("written");
        ControlPlane::shared().kubectl_ok(&["kustomize", &overlay.path().to_string_lossy()], "")
    };
    let with = render("CONFIG/components/monitoring");
    let with: Vec<serde_json::Value> = documents(&with).iter().map(|document| document.value()).collect();
    let of = |kind: &str| with.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>();
    assert_eq!((of("PodMonitor").len(), of("PrometheusRule").len()), (3, 1));
    let boards = of("ConfigMap").into_iter().find(|map| map["metadata"]["name"] == "muon-dashboards");
    let boards = boards.expect("the dashboards");
    assert_eq!(boards["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(boards["metadata"]["namespace"], "muon-system");
    let files = boards["data"].as_object().expect("files");
    assert_eq!(files.len(), 3);
    for (name, text) in files {
        let board: serde_json::Value = serde_json::from_str(text.as_str().expect("text")).expect("JSON");
        assert!(board["panels"].as_array().is_some_and(|panels| panels.len() > 5), "{name}");
    }
    let without = render("");
    assert!(!without.contains("monitoring.coreos.com") && !without.contains("grafana"), "{without}");
}

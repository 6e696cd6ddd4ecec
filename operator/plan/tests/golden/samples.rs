//! Every sample, taken through validate and build as it would be on a cluster where all is well.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::ConfigMap;
use muon_crds::{ConditionType, Environment, Function, HTTPTrigger, Package, PackageSpec, names};
use muon_plan::http_trigger::Selected;
use muon_plan::{builds, environment, function, http_trigger, package};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::kinds::{complete, function_of, http_trigger_of};
use crate::{NOW, settings};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The documents of a file of YAML.
fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml::Deserializer::from_str(&text).filter_map(|document| Value::deserialize(document).ok()).collect()
}

fn of_kind<K: DeserializeOwned>(documents: &[Value], kind: &str) -> Vec<K> {
    let is = |document: &&Value| document["kind"] == kind;
    documents.iter().filter(is).map(|document| serde_json::from_value(document.clone()).unwrap()).collect()
}

/// Name and output of each story: a folder of samples, or a file beside them.
pub fn all() -> Vec<(String, Value)> {
    let mut stories: Vec<PathBuf> =
        std::fs::read_dir(repository().join("samples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    stories.sort();
    let stories: Vec<_> = stories
        .iter()
        .filter_map(|path| {
            let documents = story(path);
            let is_ours = |document: &Value| document["apiVersion"] == "muon.dev/v1alpha1";
            let name = path.file_stem()?.to_str()?.to_owned();
            documents.iter().any(is_ours).then(|| (name, run(&documents)))
        })
        .collect();
    assert!(!stories.is_empty(), "there are no samples");
    stories
}

fn story(path: &Path) -> Vec<Value> {
    let is_yaml = |path: &Path| path.extension().is_some_and(|ending| ending == "yaml");
    if path.is_file() {
        return if is_yaml(path) { documents(path) } else { Vec::new() };
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && is_yaml(path));
    files.sort();
    files.iter().flat_map(|path| documents(path)).collect()
}

fn run(documents: &[Value]) -> Value {
    let packages = of_kind::<Package>(documents, "Package");
    let functions = of_kind::<Function>(documents, "Function");
    let triggers = of_kind::<HTTPTrigger>(documents, "HTTPTrigger");
    let config = of_kind::<ConfigMap>(documents, "ConfigMap");
    let packages: Vec<Package> = packages.into_iter().map(stored).collect();

    let outs: Vec<Value> =
        functions.iter().map(|function| json!({"function": serve(function.clone(), &packages, &config)})).collect();
    let routes: Vec<Value> =
        triggers.iter().map(|trigger| json!({"trigger": route(trigger.clone(), &functions)})).collect();
    json!({"functions": outs, "triggers": routes})
}

/// The Package as it is once the store has its archive, or what was built of it.
fn stored(mut object: Package) -> Package {
    complete(&mut object);
    let environment = Some(environment(&object.spec.environment));
    let observed = package::Observed { object: object.clone(), environment };
    let resources = package::build(&package::validate(&observed).unwrap());
    let source = package::Stored { digest: resources.digest.unwrap_or_default(), size_bytes: 4096 };
    let build = object.spec.build.as_ref();
    let build = build.map(|_| builds::validate(&observed, &source.digest, &settings()).unwrap().status());
    let digest = build.as_ref().map_or_else(|| source.digest.clone(), |build| names::digest(build.key.as_bytes()));
    let result = package::Stored { digest, size_bytes: 8192 };
    let progress = package::Progress { source: Some(source), build, origin: None };
    object.status = Some(package::report(&observed, &progress, Ok(&result), NOW).status);
    object
}

fn serve(mut object: Function, packages: &[Package], config: &[ConfigMap]) -> Value {
    complete(&mut object);
    let name = object.metadata.name.clone().unwrap_or_default();
    let package = match (&object.spec.package, &object.spec.source) {
        (Some(wanted), _) => packages.iter().find(|package| package.metadata.name.as_ref() == Some(wanted)).cloned(),
        (None, Some(source)) => {
            let spec =
                PackageSpec { environment: object.spec.environment.clone(), source: source.clone(), build: None };
            Some(stored(Package::new(&names::inline_package(&name), spec)))
        }
        (None, None) => None,
    };
    let asked = function::wanted_keys(&object.spec);
    let keys = |kind, name: &str| {
        let found = config.iter().find(|it| it.metadata.name.as_deref() == Some(name));
        let found = found.filter(|_| kind == function::ReferenceKind::ConfigMap).zip(asked.get(name));
        found.map(|(object, keys)| function::HeldKeys::of(object, keys)).unwrap_or_default()
    };
    let references = function::references(&object.spec)
        .into_iter()
        .map(|wanted| function::Referenced {
            keys: keys(wanted.kind, &wanted.name),
            kind: wanted.kind,
            name: wanted.name,
            resource_version: Some("7".to_owned()),
        })
        .collect();
    let mut observed = function::Observed {
        environment: Some(environment(&object.spec.environment)),
        object,
        package,
        references,
        deployments: Vec::new(),
        pods: Vec::new(),
        autoscaler: None,
        now: 0,
        demand: function::Demand::default(),
        failure: None,
        watermark: Some(100),
    };
    // Two visits, as it is on a cluster: the first says what to serve with, the second that it is served.
    let valid = function::validate(&observed, &settings()).unwrap();
    observed.object.status = Some(function::report(&observed, Ok(&valid), NOW).status);
    let out = function_of(&observed, &valid, None);
    assert_eq!(ready(&out), "True", "{name}: {out:#}");
    out
}

fn environment(name: &str) -> Environment {
    let path = repository().join(format!("config/environments/{name}/environment.yaml"));
    let mut found = of_kind::<Environment>(&documents(&path), "Environment");
    assert_eq!(found.len(), 1, "{}", path.display());
    let mut object = found.remove(0);
    complete(&mut object);
    let observed = environment::Observed { object, pools: Vec::new(), pods: Vec::new(), demand: 0 };
    environment::validate(&observed, &settings()).unwrap();
    observed.object
}

fn route(mut object: HTTPTrigger, functions: &[Function]) -> Value {
    complete(&mut object);
    let selected = functions.iter().filter(|function| leads_to(&object, function)).map(|function| Selected {
        ready: true,
        serving: true,
        ..Selected::by_name(function)
    });
    let observed = http_trigger::Observed {
        functions: selected.collect(),
        object,
        winner: None,
        unreadable: None,
        default_class: Some("traefik".to_owned()),
        address: None,
        watermark: Some(100),
    };
    let out = http_trigger_of(&observed, None);
    assert_eq!(ready(&out), "True", "{:?}: {out:#}", observed.object.metadata.name);
    out
}

/// Samples name a function or match labels; expressions are the route table's business and tested there.
fn leads_to(trigger: &HTTPTrigger, function: &Function) -> bool {
    let wanted = &trigger.spec.function;
    let labels = function.metadata.labels.clone().unwrap_or_default();
    match (&wanted.name, &wanted.selector) {
        (Some(name), _) => function.metadata.name.as_ref() == Some(name),
        (None, Some(selector)) => selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value)),
        (None, None) => false,
    }
}

fn ready(out: &Value) -> &str {
    let conditions = out["report"]["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|condition| condition["type"] == ConditionType::Ready.as_str()).unwrap();
    ready["status"].as_str().unwrap()
}

//! Columns of the four kinds. Pure: what time it is, is told.

use jiff::Timestamp;
use kube::ResourceExt as _;
use muon_crds::condition::{self, Condition};
use muon_crds::{ConditionType, Environment, Function, FunctionStatus, HTTPTrigger, HTTPTriggerSpec, Mode, Package};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kinds::Kind;
use crate::output::{Cell, Table, Terminal, Tone, age, bytes, short};

/// Which columns, and when it is.
pub(crate) struct Shown {
    pub(crate) wide: bool,
    pub(crate) namespaces: bool,
    pub(crate) now: Timestamp,
}

/// One table a kind, an empty line between them.
pub(crate) fn tables(objects: &[(Kind, Value)], shown: &Shown, terminal: Terminal) -> String {
    let mut kinds: Vec<Kind> = objects.iter().map(|(kind, _)| *kind).collect();
    kinds.dedup();
    // What people ask for most comes last, next to the prompt.
    let tables = kinds.iter().map(|kind| {
        let rows = objects.iter().filter(|(of, _)| of == kind).map(|(_, object)| row(*kind, object, shown)).collect();
        Table { header: header(*kind, shown), rows }.render(terminal)
    });
    tables.collect::<Vec<_>>().join("\n")
}

fn header(kind: Kind, shown: &Shown) -> Vec<&'static str> {
    let (own, wide): (&[_], &[_]) = match kind {
        Kind::Function => (&["FUNCTION", "READY", "STATE", "URL", "ENV"], &["REVISION", "MODE", "MESSAGE"]),
        Kind::HTTPTrigger => (&["ROUTE", "READY", "METHODS", "URL", "TO"], &["MESSAGE"]),
        Kind::Package => (&["PACKAGE", "READY", "SIZE", "ENV"], &["DIGEST", "MESSAGE"]),
        Kind::Environment => (&["ENVIRONMENT", "READY", "FREE", "CLAIMED"], &["IMAGE", "MESSAGE"]),
    };
    let first = shown.namespaces.then_some("NAMESPACE");
    let wide = if shown.wide { wide } else { &[] };
    first.into_iter().chain(own.iter().copied()).chain(["AGE"]).chain(wide.iter().copied()).collect()
}

fn row(kind: Kind, object: &Value, shown: &Shown) -> Vec<Cell> {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let cells = match kind {
        Kind::Function => read(object).map(|object| function(&object)),
        Kind::HTTPTrigger => read(object).map(|object| trigger(&object)),
        Kind::Package => read(object).map(|object| package(&object)),
        Kind::Environment => read(object).map(|object| environment(&object)),
    };
    // An object of another version of Muon is still listed by its name.
    let none =
        || vec![Cell::default(); header(kind, &Shown { wide: true, namespaces: false, now: shown.now }).len() - 2];
    let mut cells = cells.unwrap_or_else(none);
    cells.insert(0, name.into());
    let own = header(kind, &Shown { wide: false, namespaces: false, now: shown.now }).len() - 1;
    let since = metadata["creationTimestamp"].as_str().and_then(|text| text.parse().ok());
    cells.insert(own, since.map(|since| age(since, shown.now)).unwrap_or_default().into());
    if !shown.wide {
        cells.truncate(own + 1);
    }
    if shown.namespaces {
        cells.insert(0, metadata["namespace"].as_str().unwrap_or_default().into());
    }
    cells
}

fn read<K: DeserializeOwned>(object: &Value) -> Option<K> {
    serde_json::from_value(object.clone()).ok()
}

/// `True`, or why not.
fn ready(conditions: &[Condition]) -> Cell {
    match condition::find(conditions, ConditionType::Ready) {
        Some(ready) if ready.status == "True" => Cell::new(Tone::Good, "True"),
        Some(ready) if condition::is_true(conditions, ConditionType::Stalled) => {
            Cell::new(Tone::Bad, ready.reason.clone())
        }
        Some(ready) => Cell::new(Tone::Wait, ready.reason.clone()),
        None => Cell::new(Tone::Wait, "Unknown"),
    }
}

fn message(conditions: &[Condition]) -> Cell {
    let ready = condition::find(conditions, ConditionType::Ready);
    ready.map(|ready| ready.message.lines().next().unwrap_or_default().to_owned()).unwrap_or_default().into()
}

/// Whether a request now would be warm.
pub(crate) fn state(status: &FunctionStatus) -> Cell {
    match (status.ready_replicas, status.replicas) {
        _ if status.serving.is_none() => Cell::default(),
        (1.., _) => Cell::new(Tone::Good, format!("warm ({})", status.ready_replicas)),
        (_, 1..) => Cell::new(Tone::Wait, format!("starting ({})", status.replicas)),
        _ => Cell::new(Tone::Quiet, "cold"),
    }
}

fn function(object: &Function) -> Vec<Cell> {
    let status = object.status.clone().unwrap_or_default();
    let serving = status.serving.as_ref();
    vec![
        ready(&status.conditions),
        state(&status),
        status.url.clone().unwrap_or_default().into(),
        object.spec.environment.as_str().into(),
        serving.map(|serving| serving.revision.as_str()).unwrap_or_default().into(),
        serving.map(|serving| mode(serving.mode)).unwrap_or_default().into(),
        message(&status.conditions),
    ]
}

/// The word for whose pods run it.
pub(crate) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Pool => "pool",
        Mode::Deployment => "own",
    }
}

fn trigger(object: &HTTPTrigger) -> Vec<Cell> {
    let status = object.status.clone().unwrap_or_default();
    vec![
        ready(&status.conditions),
        methods(&object.spec).into(),
        status.url.unwrap_or_default().into(),
        leads_to(&object.spec).into(),
        message(&status.conditions),
    ]
}

/// The methods, or `any`.
pub(crate) fn methods(spec: &HTTPTriggerSpec) -> String {
    match spec.methods.is_empty() {
        true => "any".to_owned(),
        false => spec.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(","),
    }
}

/// The function's name, or the labels.
pub(crate) fn leads_to(spec: &HTTPTriggerSpec) -> String {
    match (&spec.function.name, &spec.function.selector) {
        (Some(name), _) => name.clone(),
        (None, Some(selector)) => {
            let labels = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
            let more = selector
                .match_expressions
                .iter()
                .map(|requirement| format!("{} {}", requirement.key, requirement.operator));
            labels.chain(more).collect::<Vec<_>>().join(",")
        }
        (None, None) => String::new(),
    }
}

fn package(object: &Package) -> Vec<Cell> {
    let status = object.status.clone().unwrap_or_default();
    vec![
        ready(&status.conditions),
        status.size_bytes.map(bytes).unwrap_or_default().into(),
        object.spec.environment.as_str().into(),
        status.digest.as_deref().map(short).unwrap_or_default().into(),
        message(&status.conditions),
    ]
}

fn environment(object: &Environment) -> Vec<Cell> {
    let status = object.status.clone().unwrap_or_default();
    vec![
        ready(&status.conditions),
        status.free.to_string().into(),
        status.claimed.to_string().into(),
        object.spec.runtime.image.as_str().into(),
        message(&status.conditions),
    ]
}

/// The object's age.
pub(crate) fn since(object: &impl kube::Resource, now: Timestamp) -> String {
    object.creation_timestamp().map(|time| age(time.0, now)).unwrap_or_default()
}

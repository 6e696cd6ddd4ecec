//! Can it be called now, if not why, and what to do: decided from the objects alone.

use kube::ResourceExt as _;
use muon_crds::condition::{self, Condition};
use muon_crds::http_trigger::{FunctionRef, Selector};
use muon_crds::{ConditionType, Environment, Function, HTTPTrigger, Mode, Package};
use serde::Serialize;

use super::Facts;
use crate::kinds::Kind;
use crate::output::bytes;

/// The answer to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Answer {
    /// A request is answered.
    Yes,
    /// It will be, without anybody's doing.
    Soon,
    /// Somebody has to do something.
    No,
}

/// What is told.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Told {
    /// Whether it can be called now, or for other kinds, whether it is of use now.
    pub(crate) callable: Answer,
    /// Why, in sentences.
    pub(crate) why: Vec<String>,
    /// What to do about it: commands, or changes.
    pub(crate) todo: Vec<String>,
}

impl Told {
    fn new(callable: Answer, why: impl Into<String>) -> Self {
        Self { callable, why: vec![why.into()], todo: Vec::new() }
    }

    fn and(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    fn todo(mut self, what: impl Into<String>) -> Self {
        self.todo.push(what.into());
        self
    }
}

/// Looks at what was found.
pub(crate) fn judge(facts: &Facts, kind: Kind) -> Told {
    match (kind, &facts.function, facts.triggers.first(), &facts.package, &facts.environment) {
        (Kind::Function, Some(function), ..) => of_function(function, facts),
        (Kind::HTTPTrigger, _, Some(trigger), ..) => of_trigger(trigger),
        (Kind::Package, _, _, Some(package), _) => of_package(package),
        (Kind::Environment, .., Some(environment)) => of_environment(environment),
        _ => Told::new(Answer::No, "it is not there"),
    }
}

fn of_function(function: &Function, facts: &Facts) -> Told {
    let Some(status) = &function.status else {
        return Told::new(Answer::Soon, "the operator has not looked at it yet").todo("muon doctor, if this stays so");
    };
    let ready = condition::find(&status.conditions, ConditionType::Ready);
    let current = status.observed_generation == function.metadata.generation;
    let said =
        || ready.map_or_else(|| "the operator has said nothing of it yet".to_owned(), |ready| ready.message.clone());
    if let (Some(serving), true) = (&status.serving, ready.is_some_and(|ready| ready.status == "True") && current) {
        let told = match status.ready_replicas {
            0 => cold(function, serving.mode, facts.environment.as_ref()),
            pods => Told::new(Answer::Yes, format!("warm: {} the code loaded", have(pods))),
        };
        return routes(told, facts);
    }
    let stalled = condition::is_true(&status.conditions, ConditionType::Stalled);
    let told = match (&status.serving, current) {
        (Some(serving), false) => Told::new(Answer::Yes, format!("what answers is revision {}", serving.revision))
            .and("the operator has not looked at the last change yet")
            .todo("muon doctor, if this stays so"),
        // Of a pool, the new revision takes over before its code has been loaded once; what cannot be loaded answers nobody.
        (Some(_), true) if cannot_run(&status.conditions) && status.ready_replicas == 0 => {
            Told::new(Answer::No, said())
        }
        (Some(serving), true) => {
            Told::new(Answer::Yes, format!("what answers is revision {}", serving.revision)).and(said())
        }
        (None, _) if stalled => Told::new(Answer::No, said()),
        (None, _) => Told::new(Answer::Soon, said()),
    };
    causes(told, function, facts)
}

/// Whether the revision that is wanted could not be loaded, or its pods do not start.
fn cannot_run(conditions: &[Condition]) -> bool {
    let ready = condition::find(conditions, ConditionType::Ready);
    let not_loaded = condition::find(conditions, ConditionType::Loaded).is_some_and(|loaded| loaded.status == "False");
    not_loaded || ready.is_some_and(|ready| ready.reason == "PodsNotStarting")
}

/// What the condition of a function leaves to the objects that it needs.
fn causes(mut told: Told, function: &Function, facts: &Facts) -> Told {
    let name = function.name_any();
    let unread = !facts.unread.is_empty();
    if facts.environment.is_none() && !unread {
        told.callable = if told.callable == Answer::Yes { Answer::Yes } else { Answer::No };
        told = told.todo(format!(
            "muon env list shows the Environments of this namespace; {} must be one of them",
            function.spec.environment
        ));
    }
    match (&facts.package, &function.spec.package) {
        (None, Some(package)) if !unread => {
            told.callable = if told.callable == Answer::Yes { Answer::Yes } else { Answer::No };
            told = told.todo(format!("apply the Package {package}, or name another one in spec.package"));
        }
        (Some(package), _) => {
            let of = conditions(package);
            if let Some(built) = condition::find(of, ConditionType::Built).filter(|built| built.status == "False") {
                if condition::is_true(of, ConditionType::Stalled) {
                    told.callable = if told.callable == Answer::Yes { Answer::Yes } else { Answer::No };
                    told = told.todo(format!("muon build {} shows all of the build's log", package.name_any()));
                } else {
                    told = told
                        .and(format!("the build: {}", built.message))
                        .todo(format!("muon build -f {} follows it", package.name_any()));
                }
            }
        }
        _ => {}
    }
    let status = function.status.as_ref();
    let loaded = status.and_then(|status| condition::find(&status.conditions, ConditionType::Loaded));
    if loaded.is_some_and(|loaded| loaded.status == "False") {
        told = told.todo("correct the code, and muon deploy").todo(format!("muon logs {name}"));
        if status.is_some_and(|status| !status.revisions.is_empty()) {
            told = told.todo(format!("muon rollback {name} brings back what served before"));
        }
    }
    told
}

fn cold(function: &Function, mode: Mode, environment: Option<&Environment>) -> Told {
    let free = environment.and_then(|environment| environment.status.as_ref()).map_or(0, |status| status.free);
    let of = &function.spec.environment;
    match mode {
        Mode::Pool if free > 0 => Told::new(
            Answer::Yes,
            format!("cold: the first request takes one of {free} free pods of {of}, within milliseconds"),
        ),
        Mode::Pool => {
            Told::new(Answer::Yes, format!("cold, and {of} has no free pod: the first request waits for one to start"))
                .todo(format!("muon describe env/{of} tells why; spec.pool.min of it says how many are kept"))
        }
        Mode::Deployment => {
            Told::new(Answer::Yes, "cold, with pods of its own: the first request waits for a pod to start")
                .todo("spec.scaling.min: 1 keeps one, if that is too slow")
        }
    }
}

fn routes(mut told: Told, facts: &Facts) -> Told {
    for trigger in &facts.triggers {
        let conditions = trigger.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        match condition::find(conditions, ConditionType::Ready) {
            Some(ready) if ready.status != "True" => {
                told = told.and(format!("route {}: {}", trigger.name_any(), ready.message));
            }
            None => told = told.and(format!("route {}: the operator has not looked at it yet", trigger.name_any())),
            Some(_) => {}
        }
    }
    if facts.triggers.is_empty() && facts.unread.is_empty() {
        told = told.and("no route leads to it: it answers by its name inside the cluster");
    }
    told
}

fn conditions(package: &Package) -> &[Condition] {
    package.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
}

fn of_trigger(trigger: &HTTPTrigger) -> Told {
    let status = trigger.status.clone().unwrap_or_default();
    plainly(&status.conditions, status.observed_generation == trigger.metadata.generation, || {
        let url = status.url.clone().unwrap_or_default();
        let functions: Vec<String> =
            status.functions.iter().map(|share| format!("{} (weight {})", share.name, share.weight)).collect();
        format!("{url} leads to {}", functions.join(", "))
    })
}

fn of_package(package: &Package) -> Told {
    let status = package.status.clone().unwrap_or_default();
    let told = plainly(&status.conditions, status.observed_generation == package.metadata.generation, || {
        format!("{} in the store", status.size_bytes.map(bytes).unwrap_or_default())
    });
    match told.callable != Answer::Yes && status.build.is_some() {
        true => told.todo(format!("muon build {} shows the build's log", package.name_any())),
        false => told,
    }
}

fn of_environment(environment: &Environment) -> Told {
    let status = environment.status.clone().unwrap_or_default();
    plainly(&status.conditions, status.observed_generation == environment.metadata.generation, || {
        format!("{} ready for code, {} function", pods_are(status.free), serve(status.claimed))
    })
}

/// The verdict where `Ready` says all there is to say.
fn plainly(conditions: &[Condition], current: bool, well: impl FnOnce() -> String) -> Told {
    let ready = condition::find(conditions, ConditionType::Ready);
    match ready {
        Some(ready) if ready.status == "True" && current => Told::new(Answer::Yes, well()),
        Some(ready) if current && condition::is_true(conditions, ConditionType::Stalled) => {
            Told::new(Answer::No, ready.message.clone())
        }
        Some(ready) if current => Told::new(Answer::Soon, ready.message.clone()),
        _ => Told::new(Answer::Soon, "the operator has not looked at it yet").todo("muon doctor, if this stays so"),
    }
}

fn have(pods: i32) -> String {
    if pods == 1 { "1 pod has".to_owned() } else { format!("{pods} pods have") }
}

fn pods_are(count: i32) -> String {
    if count == 1 { "1 pod is".to_owned() } else { format!("{count} pods are") }
}

fn serve(count: i32) -> String {
    if count == 1 { "1 serves a".to_owned() } else { format!("{count} serve a") }
}

/// Whether a route leads to the function.
pub(crate) fn selects(reference: &FunctionRef, function: &Function) -> bool {
    match (&reference.name, &reference.selector) {
        (Some(name), _) => *name == function.name_any(),
        (None, Some(selector)) => matches(selector, function),
        (None, None) => false,
    }
}

fn matches(selector: &Selector, function: &Function) -> bool {
    let labels = function.labels();
    let named = selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
    named
        && selector.match_expressions.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            let listed = value.is_some_and(|value| requirement.values.iter().flatten().any(|listed| listed == value));
            match requirement.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

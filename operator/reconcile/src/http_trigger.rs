//! The HTTPTrigger driver: which functions a route leads to, whether another trigger has it, and its Ingress.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::ResourceExt as _;
use muon_crds::http_trigger::Selector;
use muon_crds::{ConditionType, Function, HTTPTrigger, condition, names};
use muon_plan::http_trigger::{Observed, Resources, Selected, build, report, validate};
use muon_routes::{Finding, Key, findings, selects, weight};

use crate::apply::Ours;
use crate::cache::Cache;
use crate::context::{Context, now};
use crate::controller::Action;
use crate::gateways::Way;
use crate::links::{Target, routes};
use crate::place::namespace_of;
use crate::reference::ObjectRef;
use crate::trouble::Trouble;

/// Marks the IngressClass that is taken when none is named.
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// The reason of an `Accepted` that waits for the proxies.
const PROPAGATING: &str = "Propagating";

/// One visit.
pub async fn reconcile(object: Arc<HTTPTrigger>, context: Arc<Context>) -> Result<Action, Trouble> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let observed = observe(&object, &context);
    let outcome = match validate(&observed) {
        Ok(valid) => apply(&object, &build(&valid), &context).await.map(|()| valid),
        Err(invalid) => Err(invalid.into()),
    };
    let said = report(&observed, outcome.as_ref().map_err(|trouble| &trouble.invalid), &now());
    let written = context.trigger.reporting.settle(object.as_ref(), &said, outcome.as_ref().err()).await?;
    let accepted = condition::find(&said.status.conditions, ConditionType::Accepted);
    if accepted.is_some_and(|accepted| accepted.reason == PROPAGATING) {
        context.await_trigger(&object, &written.resource_version);
    }
    outcome.map(|_| Action::await_change())
}

fn observe(object: &HTTPTrigger, context: &Context) -> Observed {
    let cache = &context.cache;
    let namespace = namespace_of(object);
    let (winner, unreadable) = match rivals(object, cache) {
        Some(Finding::Conflict { with, .. }) => (Some(with.to_string()), None),
        Some(bad @ Finding::BadPattern(_)) => (None, Some(bad.to_string())),
        None => (None, None),
    };
    let ingress = Cache::get(&cache.ingresses, &namespace, &names::ingress(&object.name_any()));
    Observed {
        object: object.clone(),
        functions: functions(object, cache),
        winner,
        unreadable,
        default_class: default_class(cache),
        address: ingress.as_deref().and_then(address),
        watermark: context.board.watermarks().map(|seen| seen.triggers),
    }
}

/// Whether another trigger has the route, decided by the same code as the proxies' tables, over those triggers that
/// come into question.
fn rivals(object: &HTTPTrigger, cache: &Cache) -> Option<Finding> {
    let mut references = std::collections::HashSet::new();
    routes(object, &mut |namespace, target| references.extend(cache.index.triggers.of(namespace, target)));
    let own = Key::of(object);
    let others: Vec<_> = references.iter().filter_map(|reference| cache.triggers.get(reference)).collect();
    let others = others.iter().map(AsRef::as_ref).filter(|other| Key::of(*other) != own);
    findings(others.chain([object])).remove(&own)
}

fn functions(object: &HTTPTrigger, cache: &Cache) -> Vec<Selected> {
    let namespace = namespace_of(object);
    let spec = &object.spec.function;
    if let Some(name) = &spec.name {
        let function = Cache::get(&cache.functions, &namespace, name);
        return function.iter().map(|function| Selected::by_name(function)).collect();
    }
    let Some(selector) = &spec.selector else { return Vec::new() };
    let mut selected: Vec<Arc<Function>> = candidates(selector, &namespace, cache)
        .iter()
        .filter_map(|reference| cache.functions.get(reference))
        .filter(|function| selects(selector, function.labels()))
        .collect();
    selected.sort_by_key(|function| function.name_any());
    let with_weight = |function: &Arc<Function>| {
        let weight = weight(function.metadata.annotations.as_ref()).map_err(|bad| bad.to_string());
        Selected::by_labels(function, weight)
    };
    selected.iter().map(with_weight).collect()
}

/// The Functions that come into question: those with one of the labels that are asked for, or all of the namespace.
fn candidates(selector: &Selector, namespace: &str, cache: &Cache) -> Vec<ObjectRef<Function>> {
    if let Some((key, value)) = selector.match_labels.iter().next() {
        return cache.index.functions.of(namespace, Target::Label(key, value));
    }
    let mut all = cache.functions.names();
    all.retain(|name| name.namespace() == namespace);
    all
}

/// The cluster's default class; of several the newest, as the API server's own admission takes it.
fn default_class(cache: &Cache) -> Option<String> {
    let is_default = |class: &IngressClass| class.annotations().get(DEFAULT_CLASS).map(String::as_str) == Some("true");
    let classes = cache.classes.state_filter(is_default);
    let newest = classes.iter().max_by_key(|class| (class.creation_timestamp(), std::cmp::Reverse(class.name_any())));
    newest.map(|class| class.name_any())
}

/// Where the Ingress controller says that it answers.
fn address(ingress: &Ingress) -> Option<String> {
    let published = ingress.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref()?;
    published.iter().find_map(|at| at.hostname.clone().or_else(|| at.ip.clone())).filter(|at| !at.is_empty())
}

/// Makes what is desired: the namespace's gateway first, so that the Ingress never leads nowhere.
async fn apply(object: &HTTPTrigger, resources: &Resources, context: &Context) -> Result<(), Trouble> {
    let Resources { ingress } = resources;
    let (namespace, uid) = (namespace_of(object), object.uid().unwrap_or_default());
    let ours = Ours::Controller(&uid);
    context.gateways.ensure(&namespace, Way::Routes).await?;
    let live = Cache::get(&context.cache.ingresses, &namespace, &names::ingress(&object.name_any()));
    match ingress {
        Some(ingress) => {
            context.trigger.applier.apply(live.as_deref(), ingress, ours).await?;
        }
        None => {
            if let Some(left) = live.filter(|left| ours.owns(left.as_ref())) {
                context.writes.delete_seen(left.as_ref()).await?;
            }
        }
    }
    Ok(())
}

//! The idle loop: finds pods that may have been idle for long enough or are draining, has the proxies say what
//! they do *now*, and hands the Functions concerned to their driver, which decides (`muon_plan::function::scale`).

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use muon_crds::Function;
use muon_crds::words::{self, State};

use crate::cache::Cache;
use crate::context::Context;
use crate::place::namespace_of;
use crate::proxies::refresh;
use crate::reference::ObjectRef;

/// How often the pools' gauges are counted.
const COUNT: Duration = Duration::from_secs(10);

/// Looks at all pods of functions, again and again. Never ends.
pub async fn run(context: Arc<Context>) {
    let mut tick = tokio::time::interval(context.settings.idle_tick);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut counted: Option<Instant> = None;
    loop {
        tick.tick().await;
        visit(&context).await;
        context.metrics.unseen(context.board.unseen());
        if counted.is_none_or(|at| at.elapsed() >= COUNT) {
            counted = Some(Instant::now());
            context.metrics.pools(&count(&context.cache));
        }
    }
}

/// One round.
pub async fn visit(context: &Context) {
    let due = due(context);
    if due.is_empty() {
        return;
    }
    for wakes in refresh(&context.peers, &context.board).await {
        context.queues.told(&context.cache.functions, wakes);
    }
    context.queues.functions.extend(due);
}

/// Functions of which a pod may be idle, drains, broke, or is of a revision that no longer serves.
fn due(context: &Context) -> HashSet<ObjectRef<Function>> {
    let mut spare: BTreeMap<ObjectKey, usize> = BTreeMap::new();
    let mut due = HashSet::new();
    for pod in context.cache.pods.state() {
        let Some(name) = pod.labels().get(words::FUNCTION) else { continue };
        let reference = ObjectRef::new(name).within(&namespace_of(pod.as_ref()));
        let Some(function) = context.cache.functions.get(&reference) else { continue };
        match standing(&pod, &function, context) {
            Standing::Busy => {}
            Standing::MayBeIdle => {
                *spare.entry((namespace_of(pod.as_ref()), name.clone())).or_default() += 1;
            }
            Standing::Leaving => {
                due.insert(reference);
            }
        }
    }
    // Pods that are kept though nobody calls are idle for ever: that is no reason to look.
    for ((namespace, name), idle) in spare {
        let reference = ObjectRef::new(&name).within(&namespace);
        let kept = context.cache.functions.get(&reference).map_or(0, |function| floor(&function));
        let there = context.cache.pods_of_function(&namespace, &name).len();
        if idle > 0 && there > kept {
            due.insert(reference);
        }
    }
    due
}

type ObjectKey = (String, String);

enum Standing {
    Busy,
    MayBeIdle,
    Leaving,
}

fn standing(pod: &Pod, function: &Function, context: &Context) -> Standing {
    if pod.metadata.deletion_timestamp.is_some() {
        return Standing::Busy;
    }
    let label = |key: &str| pod.labels().get(key).map(String::as_str);
    let serving = function.status.as_ref().and_then(|status| status.serving.as_ref());
    let is_serving = serving.is_some_and(|serving| label(words::REVISION) == Some(serving.revision.as_str()));
    let uid = pod.uid().unwrap_or_default();
    if label(words::STATE) == Some(State::Draining.as_str()) || !is_serving || context.board.is_broken(&uid) {
        return Standing::Leaving;
    }
    let idle = context.board.may_be_idle_ms(&uid).unwrap_or(0).min(context.queues.index.ages.of(&uid));
    let enough = if function.spec.replicas > 0 { 0 } else { function.spec.scaling.idle_seconds };
    match idle >= u64::try_from(enough).unwrap_or_default() * 1000 {
        true => Standing::MayBeIdle,
        false => Standing::Busy,
    }
}

/// Pods that are kept though nobody calls, as the driver last said.
fn floor(function: &Function) -> usize {
    let scaling = function.status.as_ref().and_then(|status| status.scaling.as_ref());
    scaling.and_then(|scaling| usize::try_from(scaling.kept).ok()).unwrap_or(0)
}

/// Free and claimed pods of every Environment.
fn count(cache: &Cache) -> BTreeMap<(String, String), (i64, i64)> {
    let mut pools: BTreeMap<(String, String), (i64, i64)> = BTreeMap::new();
    for pod in cache.pods.state() {
        let Some(environment) = pod.labels().get(words::ENVIRONMENT) else { continue };
        let pool = pools.entry((namespace_of(pod.as_ref()), environment.clone())).or_default();
        match pod.labels().get(words::STATE).and_then(|state| State::parse(state)) {
            Some(State::Free | State::Reserved) => pool.0 += 1,
            Some(State::Claimed | State::Draining) => pool.1 += 1,
            Some(State::Retiring) | None => {}
        }
    }
    pools
}

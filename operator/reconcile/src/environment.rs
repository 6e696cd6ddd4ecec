//! The Environment driver: the pool of generic pods, its size, and what protects it.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use muon_crds::Environment;
use muon_crds::words::{self, State};
use muon_plan::environment::{
    Observed, PoolDecision, Resources, Valid, build, build_policy_name, held, pool_size, report, validate,
};
use muon_plan::shrink::OldStep;
use muon_plan::{SeenDeployment, SeenPod};
use tracing::warn;

use crate::apply::Ours;
use crate::cache::{Cache, is_controlled_by};
use crate::context::{Context, now};
use crate::controller::Action;
use crate::demand::waited_for;
use crate::links::Target;
use crate::place::namespace_of;
use crate::reference::ObjectRef;
use crate::stuck::{Count, PATIENCE};
use crate::trouble::Trouble;
use crate::writes::Outcome;

/// One visit.
pub async fn reconcile(object: Arc<Environment>, context: Arc<Context>) -> Result<Action, Trouble> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let mut observed = observe(&object, &context);
    let outcome = match validate(&observed, &context.plan) {
        Ok(valid) => {
            observed.demand = demand(&observed, &valid, &context);
            let decision = pool_size(&observed, &valid);
            let resources = build(&valid, decision.replicas);
            apply(&object, &resources, &decision, &context).await.map(|()| valid)
        }
        Err(invalid) => Err(invalid.into()),
    };
    let said = report(&observed, outcome.as_ref().map_err(|trouble| &trouble.invalid), &now());
    context.environment.reporting.settle(object.as_ref(), &said, outcome.as_ref().err()).await?;
    outcome.map(|valid| next(&observed, &valid, &context))
}

fn observe(object: &Environment, context: &Context) -> Observed {
    let cache = &context.cache;
    let (namespace, name, uid) = (namespace_of(object), object.name_any(), object.uid().unwrap_or_default());
    let pools = cache.deployments_of(&namespace, Target::Environment(&name), &uid);
    let pods = cache.pods_of_environment(&namespace, &name);
    let pools: Vec<SeenDeployment> = pools.iter().map(|pool| SeenDeployment::of(pool)).collect();
    let pods: Vec<SeenPod> = pods.iter().map(|pod| SeenPod::of(pod)).collect();
    Observed { object: object.clone(), pools, pods, demand: 0 }
}

fn demand(observed: &Observed, valid: &Valid, context: &Context) -> i32 {
    let object = &observed.object;
    let waited = waited_for(&context.cache, &context.board, &namespace_of(object), &object.name_any());
    let (tides, held) = (&context.queues.index.tides, held(observed, valid));
    tides.level(&ObjectRef::from_obj(object), waited, held, &observed.pods, Instant::now())
}

/// Makes what is desired. Free pods that are to go are marked first; the pool shrinks at a later visit, behind marks
/// that were seen, for a mark that came too late means that a request has the pod.
async fn apply(
    object: &Environment,
    resources: &Resources,
    decision: &PoolDecision,
    context: &Context,
) -> Result<(), Trouble> {
    let Resources { pool, network_policy, build_policy, disruption_budget } = resources;
    let (namespace, uid) = (namespace_of(object), object.uid().unwrap_or_default());
    let (applier, cache, ours) = (&context.environment.applier, &context.cache, Ours::Controller(&uid));

    let live = Cache::get(&cache.policies, &namespace, &network_policy.name_any());
    applier.apply(live.as_deref(), network_policy, ours).await?;
    let live = Cache::get(&cache.policies, &namespace, &build_policy_name(&object.name_any()));
    match (build_policy, live) {
        (Some(policy), live) => drop(applier.apply(live.as_deref(), policy, ours).await?),
        (None, Some(left)) if ours.owns(left.as_ref()) => drop(context.writes.delete_seen(left.as_ref()).await?),
        (None, _) => {}
    }
    match disruption_budget {
        Some(budget) => {
            let live = Cache::get(&cache.budgets, &namespace, &budget.name_any());
            applier.apply(live.as_deref(), budget, ours).await?;
        }
        None => {
            for budget in cache.budgets.state_filter(|it: &PodDisruptionBudget| is_controlled_by(it, &uid)) {
                context.writes.delete_seen(budget.as_ref()).await?;
            }
        }
    }
    for pod in &decision.retire {
        context.writes.relabel(&namespace, pod, State::Free, State::Retiring).await?;
    }
    let live = Cache::get(&cache.deployments, &namespace, &pool.name_any());
    match live.as_ref().map_or(Count::Right, |live| context.shortages.count(live, Instant::now())) {
        Count::Right | Count::Short => {
            applier.apply(live.as_deref(), pool, ours).await?;
        }
        Count::Stuck => return start_anew(&namespace, object, pool, context).await,
    }
    for pod in &decision.discard {
        context.writes.delete_pod(&namespace, pod).await?;
    }
    for old in &decision.old {
        leave(&namespace, &old.name, &old.uid, &old.step, context).await?;
    }
    Ok(())
}

/// Replaces a pool whose ReplicaSet lost count: no pod of it can be claimed any more, then it goes, and the visit that
/// its deletion brings makes it again. Claimed pods are the functions' and stay.
async fn start_anew(
    namespace: &str,
    object: &Environment,
    pool: &Deployment,
    context: &Context,
) -> Result<(), Trouble> {
    let name = pool.name_any();
    warn!(namespace, pool = name, "the pool stays short of pods for no reason; it is made anew");
    for pod in context.cache.pods_of_environment(namespace, &object.name_any()) {
        let seen = SeenPod::of(&pod);
        if seen.state() == Some(State::Free) && seen.pool.as_ref() == pool.labels().get(words::POOL) {
            context.writes.relabel(namespace, &seen.reference(), State::Free, State::Retiring).await?;
        }
    }
    if let Some(live) = Cache::get(&context.cache.deployments, namespace, &name) {
        context.writes.delete_seen(live.as_ref()).await?;
    }
    Ok(())
}

/// One step of a Deployment on its way out.
pub(crate) async fn leave(
    namespace: &str,
    name: &str,
    uid: &str,
    step: &OldStep,
    context: &Context,
) -> Result<Outcome, Trouble> {
    let writes = &context.writes;
    match step {
        OldStep::Keep => Ok(Outcome::TooLate),
        OldStep::Scale(replicas) => Ok(writes.resize(namespace, name, uid, *replicas).await?),
        OldStep::Delete => Ok(writes.delete::<Deployment>(namespace, name, uid).await?),
    }
}

/// While a pool holds more for its demand than it must, it is looked at when that falls; while it may be stuck, when that
/// is clear.
fn next(observed: &Observed, valid: &Valid, context: &Context) -> Action {
    let there = observed.pods.iter().filter(|pod| pod.pool.as_ref() == Some(&valid.template_hash) && pod.counts());
    let pool = observed.pools.iter().find(|pool| pool.name == valid.pool);
    let is_short = pool.is_some_and(|pool| there.count() < usize::try_from(pool.replicas).unwrap_or_default());
    let falls = || context.queues.index.tides.falls_in(&ObjectRef::from_obj(&observed.object));
    let falls = if observed.demand > valid.min { falls() } else { None };
    match (is_short, falls) {
        (true, falls) => Action::requeue(falls.map_or(PATIENCE, |falls| falls.min(PATIENCE))),
        (false, Some(falls)) => Action::requeue(falls),
        (false, None) => Action::await_change(),
    }
}

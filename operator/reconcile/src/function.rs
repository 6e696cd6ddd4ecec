//! The Function driver: its name, its revision, pods of its own where it needs them, and how many there are.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use muon_crds::words::{self, State};
use muon_crds::{ConditionType, Function, condition, names};
use muon_order::{Load, Order};
use muon_plan::function::{
    Autoscaler, Demand, HeldKeys, Observed, ReferenceKind, Referenced, Resolved, Resources, Scale, Usage, UsedPod,
    build, kept_now, references, report, scale, validate, wanted_keys,
};
use muon_plan::meta::Owner;
use muon_plan::{SeenDeployment, SeenPod};

use crate::apply::Ours;
use crate::cache::{Cache, is_controlled_by};
use crate::claims;
use crate::context::{Context, now};
use crate::controller::Action;
use crate::environment::leave;
use crate::gateways::Way;
use crate::links::Target;
use crate::place::namespace_of;
use crate::trouble::Trouble;
use crate::writes::Outcome;

/// The reason of a `Ready` that waits for the proxies.
const PROPAGATING: &str = "Propagating";

/// One visit.
pub async fn reconcile(object: Arc<Function>, context: Arc<Context>) -> Result<Action, Trouble> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let mut observed = observe(&object, &context);
    let read = read(&mut observed, &context).await;
    let outcome = match read.and_then(|()| Ok(validate(&observed, &context.plan)?)) {
        Ok(valid) => {
            let step = scale(&observed, valid.resolved.as_ref().ok());
            let resources = build(&valid, step.replicas, |owner, resolved| sign(owner, resolved, &context));
            apply(&observed, &resources, &step, &context).await.map(|()| valid)
        }
        Err(trouble) => Err(trouble),
    };
    let said = report(&observed, outcome.as_ref().map_err(|trouble| &trouble.invalid), &now());
    let written = context.function.reporting.settle(object.as_ref(), &said, outcome.as_ref().err()).await?;
    if condition::find(&said.status.conditions, ConditionType::Ready).is_some_and(|ready| ready.reason == PROPAGATING) {
        context.await_function(&object, &written.resource_version);
    }
    outcome.map(|_| next(&observed))
}

/// Again when the schedule may ask for another number; a clock that is set meanwhile shows with the next resync.
fn next(observed: &Observed) -> Action {
    match kept_now(observed).ok().and_then(|kept| kept.until) {
        Some(until) => Action::requeue(Duration::from_secs(until.saturating_sub(observed.now).max(1).unsigned_abs())),
        None => Action::await_change(),
    }
}

fn observe(object: &Function, context: &Context) -> Observed {
    let (cache, board) = (&context.cache, &context.board);
    let (namespace, name, uid) = (namespace_of(object), object.name_any(), object.uid().unwrap_or_default());
    let package = object.spec.package.clone().unwrap_or_else(|| names::inline_package(&name));
    let deployments = cache.deployments_of(&namespace, Target::Function(&name), &uid);
    let wanted = board.wanted(&uid);
    let pods = cache.pods_of_function(&namespace, &name);
    let pods = pods.iter().filter(|pod| is_of(pod, &uid)).map(|pod| used(pod, wanted, context));
    Observed {
        object: object.clone(),
        environment: Cache::get(&cache.environments, &namespace, &object.spec.environment).map(owned),
        package: Cache::get(&cache.packages, &namespace, &package).map(owned),
        references: references(&object.spec)
            .iter()
            .map(|it| referenced(&namespace, it.kind, &it.name, cache))
            .collect(),
        deployments: deployments.iter().map(|deployment| SeenDeployment::of(deployment)).collect(),
        pods: pods.collect(),
        autoscaler: autoscaler(object, &deployments, cache),
        now: seconds(),
        demand: Demand { wanted },
        failure: board.failure(&uid),
        watermark: board.watermarks().map(|seen| seen.functions),
    }
}

/// The autoscaler that names the Function, or else one of its Deployments; of several, the first by name.
fn autoscaler(object: &Function, deployments: &[Arc<Deployment>], cache: &Cache) -> Option<Autoscaler> {
    let all = cache.autoscalers_of(&namespace_of(object), &object.name_any());
    let mut targets =
        all.iter().filter_map(|scaler| Some((scaler.name_any(), &scaler.spec.as_ref()?.scale_target_ref)));
    let function = targets.clone().find(|(_, target)| target.kind == "Function" && target.name == object.name_any());
    if let Some((name, _)) = function {
        return Some(Autoscaler { name, deployment: None });
    }
    let is_own = |name: &str| deployments.iter().any(|own| own.name_any() == name);
    let deployment = targets.find(|(_, target)| target.kind == "Deployment" && is_own(&target.name));
    deployment.map(|(name, target)| Autoscaler { name, deployment: Some(target.name.clone()) })
}

/// The time, in seconds since 1970.
fn seconds() -> i64 {
    i64::try_from(crate::store_client::now()).unwrap_or(i64::MAX)
}

/// Reads the keys of ConfigMaps that variables take, where there are such.
async fn read(observed: &mut Observed, context: &Context) -> Result<(), Trouble> {
    let object = &observed.object;
    let wanted = wanted_keys(&object.spec);
    if wanted.is_empty() {
        return Ok(());
    }
    let (namespace, uid) = (namespace_of(object), object.uid().unwrap_or_default());
    let lives = |uid: &str| context.cache.index.uids.get(uid).is_some();
    Ok(context.values.fill(&namespace, &uid, wanted, &mut observed.references, lives).await?)
}

fn owned<K: Clone>(object: Arc<K>) -> K {
    Arc::unwrap_or_clone(object)
}

fn referenced(namespace: &str, kind: ReferenceKind, name: &str, cache: &Cache) -> Referenced {
    let resource_version = match kind {
        ReferenceKind::Secret => Cache::get(&cache.secrets, namespace, name).and_then(|it| it.resource_version()),
        ReferenceKind::ConfigMap => {
            Cache::get(&cache.config_maps, namespace, name).and_then(|it| it.resource_version())
        }
    };
    Referenced { kind, name: name.to_owned(), resource_version, keys: HeldKeys::default() }
}

/// Whether the pod is this Function's, and not one's of the same name that is gone.
fn is_of(pod: &Pod, uid: &str) -> bool {
    is_controlled_by(pod, uid) || pod.annotations().get(words::FUNCTION_UID).map(String::as_str) == Some(uid)
}

/// A pod and what the proxies do with it. It has been idle for no longer than it has been the function's; and one
/// that requests wait for has not been idle, though none has reached it yet.
fn used(pod: &Pod, wanted: u32, context: &Context) -> UsedPod {
    let seen = SeenPod::of(pod);
    let age = context.queues.index.ages.of(&seen.uid);
    let version = seen.resource_version.parse().unwrap_or(u64::MAX);
    let usage = context.board.usage(&seen.uid, version).map(|usage| {
        let idle_ms = if !usage.used && wanted > 0 { 0 } else { usage.idle_ms.min(age) };
        Usage { idle_ms, ..usage }
    });
    UsedPod { pod: seen, usage }
}

/// The order that the function's own pods start with: for this revision and digest, without an end, in whatever pod.
fn sign(owner: &Owner, resolved: &Resolved, context: &Context) -> String {
    context.signer.sign(&Order::Load(Load {
        pod_uid: None,
        namespace: owner.namespace.clone(),
        function_uid: owner.uid.clone(),
        revision: resolved.serving.revision.clone(),
        digest: resolved.serving.digest.clone(),
        until: None,
    }))
}

/// Makes what is desired: the name first, then what runs, then how many.
async fn apply(
    observed: &Observed,
    resources: &Resources,
    step: &Scale,
    context: &Arc<Context>,
) -> Result<(), Trouble> {
    let Resources { service, package, deployment } = resources;
    let object = &observed.object;
    let (namespace, uid) = (namespace_of(object), object.uid().unwrap_or_default());
    let (applier, cache, ours) = (&context.function.applier, &context.cache, Ours::Controller(&uid));

    context.gateways.ensure(&namespace, Way::Names).await?;
    let live = Cache::get(&cache.services, &namespace, &service.name_any());
    applier.apply(live.as_deref(), service, ours).await?;
    let inline = names::inline_package(&object.name_any());
    let live = Cache::get(&cache.packages, &namespace, &inline);
    match package {
        Some(package) => {
            applier.apply(live.as_deref(), package, ours).await?;
        }
        None => {
            if let Some(left) = live.filter(|left| ours.owns(left.as_ref())) {
                context.writes.delete_seen(left.as_ref()).await?;
            }
        }
    }
    for pod in &step.drain {
        context.writes.relabel(&namespace, pod, State::Claimed, State::Draining).await?;
    }
    if let Some(deployment) = deployment {
        let live = Cache::get(&cache.deployments, &namespace, &deployment.name_any());
        applier.apply(live.as_deref(), deployment, ours).await?;
    }
    for old in &step.old {
        leave(&namespace, &old.name, &old.uid, &old.step, context).await?;
    }
    for pod in &step.delete {
        if context.writes.delete_pod(&namespace, pod).await? == Outcome::Done {
            context.metrics.deleted("drained");
        }
    }
    if step.claim > 0 {
        claims::ask(context, object, step.claim, claimed(observed));
    }
    Ok(())
}

/// UIDs of the pods that have been claimed for the serving revision.
fn claimed(observed: &Observed) -> Vec<String> {
    let serving = observed.object.status.as_ref().and_then(|status| status.serving.as_ref());
    let revision = serving.map(|serving| serving.revision.as_str());
    let claimed = |used: &&UsedPod| {
        used.pod.state() == Some(State::Claimed) && used.pod.revision.as_deref() == revision && used.pod.counts()
    };
    observed.pods.iter().filter(claimed).map(|used| used.pod.uid.clone()).collect()
}

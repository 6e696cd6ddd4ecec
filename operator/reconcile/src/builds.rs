//! Builds: from a source in the store to its result there, by one Job.
//!
//! Nothing is remembered in this process: what a build came to stands in the store's index, how far it is in its Job, and that
//! it failed as well. So the same is built once, whoever was killed meanwhile.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, PostParams};
use muon_crds::{ConditionType, Package, condition, words};
use muon_order::{Build, Order};
use muon_plan::builds::{self, Phase, SeenJob, SeenStep, Valid};
use muon_plan::meta::Component;
use muon_plan::package::{Observed, Progress, Stored};
use muon_plan::{Invalid, SeenPod};
use tokio::sync::Mutex;

use crate::cache::{Cache, is_controlled_by};
use crate::call::{CallError, call, find};
use crate::context::Context;
use crate::place::namespace_of;
use crate::store_client::now;
use crate::trouble::{Again, Trouble};

/// A build that runs is looked at this often: its pod is not watched, and may not come up.
const LOOK: Duration = Duration::from_secs(10);
/// A build that waits for its turn, or for another Package's of the same input, looks for it this often.
const TURN: Duration = Duration::from_secs(2);
/// A Job on its way out needs a moment.
const LEAVING: Duration = Duration::from_secs(1);
/// The order outlives the Job by this.
const ORDER_MARGIN: u64 = 300;
/// Pods of one Job that are looked at: as many as are made of it, and some that a node's going took.
const PODS: u32 = 16;

/// Builds are begun one after the other: how many run is counted before each.
#[derive(Default)]
pub struct Beginning(Mutex<()>);

/// Has the result of the build be in the store.
pub async fn apply(
    observed: &Observed,
    source: &Stored,
    progress: &mut Progress,
    context: &Context,
) -> Result<Stored, Trouble> {
    let object = &observed.object;
    let valid = match builds::validate(observed, &source.digest, &context.plan) {
        Ok(valid) => valid,
        Err(invalid) => return Err(invalid.into()),
    };
    progress.build = Some(valid.status());
    tidy(object, Some(&valid.job), context).await?;
    if let Some(known) =
        known(object, &valid).filter(|known| context.archives.is_verified(&valid.owner.namespace, &known.digest))
    {
        return Ok(known);
    }
    // The Job first: a result that comes after it was looked at is not taken for one that the store has lost.
    let job = Cache::get(&context.cache.jobs, &namespace_of(object), &valid.job);
    if let Some(result) = recall(&valid, context).await? {
        context.metrics.built("built");
        return Ok(result);
    }
    let Some(job) = job else { return Err(begin(&valid, context).await?) };
    let seen = SeenJob::of(&job);
    if seen.key != valid.key {
        return Err(conflict(&valid));
    }
    match seen.phase {
        _ if seen.terminating => Err(after(valid.building(Some("an earlier Job of that name is going")), LEAVING)),
        Phase::Running => Err(follow(&job, &valid, context).await?),
        Phase::Failed { reason, message } => {
            let step = failed_step(&job, context).await?;
            if !is_told(object, &valid) {
                context.metrics.built("failed");
            }
            Err(builds::failure(&valid, &reason, &message, step.as_ref()).into())
        }
        Phase::Complete => {
            context.writes.delete_seen(job.as_ref()).await?;
            Err(after(valid.building(Some("the store has lost its result; it is built again")), LEAVING))
        }
    }
}

/// Removes what nobody needs any more: builds of older sources, and those that ended longest ago. `current` is the Job that
/// the spec asks for.
pub async fn tidy(object: &Package, current: Option<&str>, context: &Context) -> Result<(), Trouble> {
    let uid = object.uid().unwrap_or_default();
    let jobs = context.cache.jobs_of(&namespace_of(object), &object.name_any(), &uid);
    let jobs: Vec<SeenJob> = jobs.iter().map(|job| SeenJob::of(job)).collect();
    for old in builds::superfluous(&jobs, current, context.settings.build_history) {
        context.writes.delete::<Job>(&namespace_of(object), &old.name, &old.uid).await?;
    }
    Ok(())
}

/// What the status says of this very build.
fn known(object: &Package, valid: &Valid) -> Option<Stored> {
    let status = object.status.as_ref()?;
    let same = status.build.as_ref().is_some_and(|build| build.key == valid.key);
    let is_built = condition::is_true(&status.conditions, ConditionType::Built);
    let digest = status.digest.clone().filter(|_| same && is_built)?;
    Some(Stored { digest, size_bytes: status.size_bytes.unwrap_or_default() })
}

/// Whether the status says already that this very build failed.
fn is_told(object: &Package, valid: &Valid) -> bool {
    let Some(status) = &object.status else { return false };
    let built = condition::find(&status.conditions, ConditionType::Built);
    status.build.as_ref().is_some_and(|build| build.key == valid.key)
        && built.is_some_and(|condition| condition.status == "False")
}

/// What the store knows of a build, as long as it has the result.
async fn recall(valid: &Valid, context: &Context) -> Result<Option<Stored>, Trouble> {
    let namespace = &valid.owner.namespace;
    let Some(digest) = context.store.built(namespace, &valid.key).await? else { return Ok(None) };
    let Some(size) = context.store.size(namespace, &digest).await? else { return Ok(None) };
    context.archives.verify(namespace, &digest);
    Ok(Some(Stored { digest, size_bytes: i64::try_from(size).unwrap_or(i64::MAX) }))
}

/// Makes the Job, when it is its turn; what is said until it has come to something.
async fn begin(valid: &Valid, context: &Context) -> Result<Trouble, Trouble> {
    let namespace = &valid.owner.namespace;
    let bound = context.settings.builds;
    let runs = |job: &Job| job.namespace().as_ref() == Some(namespace) && SeenJob::of(job).phase == Phase::Running;
    if context.cache.jobs.state_filter(runs).len() >= bound {
        return Ok(after(valid.waiting(bound), TURN));
    }
    let _turn = context.beginning.0.lock().await;
    let api: Api<Job> = Api::namespaced(context.client.clone(), namespace);
    let there = running(&api).await?;
    if there.iter().any(|job| job.name == valid.job) {
        // The watch has not told of it yet.
        return Ok(after(valid.building(None), TURN));
    }
    if there.len() >= bound {
        return Ok(after(valid.waiting(bound), TURN));
    }
    let until = now() + u64::try_from(valid.deadline).unwrap_or_default() + ORDER_MARGIN;
    let order = Order::Build(Build {
        namespace: namespace.clone(),
        key: valid.key.clone(),
        source: valid.source.clone(),
        until,
    });
    let job = builds::job(valid, &context.signer.sign(&order));
    let params = PostParams { field_manager: Some(words::manager::PACKAGE.to_owned()), ..PostParams::default() };
    match call("make a build's Job", api.create(&params, &job)).await {
        Ok(_) => context.metrics.wrote("Job"),
        Err(CallError::Moved { .. }) => return there_already(&api, valid).await,
        Err(other) => return Err(other.into()),
    }
    // Another operator, that leads no more and does not know it, may have begun one as well: the last ones step back.
    for surplus in running(&api).await?.into_iter().skip(bound) {
        context.writes.delete::<Job>(namespace, &surplus.name, &surplus.uid).await?;
        if surplus.name == valid.job {
            return Ok(after(valid.waiting(bound), TURN));
        }
    }
    Ok(after(valid.building(None), LOOK))
}

/// The builds that run in a namespace, as the API server has them, the oldest first.
async fn running(api: &Api<Job>) -> Result<Vec<SeenJob>, Trouble> {
    let ours = format!("{}={}", words::APP_COMPONENT, Component::Build.as_str());
    let there = call("list builds", api.list(&ListParams::default().labels(&ours))).await?.items;
    let mut running: Vec<SeenJob> = there.iter().map(SeenJob::of).filter(|job| job.phase == Phase::Running).collect();
    running.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
    Ok(running)
}

/// A Job of the build's name is there, and did not run when they were counted: made by somebody else a moment ago, or
/// somebody else's.
async fn there_already(api: &Api<Job>, valid: &Valid) -> Result<Trouble, Trouble> {
    match find("read a Job that is there already", api.get(&valid.job)).await? {
        Some(job) if SeenJob::of(&job).key != valid.key => Err(conflict(valid)),
        _ => Ok(after(valid.building(None), TURN)),
    }
}

/// What is said of a Job that runs: what keeps its pod from starting, if anything does.
async fn follow(job: &Job, valid: &Valid, context: &Context) -> Result<Trouble, Trouble> {
    let pods = pods(job, context).await?;
    let trouble = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).find_map(|pod| {
        let seen = SeenPod::of(pod);
        seen.trouble.filter(|_| seen.phase == "Pending")
    });
    // Another Package's Job of the same input tells nobody of this one.
    let own = is_controlled_by(job, &valid.owner.uid);
    Ok(after(valid.building(trouble.as_deref()), if own { LOOK } else { TURN }))
}

/// The step at which the Job's last pod failed.
async fn failed_step(job: &Job, context: &Context) -> Result<Option<SeenStep>, Trouble> {
    let mut pods = pods(job, context).await?;
    pods.sort_by_key(|pod| pod.creation_timestamp().map(|made| made.0));
    Ok(pods.iter().rev().find_map(SeenStep::failed))
}

async fn pods(job: &Job, context: &Context) -> Result<Vec<Pod>, Trouble> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &namespace_of(job));
    let of = format!("batch.kubernetes.io/controller-uid={}", job.uid().unwrap_or_default());
    let params = ListParams::default().labels(&of).limit(PODS).match_any();
    Ok(call("list the pods of a build", api.list(&params)).await?.items)
}

fn conflict(valid: &Valid) -> Trouble {
    Trouble { invalid: valid.conflict(), again: Again::After(crate::trouble::NAME_CONFLICT) }
}

fn after(invalid: Invalid, time: Duration) -> Trouble {
    Trouble { invalid, again: Again::After(time) }
}

/// Whether a change of a Job concerns its Package: how far it is, not how many pods it has.
pub fn is_news(old: Option<&Job>, new: Option<&Job>) -> bool {
    let view = |job: &Job| SeenJob { created: 0, ..SeenJob::of(job) };
    old.map(view) != new.map(view)
}

/// The Environment whose builder the Package needs.
pub fn environment(object: &Package, context: &Context) -> Option<Arc<muon_crds::Environment>> {
    object.spec.build.as_ref()?;
    Cache::get(&context.cache.environments, &namespace_of(object), &object.spec.environment)
}

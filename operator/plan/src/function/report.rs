//! What is said of a Function, and what requests are served with.

use muon_crds::function::{Mode, PastRevision, Serving};
use muon_crds::scaling::ScalingStatus;
use muon_crds::words::{self, State};
use muon_crds::{Condition, ConditionType, FunctionStatus, condition};

use super::schedule::AUTOSCALED;
use super::{Observed, Resolved, Usage, UsedPod, Valid};
use crate::conditions::{self, Said, Truth, no, unknown, yes};
use crate::finding::{Invalid, Note, NoteType, Report};

/// The status after a visit that ended with `outcome`. The proxies route by `serving`, which changes here and
/// nowhere else; `Ready` follows once every ready proxy has applied the change.
pub fn report(observed: &Observed, outcome: Result<&Valid, &Invalid>, now: &str) -> Report<FunctionStatus> {
    let object = &observed.object;
    let old = object.status.clone().unwrap_or_default();
    let resolved = outcome.and_then(|valid| valid.resolved.as_ref());

    let serving = resolved.map_or_else(|_| old.serving.clone(), |resolved| Some(next(observed, resolved)));
    let loaded = resolved.ok().map(|resolved| loaded(observed, &resolved.serving));
    let finding = match resolved {
        Err(invalid) => Some(invalid.clone()),
        Ok(resolved) => unserved(observed, resolved, serving.as_ref(), loaded.as_ref()),
    };

    let mut said = conditions::summary(finding.as_ref(), "Served", "requests are served");
    said.push(resolution(resolved, &old.conditions));
    said.extend(loaded.or_else(|| conditions::again(&old.conditions, ConditionType::Loaded)));
    let generation = object.metadata.generation;
    let conditions = conditions::merge(&old.conditions, said, generation, now);
    let mut notes = conditions::notes(&old.conditions, &conditions, "Serve");

    let name = object.metadata.name.as_deref().unwrap_or_default();
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let replicas = serving.as_ref().map_or(0, |serving| replicas(observed, serving));
    let scaling = super::kept_now(observed).ok().and_then(|kept| kept.status(replicas));
    notes.extend(scaler(old.scaling.as_ref(), scaling.as_ref()));
    let status = FunctionStatus {
        observed_generation: generation,
        conditions,
        url: Some(format!("http://{name}.{namespace}")),
        replicas,
        ready_replicas: serving.as_ref().map_or(0, |serving| ready_replicas(observed, serving, old.ready_replicas)),
        scaling,
        selector: Some(format!("{}={name}", words::FUNCTION)),
        revisions: past(old.revisions, old.serving.as_ref(), serving.as_ref(), now),
        serving,
    };
    Report { status, notes }
}

/// So many revisions that served are told of.
const MAX_PAST: usize = 5;

/// What served before, with what ends now if anything does.
fn past(mut all: Vec<PastRevision>, old: Option<&Serving>, new: Option<&Serving>, now: &str) -> Vec<PastRevision> {
    if let (Some(old), Some(new)) = (old, new)
        && old.revision != new.revision
    {
        let (revision, digest) = (old.revision.clone(), old.digest.clone());
        let since = all.first().map(|last| last.until.clone());
        all.insert(0, PastRevision { revision, digest, since, until: now.to_owned() });
        all.truncate(MAX_PAST);
    }
    all
}

/// The Event that tells who scales it from now on, when that changes between us and an autoscaler.
fn scaler(old: Option<&ScalingStatus>, new: Option<&ScalingStatus>) -> Option<Note> {
    let autoscaled = |status: Option<&ScalingStatus>| status.filter(|status| status.reason == AUTOSCALED).is_some();
    let message = match (autoscaled(old), new.filter(|_| autoscaled(new))) {
        (false, Some(new)) => new.message.clone(),
        (true, None) => {
            "no HorizontalPodAutoscaler scales it any more: it has as many pods as requests need".to_owned()
        }
        _ => return None,
    };
    let reason = if autoscaled(new) { AUTOSCALED } else { "NotAutoscaled" };
    Some(Note { type_: NoteType::Normal, reason: reason.to_owned(), action: "Scale", message })
}

/// What requests are to be served with from now on. A revision of the pool takes over at once: requests wait for
/// its first pod. One with its own pods takes over from running ones only when it has a ready pod itself.
pub(super) fn next(observed: &Observed, resolved: &Resolved) -> Serving {
    let wanted = &resolved.serving;
    let present = observed.object.status.as_ref().and_then(|status| status.serving.as_ref());
    match present {
        Some(present) if present.revision != wanted.revision && must_wait(observed, present, wanted) => present.clone(),
        _ => wanted.clone(),
    }
}

fn must_wait(observed: &Observed, present: &Serving, wanted: &Serving) -> bool {
    wanted.mode == Mode::Deployment
        && ready_pods(observed, &present.revision) > 0
        && ready_pods(observed, &wanted.revision) == 0
}

/// Pods of a revision to which a request can be sent.
pub(super) fn ready_pods(observed: &Observed, revision: &str) -> usize {
    observed.pods.iter().filter(|used| used.pod.ready && serves(used, revision)).count()
}

fn serves(used: &UsedPod, revision: &str) -> bool {
    let pod = &used.pod;
    pod.counts() && pod.state() == Some(State::Claimed) && pod.revision.as_deref() == Some(revision)
}

fn replicas(observed: &Observed, serving: &Serving) -> i32 {
    let pods = observed.pods.iter().filter(|used| serves(used, &serving.revision)).count();
    i32::try_from(pods).unwrap_or(i32::MAX)
}

/// Pods in which the next request is warm. Of pods of which the proxies have not told yet, as after a start of the
/// operator, as many are held to be as there were `before`.
fn ready_replicas(observed: &Observed, serving: &Serving, before: i32) -> i32 {
    let serving = observed.pods.iter().filter(|used| used.pod.ready && serves(used, &serving.revision));
    let (known, unknown): (Vec<_>, Vec<_>) = serving.partition(|used| used.pod.own || used.usage.is_some());
    let loaded = known.iter().filter(|used| has_loaded(used)).count();
    let unknown = usize::try_from(before).unwrap_or_default().saturating_sub(loaded).min(unknown.len());
    i32::try_from(loaded + unknown).unwrap_or(i32::MAX)
}

/// Whether the code is known to be loaded in it.
fn has_loaded(used: &UsedPod) -> bool {
    let said = |usage: &Usage| (usage.used || usage.loaded) && !usage.broken;
    used.pod.own && used.pod.ready || used.usage.as_ref().is_some_and(said)
}

/// Whether every ready proxy routes by the `serving` that the object has: they have passed its version, or had
/// when it was last said to be ready.
pub(super) fn applied_everywhere(observed: &Observed) -> bool {
    let object = &observed.object;
    let Some(status) = object.status.as_ref().filter(|status| status.serving.is_some()) else { return false };
    let version = object.metadata.resource_version.as_ref().and_then(|version| version.parse::<u64>().ok());
    let passed = matches!((version, observed.watermark), (Some(version), Some(seen)) if seen >= version);
    passed || condition::is_true(&status.conditions, ConditionType::Ready)
}

/// What keeps requests from being served as the spec says, though all that it refers to is there.
fn unserved(
    observed: &Observed,
    resolved: &Resolved,
    serving: Option<&Serving>,
    loaded: Option<&Said>,
) -> Option<Invalid> {
    if let Some(failed) = loaded.filter(|said| said.status == Truth::False) {
        let message = format!("the code could not be loaded: {}", failed.message);
        return Some(Invalid::stalled(ConditionType::Loaded, "LoadFailed", message));
    }
    if let Some(trouble) = trouble(observed, &resolved.serving) {
        return Some(Invalid::waiting(ConditionType::Loaded, "PodsNotStarting", trouble));
    }
    let waiting = |reason, message| Some(Invalid::waiting(ConditionType::Ready, reason, message));
    if serving.is_none_or(|serving| *serving != resolved.serving) {
        let message = "the last revision serves until a pod of the new one is ready";
        return waiting("RollingOut", message);
    }
    let written = observed.object.status.as_ref().and_then(|status| status.serving.as_ref());
    if written != serving || !applied_everywhere(observed) {
        let message = match observed.watermark {
            Some(_) => "waiting for every proxy to apply it",
            None => "waiting for a proxy: none is ready",
        };
        return waiting("Propagating", message);
    }
    None
}

/// What keeps the function's own pods from starting, when none of them is ready.
fn trouble(observed: &Observed, serving: &Serving) -> Option<String> {
    if serving.mode == Mode::Pool || ready_pods(observed, &serving.revision) > 0 {
        return None;
    }
    let of_pod = observed
        .pods
        .iter()
        .filter(|used| serves(used, &serving.revision))
        .find_map(|used| used.pod.trouble.as_ref().map(|trouble| format!("pod {}: {trouble}", used.pod.name)));
    let of_deployment = || {
        let own = observed.deployments.iter().find(|own| own.revision.as_deref() == Some(&serving.revision))?;
        own.trouble.as_ref().map(|trouble| format!("Deployment {}: {trouble}", own.name))
    };
    of_pod.or_else(of_deployment)
}

/// A word that may stand as a reason. It comes from a pod, by way of a proxy: it is only taken when it looks like one.
fn word(reason: &str) -> &str {
    let fits = (1..=64).contains(&reason.len()) && reason.bytes().all(|byte| byte.is_ascii_alphabetic());
    if fits { reason } else { "ImportFailed" }
}

fn resolution(resolved: Result<&Resolved, &Invalid>, old: &[Condition]) -> Said {
    match resolved {
        Ok(_) => yes(ConditionType::Resolved, "Resolved", "all that it refers to is there"),
        Err(invalid) if invalid.condition == ConditionType::Resolved => {
            no(ConditionType::Resolved, invalid.reason, invalid.message.clone())
        }
        Err(_) => conditions::again(old, ConditionType::Resolved)
            .unwrap_or_else(|| unknown(ConditionType::Resolved, "NotChecked", "not looked at yet")),
    }
}

/// Whether the revision could be loaded. Nobody knows before its first request; what is known stays known until
/// the revision is another.
fn loaded(observed: &Observed, wanted: &Serving) -> Said {
    if let Some(failure) = observed.failure.as_ref().filter(|failure| failure.revision == wanted.revision) {
        return no(ConditionType::Loaded, word(&failure.reason), failure.message.clone());
    }
    if observed.pods.iter().any(|used| serves(used, &wanted.revision) && has_loaded(used)) {
        return yes(ConditionType::Loaded, "Loaded", "a pod has loaded the code");
    }
    let status = observed.object.status.as_ref();
    let same = status.and_then(|status| status.serving.as_ref()).is_some_and(|old| old.revision == wanted.revision);
    status
        .filter(|_| same)
        .and_then(|status| conditions::again(&status.conditions, ConditionType::Loaded))
        .unwrap_or_else(|| unknown(ConditionType::Loaded, "NotCalled", "nothing has called this revision yet"))
}

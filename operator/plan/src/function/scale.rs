//! How many pods a Function has, and which of them go.
//!
//! Generic pods are claimed by proxies, so here they are only drained: `draining`, then deleted. Own pods belong to
//! a Deployment for each revision, whose replicas go up with demand and down behind drained pods.

use muon_crds::FunctionSpec;
use muon_crds::function::{Mode, Serving};
use muon_crds::words::State;
use muon_crds::{ConditionType, condition};

use super::autoscale::{is_left, kept_now};
use super::report::{applied_everywhere, next, ready_pods};
use super::{Observed, OldDeployment, Resolved, Scale, Usage, UsedPod};
use crate::seen::SeenDeployment;
use crate::shrink::{Member, OldStep, Shrink, Standing, shrink};

/// Replicas of a Function's own Deployment: held by `spec.replicas`, or what requests want and what is still `kept`
/// (in use, or not idle for long enough), between `min`, as the time has it, and `max`. Pods in use are never taken for
/// being above `max`: replicas follow only behind drained pods.
pub fn own_replicas(spec: &FunctionSpec, min: i32, wanted: u32, kept: i32) -> i32 {
    if spec.replicas > 0 {
        return spec.replicas;
    }
    let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
    let scaling = &spec.scaling;
    wanted.max(kept).max(min).min(scaling.max.max(min))
}

/// One step towards the number of pods that is asked for. `wanted` is what [`super::validate`] resolved, if it did.
pub fn scale(observed: &Observed, wanted: Option<&Resolved>) -> Scale {
    let serving = wanted.map(|resolved| next(observed, resolved)).or_else(|| written(observed).cloned());
    let view = View::of(observed, wanted, serving.as_ref());
    let mut scale = view.pool();
    view.own(&mut scale);
    scale
}

/// The Function as this module sees it.
struct View<'a> {
    observed: &'a Observed,
    spec: &'a FunctionSpec,
    /// What the proxies are told to serve with, now or by this visit.
    serving: Option<&'a Serving>,
    /// What is asked for.
    wanted: Option<&'a Serving>,
    /// No proxy sends anything to another revision than the serving one any more.
    switched: bool,
    /// `spec.replicas` holds a number: a pod too many goes, idle or not, once it is drained.
    held: bool,
    /// UIDs of pods beyond `scaling.max`, which go as soon as nothing is in them.
    surplus: Vec<&'a str>,
    idle_ms: u64,
    /// Pods kept though nobody calls. A schedule that cannot be read keeps what `scaling.min` says.
    min: i32,
}

fn written(observed: &Observed) -> Option<&Serving> {
    observed.object.status.as_ref().and_then(|status| status.serving.as_ref())
}

impl<'a> View<'a> {
    fn of(observed: &'a Observed, wanted: Option<&'a Resolved>, serving: Option<&'a Serving>) -> Self {
        let spec = &observed.object.spec;
        Self {
            observed,
            spec,
            serving,
            wanted: wanted.map(|resolved| &resolved.serving),
            switched: written(observed) == serving && applied_everywhere(observed),
            held: spec.replicas > 0,
            surplus: surplus(observed, serving),
            min: kept_now(observed).map_or(spec.scaling.min, |kept| kept.pods),
            idle_ms: u64::try_from(spec.scaling.idle_seconds).unwrap_or_default() * 1000,
        }
    }

    fn is_serving(&self, revision: Option<&str>) -> bool {
        self.serving.is_some_and(|serving| Some(serving.revision.as_str()) == revision)
    }

    fn is_wanted(&self, revision: Option<&str>) -> bool {
        self.wanted.is_some_and(|wanted| Some(wanted.revision.as_str()) == revision)
    }

    fn standing(&self, used: &UsedPod) -> Standing {
        let revision = used.pod.revision.as_deref();
        let idle = |usage: &Usage| {
            let surplus = || self.surplus.contains(&used.pod.uid.as_str());
            self.held || usage.in_flight == 0 && (usage.idle_ms >= self.idle_ms || surplus())
        };
        let drained = |usage: &Usage| usage.in_flight == 0 && usage.seen;
        match used.pod.state() {
            Some(State::Draining) if used.usage.as_ref().is_some_and(drained) => Standing::Gone,
            Some(State::Draining) => Standing::Leaving,
            Some(State::Claimed) if is_broken(used) => Standing::Leaving,
            Some(State::Claimed) if self.is_serving(revision) => match &used.usage {
                Some(usage) if idle(usage) => Standing::Spare,
                _ => Standing::Needed,
            },
            // Another revision is of no use once every proxy has left it, unless it is the one to come.
            Some(State::Claimed) if self.switched && !self.is_wanted(revision) => Standing::Spare,
            _ => Standing::Needed,
        }
    }

    /// The pods of a kind, in the order in which they are to go: those with the least in flight first, and of those the
    /// ones that have been idle for longest. Where little is to do, the same few pods so stay in use.
    fn members(&self, own: bool, keep: impl Fn(Option<&str>) -> bool) -> Vec<Member<'a>> {
        let is_kept = |used: &&UsedPod| used.pod.own == own && used.pod.counts() && keep(used.pod.revision.as_deref());
        let mut pods: Vec<&UsedPod> = self.observed.pods.iter().filter(is_kept).collect();
        pods.sort_by_key(|used| use_of(used));
        pods.into_iter().map(|used| Member { pod: &used.pod, standing: self.standing(used) }).collect()
    }

    /// Pods kept though nobody calls.
    fn floor(&self) -> usize {
        usize::try_from(self.min).unwrap_or_default()
    }

    /// Claimed generic pods: idle ones beyond the floor drain, those of earlier revisions all do. And of all pods,
    /// broken ones drain and ended ones are deleted.
    fn pool(&self) -> Scale {
        let all = self.members(false, |_| true);
        let serving = |member: &&Member<'_>| self.is_serving(member.pod.revision.as_deref());
        let there = all
            .iter()
            .filter(serving)
            .filter(|member| matches!(member.standing, Standing::Needed | Standing::Spare))
            .count();
        let spare = all.iter().filter(|member| member.standing == Standing::Spare);
        let (current, earlier): (Vec<_>, Vec<_>) = spare.partition(serving);
        let surplus = current.into_iter().take(there.saturating_sub(self.floor()));
        let drain = surplus.chain(earlier).map(|member| member.pod.reference());
        let gone = all.iter().filter(|it| it.standing == Standing::Gone).map(|it| it.pod.reference());

        let pods = || self.observed.pods.iter();
        let is_claimed = |used: &UsedPod| used.pod.counts() && used.pod.state() == Some(State::Claimed);
        let broken = pods().filter(|used| is_broken(used) && is_claimed(used)).map(|used| used.pod.reference());
        let ended = pods().filter(|used| used.pod.ended() && !used.pod.terminating).map(|used| used.pod.reference());
        Scale {
            drain: drain.chain(broken).collect(),
            delete: gone.chain(ended).collect(),
            claim: if self.claims() && there < self.floor() { count(self.floor()) } else { 0 },
            ..Scale::default()
        }
    }

    /// Whether pods are claimed though nobody calls: not while the code is known not to load.
    fn claims(&self) -> bool {
        let is_pool = self.serving.is_some_and(|serving| serving.mode == Mode::Pool);
        let status = self.observed.object.status.as_ref();
        let loaded = status.and_then(|status| condition::find(&status.conditions, ConditionType::Loaded));
        is_pool && self.switched && loaded.is_none_or(|loaded| loaded.status != "False")
    }

    /// Own Deployments: one for what is asked for, and those of other revisions.
    fn own(&self, scale: &mut Scale) {
        let mut take = |step: &Shrink| {
            scale.drain.extend(step.mark.iter().cloned());
            scale.delete.extend(step.discard.iter().cloned());
        };
        let wanted = self.wanted.filter(|wanted| wanted.mode == Mode::Deployment);
        if let Some(wanted) = wanted {
            let current = self.observed.deployments.iter().find(|own| is_of(own, &wanted.revision));
            let step = match current.filter(|own| is_left(self.observed, own)) {
                Some(own) => self.leave(&wanted.revision, own.replicas),
                None => self.step(&wanted.revision, current.map_or(0, |own| own.replicas)),
            };
            take(&step);
            scale.replicas = step.replicas;
        }
        for own in &self.observed.deployments {
            if wanted.is_some_and(|wanted| is_of(own, &wanted.revision)) {
                continue;
            }
            let revision = own.revision.as_deref().unwrap_or_default();
            let step = self.step(revision, own.replicas);
            take(&step);
            let is_needed = self.is_serving(Some(revision)) || self.is_wanted(Some(revision));
            let empty = self.members(true, |it| it == Some(revision)).is_empty();
            let next = if own.replicas == 0 && step.replicas == 0 && empty && !is_needed {
                OldStep::Delete
            } else if step.replicas == own.replicas {
                OldStep::Keep
            } else {
                OldStep::Scale(step.replicas)
            };
            scale.old.push(OldDeployment { name: own.name.clone(), uid: own.uid.clone(), step: next });
        }
    }

    /// A Deployment whose number is not ours: drained pods are replaced, and that is all.
    fn leave(&self, revision: &str, current: i32) -> Shrink {
        Shrink { mark: Vec::new(), ..shrink(self.members(true, |it| it == Some(revision)), current, current) }
    }

    fn step(&self, revision: &str, current: i32) -> Shrink {
        let members = self.members(true, |it| it == Some(revision));
        let kept = members.iter().filter(|member| member.standing == Standing::Needed).count();
        let kept = i32::try_from(kept).unwrap_or(i32::MAX);
        let desired = match (self.is_serving(Some(revision)), self.is_wanted(Some(revision))) {
            (true, _) => own_replicas(self.spec, self.min, self.observed.demand.wanted, kept),
            (false, true) => self.coming(),
            // Not before every proxy has left it.
            (false, false) if !self.switched => current,
            (false, false) => 0,
        };
        shrink(members, desired, current)
    }

    /// The revision to come: nothing while nothing runs, for then it takes over at once and is scaled as the serving
    /// one. Otherwise as many pods as requests want now, and one at least, to take over with.
    fn coming(&self) -> i32 {
        let running = self.serving.is_some_and(|serving| ready_pods(self.observed, &serving.revision) > 0);
        let least = i32::from(running);
        own_replicas(self.spec, self.min, self.observed.demand.wanted, least)
    }
}

/// UIDs of the pods that serve beyond `scaling.max`: after a claim too many, made while a home proxy died, or after the
/// bound was lowered. Those first that are used least.
fn surplus<'a>(observed: &'a Observed, serving: Option<&Serving>) -> Vec<&'a str> {
    let spec = &observed.object.spec;
    let Some(serving) = serving.filter(|_| spec.replicas == 0) else { return Vec::new() };
    let serves = |used: &&UsedPod| {
        let pod = &used.pod;
        pod.counts() && pod.state() == Some(State::Claimed) && pod.revision.as_deref() == Some(&serving.revision)
    };
    let mut there: Vec<&UsedPod> = observed.pods.iter().filter(serves).collect();
    there.sort_by_key(|used| use_of(used));
    let most = usize::try_from(spec.scaling.max).unwrap_or_default();
    let beyond = there.len().saturating_sub(most);
    there.into_iter().take(beyond).map(|used| used.pod.uid.as_str()).collect()
}

/// How much a pod is in use, to sort by: what is in it, then how short a time it has been idle.
fn use_of(used: &UsedPod) -> (u32, std::cmp::Reverse<u64>) {
    let usage = used.usage.as_ref();
    (usage.map_or(u32::MAX, |usage| usage.in_flight), std::cmp::Reverse(usage.map_or(0, |usage| usage.idle_ms)))
}

fn is_broken(used: &UsedPod) -> bool {
    used.usage.as_ref().is_some_and(|usage| usage.broken)
}

fn count(pods: usize) -> u32 {
    u32::try_from(pods).unwrap_or(u32::MAX)
}

fn is_of(own: &SeenDeployment, revision: &str) -> bool {
    own.revision.as_deref() == Some(revision)
}

#[cfg(test)]
mod tests;

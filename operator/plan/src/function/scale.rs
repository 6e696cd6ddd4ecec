//! How many pods a Function has, and which of them go.
//!
//! Generic pods are claimed by proxies, so here they are only drained: `draining`, then deleted. Own pods belong to
//! a Deployment for each revision, whose replicas go up with demand and down behind drained pods.

use muon_crds::FunctionSpec;
use muon_crds::function::{Mode, Serving};
use muon_crds::words::State;

use super::report::{applied_everywhere, ready_pods};
use super::{Observed, OldDeployment, Resolved, Scale, UsedPod};
use crate::seen::SeenDeployment;
use crate::shrink::{Member, OldStep, Shrink, Standing, shrink};

/// Replicas of a Function's own Deployment: held by `spec.replicas`, or what requests want and what is still `kept`
/// (in use, or not idle for long enough), between `min` and `max`. Pods in use are never taken for being above
/// `max`: replicas follow only behind drained pods.
pub fn own_replicas(spec: &FunctionSpec, wanted: u32, kept: i32) -> i32 {
    if spec.replicas > 0 {
        return spec.replicas;
    }
    let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
    let scaling = &spec.scaling;
    wanted.max(kept).max(scaling.min).min(scaling.max.max(scaling.min))
}

/// One step towards the number of pods that is asked for. `wanted` is what [`super::validate`] resolved, if it did.
pub fn scale(observed: &Observed, wanted: Option<&Resolved>) -> Scale {
    let view = View::of(observed, wanted);
    let mut scale = view.pool();
    view.own(&mut scale);
    scale
}

/// The Function as this module sees it.
struct View<'a> {
    observed: &'a Observed,
    spec: &'a FunctionSpec,
    /// What the proxies are told to serve with.
    serving: Option<&'a Serving>,
    /// What is asked for.
    wanted: Option<&'a Serving>,
    /// No proxy sends anything to another revision than the serving one any more.
    switched: bool,
    idle_ms: u64,
}

impl<'a> View<'a> {
    fn of(observed: &'a Observed, wanted: Option<&'a Resolved>) -> Self {
        let spec = &observed.object.spec;
        // Held at a number, a pod too many goes as soon as nothing is in flight in it.
        let idle_seconds = if spec.replicas > 0 { 0 } else { spec.scaling.idle_seconds };
        Self {
            observed,
            spec,
            serving: observed.object.status.as_ref().and_then(|status| status.serving.as_ref()),
            wanted: wanted.map(|resolved| &resolved.serving),
            switched: applied_everywhere(observed),
            idle_ms: u64::try_from(idle_seconds).unwrap_or_default() * 1000,
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
        let idle = |usage: &super::Usage| usage.in_flight == 0 && usage.idle_ms >= self.idle_ms;
        let drained = |usage: &super::Usage| usage.in_flight == 0 && usage.seen;
        match used.pod.state() {
            Some(State::Draining) if used.usage.as_ref().is_some_and(drained) => Standing::Gone,
            Some(State::Draining) => Standing::Leaving,
            Some(State::Claimed) if self.is_serving(revision) => match &used.usage {
                Some(usage) if idle(usage) => Standing::Spare,
                _ => Standing::Needed,
            },
            // Another revision is of no use once every proxy has left it, unless it is the one to come.
            Some(State::Claimed) if self.switched && !self.is_wanted(revision) => Standing::Spare,
            _ => Standing::Needed,
        }
    }

    fn members(&self, own: bool, keep: impl Fn(Option<&str>) -> bool) -> Vec<Member<'a>> {
        self.observed
            .pods
            .iter()
            .filter(|used| used.pod.own == own && used.pod.counts() && keep(used.pod.revision.as_deref()))
            .map(|used| Member { pod: &used.pod, standing: self.standing(used) })
            .collect()
    }

    /// Pods kept though nobody calls.
    fn floor(&self) -> usize {
        let floor = if self.spec.replicas > 0 { self.spec.replicas } else { self.spec.scaling.min };
        usize::try_from(floor).unwrap_or_default()
    }

    /// Claimed generic pods: idle ones beyond the floor drain, those of earlier revisions all do.
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
        let is_pool = self.serving.is_some_and(|serving| serving.mode == Mode::Pool);
        let missing = is_pool && there < self.floor();
        Scale {
            drain: surplus.chain(earlier).map(|member| member.pod.reference()).collect(),
            delete: all.iter().filter(|it| it.standing == Standing::Gone).map(|it| it.pod.reference()).collect(),
            claim: if missing { u32::try_from(self.floor()).unwrap_or(u32::MAX) } else { 0 },
            ..Scale::default()
        }
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
            let step = self.step(&wanted.revision, current.map_or(0, |own| own.replicas));
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

    fn step(&self, revision: &str, current: i32) -> Shrink {
        let members = self.members(true, |it| it == Some(revision));
        let kept = members.iter().filter(|member| member.standing == Standing::Needed).count();
        let kept = i32::try_from(kept).unwrap_or(i32::MAX);
        let desired = match (self.is_serving(Some(revision)), self.is_wanted(Some(revision))) {
            (true, _) => own_replicas(self.spec, self.observed.demand.wanted, kept),
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
        own_replicas(self.spec, self.observed.demand.wanted, least)
    }
}

fn is_of(own: &SeenDeployment, revision: &str) -> bool {
    own.revision.as_deref() == Some(revision)
}

#[cfg(test)]
mod tests;

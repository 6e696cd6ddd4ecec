//! How many generic pods there are to be, and which of them go.

use muon_crds::words::State;

use super::{Observed, OldPool, PoolDecision, Valid};
use crate::seen::{PodRef, SeenDeployment, SeenPod};
use crate::shrink::{Member, OldStep, Shrink, Standing, shrink};

/// The sizes of an Environment's pools: the current one between `min` and `max` by demand, those of earlier
/// templates none, and never less than what may be in use.
pub fn pool_size(observed: &Observed, valid: &Valid) -> PoolDecision {
    let desired = observed.demand.clamp(valid.min, valid.max);
    let is_current = |pool: &&SeenDeployment| pool.pool.as_deref() == Some(valid.template_hash.as_str());
    let current = observed.pools.iter().find(is_current);
    let step = match current {
        Some(pool) => shrink(members(observed, &valid.template_hash), desired, pool.replicas),
        None => Shrink { replicas: desired, mark: Vec::new(), discard: Vec::new() },
    };

    let mut retire = step.mark;
    let old = observed.pools.iter().filter(|pool| !is_current(pool)).map(|pool| {
        let (old, marked) = leave(observed, pool);
        retire.extend(marked);
        old
    });
    let old = old.collect();
    let ended = observed.pods.iter().filter(|pod| pod.ended() && !pod.terminating && standing(pod).is_some());
    let discard = step.discard.into_iter().chain(ended.map(SeenPod::reference)).collect();
    PoolDecision { replicas: step.replicas, retire, discard, old }
}

/// What a pool was made to hold, as far as it can be seen on the pool itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// What the current pool is asked to have; none: there is none yet.
    pub replicas: Option<i32>,
    /// What an operator that knows nothing of the past takes the level for: the pods that are left when a shrinking
    /// that was begun is over. None where that is no more than there must be: nothing was held for a demand then.
    pub level: i32,
}

/// What the pool was made to hold. Where there is none of the current template, the largest of the earlier ones counts.
pub fn held(observed: &Observed, valid: &Valid) -> Held {
    let current = observed.pools.iter().find(|pool| pool.pool.as_deref() == Some(valid.template_hash.as_str()));
    let left = match current {
        Some(pool) => left(observed, pool),
        None => observed.pools.iter().map(|pool| left(observed, pool)).max().unwrap_or(0),
    };
    Held { replicas: current.map(|pool| pool.replicas), level: if left > valid.min { left } else { 0 } }
}

/// The pods of a pool when it will have shrunk as far as pods of it are marked. Those that its ReplicaSet has yet to make
/// (in the place of claimed ones) are among them.
fn left(observed: &Observed, pool: &SeenDeployment) -> i32 {
    let mut members = members(observed, pool.pool.as_deref().unwrap_or_default());
    members.retain(|member| member.pod.counts());
    let marked = members.iter().filter(|member| member.standing == Standing::Gone).count();
    let count = |pods: usize| i32::try_from(pods).unwrap_or(i32::MAX);
    pool.replicas.min(pool.replicas.max(count(members.len())) - count(marked)).max(0)
}

/// A pool of an earlier template: all free pods retire, then it shrinks to nothing, then it goes.
fn leave(observed: &Observed, pool: &SeenDeployment) -> (OldPool, Vec<PodRef>) {
    let hash = pool.pool.as_deref().unwrap_or_default();
    let members = members(observed, hash);
    let empty = members.is_empty();
    let step = shrink(members, 0, pool.replicas);
    let next = if pool.replicas == 0 && empty {
        OldStep::Delete
    } else if step.replicas < pool.replicas {
        OldStep::Scale(step.replicas)
    } else {
        OldStep::Keep
    };
    (OldPool { name: pool.name.clone(), uid: pool.uid.clone(), step: next }, step.mark)
}

/// The pods that the pool's ReplicaSet owns, those on their way out included.
fn members<'a>(observed: &'a Observed, hash: &str) -> Vec<Member<'a>> {
    observed
        .pods
        .iter()
        .filter(|pod| pod.pool.as_deref() == Some(hash))
        .filter_map(|pod| Some(Member { pod, standing: standing(pod)? }))
        .collect()
}

/// What may be done with a generic pod; none when it is no longer the pool's.
fn standing(pod: &SeenPod) -> Option<Standing> {
    match pod.state()? {
        State::Free => Some(Standing::Spare),
        State::Reserved => Some(Standing::Needed),
        // Nobody can claim a retiring pod: it is out of use from the moment it is labelled.
        State::Retiring => Some(Standing::Gone),
        State::Claimed | State::Draining => None,
    }
}

#[cfg(test)]
mod tests;

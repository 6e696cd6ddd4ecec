//! Making a ReplicaSet smaller without ever losing a pod that somebody uses.
//!
//! A ReplicaSet chooses itself which pods go when it shrinks, and sees claims and requests late. So the pods that
//! are to go are marked first (with the lowest deletion cost, in a state in which nobody can begin to use them),
//! and replicas are lowered only as far as the ReplicaSet's own order of choice meets marked pods and no other.

use serde::Serialize;

use crate::seen::{PodRef, SeenPod};

/// What may be done with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It stays.
    Needed,
    /// It may be marked.
    Spare,
    /// It is marked, but may still be in use.
    Leaving,
    /// It is marked, and nobody uses it or can begin to.
    Gone,
}

/// A pod that the ReplicaSet counts.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The pod.
    pub pod: &'a SeenPod,
    /// What may be done with it.
    pub standing: Standing,
}

/// One step of making a ReplicaSet smaller (or larger).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrink {
    /// `spec.replicas` now.
    pub replicas: i32,
    /// Pods to be marked now; replicas follow once they are.
    pub mark: Vec<PodRef>,
    /// Marked pods that no shrinking needs: deleting them has the ReplicaSet start fresh ones.
    pub discard: Vec<PodRef>,
}

/// One step of an old Deployment on its way out.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum OldStep {
    /// Nothing now: it has this many replicas, pods of it have yet to be retired or drained.
    Keep,
    /// Set `spec.replicas` (only that field).
    Scale(i32),
    /// Delete the Deployment: it has no pod any more.
    Delete,
}

/// The step from `current` replicas towards `desired`. Among pods that are alike, those that come first in `members`
/// are marked first.
pub fn shrink(mut members: Vec<Member<'_>>, desired: i32, current: i32) -> Shrink {
    members.retain(|member| member.pod.counts());
    members.sort_by_key(order_of_choice);
    let count = |pods: usize| i32::try_from(pods).unwrap_or(i32::MAX);
    let present = count(members.len());
    let leading = count(members.iter().take_while(|member| member.standing == Standing::Gone).count());
    let leaving = count(members.iter().filter(|member| member.standing == Standing::Leaving).count());

    let to_mark = usize::try_from(present - desired - leading - leaving).unwrap_or(0);
    let references = |standing| {
        members.iter().filter(move |member| member.standing == standing).map(|member| member.pod.reference())
    };
    // Not shrinking, and the ReplicaSet has nothing left to delete by itself.
    let settled = current <= desired && present <= current;
    Shrink {
        replicas: desired.max(current.min(present - leading)),
        mark: references(Standing::Spare).take(to_mark).collect(),
        discard: if settled { references(Standing::Gone).collect() } else { Vec::new() },
    }
}

/// The order in which a ReplicaSet picks the pods that go: not on a node, not running, not ready, then by deletion
/// cost, which is lowest on marked pods.
fn order_of_choice(member: &Member<'_>) -> (bool, u8, bool, bool) {
    let phase = match member.pod.phase.as_str() {
        "Pending" => 0,
        "Running" => 2,
        _ => 1,
    };
    let unmarked = matches!(member.standing, Standing::Needed | Standing::Spare);
    (member.pod.assigned, phase, member.pod.ready, unmarked)
}

#[cfg(test)]
mod tests;

//! What this proxy has reserved, and what is to be done next about the pods of a pool. No IO and no clock here: the
//! model test beside this file explores every order in which steps, answers, crashes and the end of leases can come.
//!
//! ```text
//!            Reserve              take                claim
//!   free ───────────────► held ──────────────► used ─────────► claimed: the function's
//!    ▲                     │                     ┊
//!    └─────────────────────┘                     ┊  whoever took it crashed, or lost track
//!            Return                              ▼
//!                                            retiring: never used, the operator replaces it
//! ```
//! One rule keeps pods from being loaded twice: **only a pod that this life of this proxy has reserved, and has not
//! taken, is made free again.** A reservation that is not remembered (made by a former life, or by a proxy that is gone and
//! whose lease is over) may have code inside, or soon: such a pod is retired, whatever is inside.
//!
//! Every step is one patch that tests the pod's UID, who reserved it, and until when. That time is another one in every
//! reservation, so a request that was sent in one and arrives in the next finds nothing to change.

use std::collections::BTreeMap;

use muon_crds::wire::Reserved;

use crate::claim::Step;

/// Times of a reservation, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    /// How long it lasts. It is never made longer: a pod that nobody took is given back, and another is reserved.
    pub(crate) lease: u64,
    /// A pod is given back when less than this is left, and taken only before.
    pub(crate) least: u64,
    /// Others retire it this long after its end: clocks differ, and whoever took it may be about to claim it.
    pub(crate) grace: u64,
}

/// How one pod stands with this proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Hold {
    /// A patch of its reservation is under way.
    Busy,
    /// It waits for a function.
    Held(Reserved),
    /// It was taken for one; its claim follows.
    Used(Reserved),
}

/// How a patch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Outcome {
    /// It is done.
    Done,
    /// Something else was found than it starts from, or it was refused, or nobody knows.
    Failed,
}

/// A pod of a pool as the watch shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen<'a> {
    pub(crate) uid: &'a str,
    /// None: it is free.
    pub(crate) reserved: Option<&'a Reserved>,
    /// It is free, ready, and nobody here is claiming it.
    pub(crate) open: bool,
    /// It is of a pool that another one replaces.
    pub(crate) old: bool,
    /// This proxy looks after it when nobody else does.
    pub(crate) heir: bool,
}

/// Everything that this proxy has reserved or is changing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    me: Box<str>,
    terms: Terms,
    holds: BTreeMap<Box<str>, Hold>,
    closing: bool,
}

impl Ledger {
    /// Of the proxy with this name.
    pub(crate) fn new(me: &str, terms: Terms) -> Self {
        Self { me: me.into(), terms, holds: BTreeMap::new(), closing: false }
    }

    /// From now on nothing is reserved or taken, and what is held is given back.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    /// Takes the pod for a function, when it is held for long enough.
    pub(crate) fn take(&mut self, uid: &str, now: u64) -> Option<Reserved> {
        let hold = self.holds.get_mut(uid)?;
        match hold {
            Hold::Held(reserved) if !self.closing && reserved.until >= now + self.terms.least => {
                let reserved = reserved.clone();
                *hold = Hold::Used(reserved.clone());
                Some(reserved)
            }
            _ => None,
        }
    }

    /// A taken pod is claimed, or lost: it is this ledger's no more.
    pub(crate) fn settled(&mut self, uid: &str) {
        if matches!(self.holds.get(uid), Some(Hold::Used(_))) {
            self.holds.remove(uid);
        }
    }

    /// A step of [`Self::next`] has ended.
    pub(crate) fn end(&mut self, uid: &str, step: &Step, outcome: Outcome) {
        match (step, outcome) {
            (Step::Reserve(reserved), Outcome::Done) => self.holds.insert(uid.into(), Hold::Held(reserved.clone())),
            // Where it is not known what has become of it: what the watch shows as reserved is retired.
            _ => self.holds.remove(uid),
        };
    }

    /// Forgets what the watch shows to be another's; `shown` says how a pod is reserved there.
    pub(crate) fn forget<'a>(&mut self, shown: impl Fn(&str) -> Option<&'a Reserved>) {
        self.holds.retain(|uid, hold| match hold {
            Hold::Busy => true,
            Hold::Held(reserved) | Hold::Used(reserved) => shown(uid) == Some(&*reserved),
        });
    }

    /// What is to be done about the pods of one Environment, of which this proxy may hold `seats`. Each step is under
    /// way from here on, and ends with [`Self::end`].
    pub(crate) fn next<'a>(&mut self, pods: &[Seen<'a>], seats: usize, now: u64) -> Vec<(&'a str, Step)> {
        let open = |pod: &&Seen<'_>| pod.open && !self.holds.contains_key(pod.uid);
        let free = pods.iter().filter(open).count();
        let holds = |pod: &Seen<'_>| self.holds.get(pod.uid);
        let held = pods.iter().filter(|pod| matches!(holds(pod), Some(Hold::Held(_)))).count();
        let busy = pods.iter().filter(|pod| matches!(holds(pod), Some(Hold::Busy))).count();
        // What is held beyond the seats does no harm, unless nothing else is left to others.
        let mut surplus = if free == 0 { held.saturating_sub(seats) } else { 0 };
        let mut steps: Vec<(&str, Step)> =
            pods.iter().filter_map(|pod| Some((pod.uid, self.about(pod, now, &mut surplus)?))).collect();
        if !self.closing {
            // One pod stays free, for those who have reserved none.
            let missing = seats.saturating_sub(held + busy).min(free.saturating_sub(1));
            let chosen = pods.iter().filter(open).filter(|pod| !pod.old).take(missing);
            let reserved = || Reserved { by: self.me.clone(), until: now + self.terms.lease };
            steps.extend(chosen.map(|pod| (pod.uid, Step::Reserve(reserved()))));
        }
        self.holds.extend(steps.iter().map(|(uid, _)| (Box::from(*uid), Hold::Busy)));
        steps
    }

    fn about(&self, pod: &Seen<'_>, now: u64, surplus: &mut usize) -> Option<Step> {
        match self.holds.get(pod.uid) {
            Some(Hold::Held(reserved)) => {
                let ends = reserved.until < now + self.terms.least;
                let over = *surplus > 0;
                *surplus = surplus.saturating_sub(1);
                (ends || over || pod.old || self.closing).then(|| Step::Return(reserved.clone()))
            }
            Some(Hold::Busy | Hold::Used(_)) => None,
            None => {
                let reserved = pod.reserved?;
                let orphan = reserved.by == self.me || pod.heir && reserved.until + self.terms.grace < now;
                orphan.then(|| Step::Retire(reserved.clone()))
            }
        }
    }
}

/// How many pods of an Environment one proxy may reserve. `generic`: its pods without code, reserved ones counted in; one of
/// them stays free. The others are dealt out in turn, up to `most` for each of `proxies`; this one is number `rank`.
pub(crate) fn seats(generic: usize, rank: usize, proxies: usize, most: usize) -> usize {
    let proxies = proxies.max(1);
    let all = generic.saturating_sub(1).min(proxies.saturating_mul(most));
    all / proxies + usize::from(rank < all % proxies)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

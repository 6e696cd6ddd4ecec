//! How many generic pods requests ask for, per Environment: the claims that the watch tells of, and the pods that
//! requests wait for now.
//!
//! What is remembered of the past is the leader's. One that begins to lead holds each pool as it finds it, and lets go
//! of it as slowly as of any other.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use muon_crds::words::{self, State};
use muon_crds::{Environment, Mode};
use muon_plan::SeenPod;
use muon_plan::environment::{Held, Tide, USUAL_START, claimed_in_one_start, start_time};

use crate::activity::Board;
use crate::cache::{Cache, is_controlled_by};
use crate::place::namespace_of;
use crate::reference::ObjectRef;

/// Claims that are remembered per Environment: more than a pool may have pods.
const MOST: usize = 1024;
/// How long they are.
const MEMORY: Duration = Duration::from_secs(120);

/// The claims and levels of all Environments.
pub struct Tides {
    begun: Instant,
    pools: Mutex<HashMap<ObjectRef<Environment>, Pool>>,
}

#[derive(Default)]
struct Pool {
    claims: VecDeque<Duration>,
    tide: Option<Tide>,
    start: Option<Duration>,
}

impl Default for Tides {
    fn default() -> Self {
        Self { begun: Instant::now(), pools: Mutex::default() }
    }
}

impl Tides {
    fn pools(&self) -> MutexGuard<'_, HashMap<ObjectRef<Environment>, Pool>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a pod as the watch tells of it: one that left its pool for a function was claimed just now.
    pub fn change(&self, old: Option<&Pod>, new: Option<&Pod>, now: Instant) {
        let (Some(old), Some(new)) = (old, new) else { return };
        let state = |pod: &Pod| pod.labels().get(words::STATE).and_then(|state| State::parse(state));
        let left = matches!(state(old), Some(State::Free | State::Reserved)) && state(new) == Some(State::Claimed);
        let Some(environment) = new.labels().get(words::ENVIRONMENT).filter(|_| left) else { return };
        let now = now.duration_since(self.begun);
        let mut pools = self.pools();
        let pool = pools.entry(ObjectRef::new(environment).within(&namespace_of(new))).or_default();
        while pool.claims.len() >= MOST || pool.claims.front().is_some_and(|time| *time + MEMORY < now) {
            pool.claims.pop_front();
        }
        pool.claims.push_back(now);
    }

    /// Begins to lead: another one has looked after the pools since, and claims that it saw are not to count again.
    pub fn begin(&self) {
        self.pools().clear();
    }

    /// The Environment is gone.
    pub fn forget(&self, environment: &ObjectRef<Environment>) {
        self.pools().remove(environment);
    }

    /// The pods to hold, when `waited` are waited for and the pool was made to hold `held`.
    pub fn level(
        &self,
        environment: &ObjectRef<Environment>,
        waited: i32,
        held: Held,
        pods: &[SeenPod],
        now: Instant,
    ) -> i32 {
        let now = now.duration_since(self.begun);
        let mut pools = self.pools();
        let pool = pools.entry(environment.clone()).or_default();
        // Where all are claimed, the last that was known counts.
        pool.start = start_time(pods).or(pool.start);
        let tide = pool.tide.get_or_insert_with(|| Tide::new(held.level, now));
        if let Some(replicas) = held.replicas {
            tide.follow(replicas, now);
        }
        let claimed = claimed_in_one_start(&pool.claims, pool.start.unwrap_or(USUAL_START), tide.seen());
        tide.rise(waited.max(claimed), now)
    }

    /// When it is one pod fewer, if nothing comes.
    pub fn falls_in(&self, environment: &ObjectRef<Environment>) -> Option<Duration> {
        self.pools().get(environment)?.tide.as_ref()?.falls_in()
    }
}

/// Pods of the pool that requests for the Environment's functions wait for now.
pub fn waited_for(cache: &Cache, board: &Board, namespace: &str, environment: &str) -> i32 {
    let missing = board.all_wanted().into_iter().filter_map(|(uid, wanted)| {
        let function = cache.function_by_uid(&uid)?;
        let serving = function.status.as_ref()?.serving.as_ref()?;
        let is_ours = function.namespace().as_deref() == Some(namespace)
            && serving.environment == environment
            && serving.mode == Mode::Pool;
        let there = |uid: &str| {
            let pods = cache.pods_of_function(namespace, &function.name_any());
            pods.iter().filter(|pod| is_there(pod, uid, &serving.revision)).count()
        };
        is_ours.then(|| i64::from(wanted.min(serving.max.unsigned_abs())) - i64::try_from(there(&uid)).unwrap_or(0))
    });
    i32::try_from(missing.filter(|missing| *missing > 0).sum::<i64>()).unwrap_or(i32::MAX)
}

fn is_there(pod: &Pod, uid: &str, revision: &str) -> bool {
    let label = |key: &str| pod.labels().get(key).map(String::as_str);
    is_controlled_by(pod, uid)
        && label(words::REVISION) == Some(revision)
        && label(words::STATE) == Some(State::Claimed.as_str())
        && pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn size(pods: i32) -> Held {
        Held { replicas: Some(pods), level: pods }
    }

    fn pod(state: &str) -> Pod {
        let labels = json!({"muon.dev/environment": "python", "muon.dev/state": state});
        serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "shop", "uid": "u", "labels": labels}}))
            .unwrap()
    }

    #[test]
    fn claims_raise_the_level_and_time_lowers_it() {
        let tides = Tides::default();
        let python = ObjectRef::new("python").within("shop");
        let at = |seconds| tides.begun + Duration::from_secs(seconds);
        assert_eq!(tides.level(&python, 0, size(0), &[], at(0)), 0);
        for _ in 0..4 {
            tides.change(Some(&pod("free")), Some(&pod("claimed")), at(5));
        }
        // None of these is a claim: a list that is read anew, a pod that was claimed before, one that goes.
        tides.change(None, Some(&pod("claimed")), at(5));
        tides.change(Some(&pod("claimed")), Some(&pod("claimed")), at(5));
        tides.change(Some(&pod("free")), Some(&pod("retiring")), at(5));
        tides.change(Some(&pod("free")), None, at(5));
        assert_eq!(tides.level(&python, 0, size(0), &[], at(6)), 4);
        assert_eq!(tides.level(&python, 7, size(4), &[], at(7)), 7, "requests wait for more than was claimed");
        assert_eq!(tides.level(&python, 0, size(7), &[], at(127)), 2);
        assert!(tides.falls_in(&python).is_some());
        tides.forget(&python);
        assert!(tides.pools().is_empty());
    }

    #[test]
    fn a_new_leader_leaves_a_pool_as_it_is_at_first() {
        let (tides, python) = (Tides::default(), ObjectRef::new("python").within("shop"));
        let at = |seconds| tides.begun + Duration::from_secs(seconds);
        assert_eq!(tides.level(&python, 0, size(9), &[], at(0)), 9);
        assert_eq!(tides.level(&python, 0, size(9), &[], at(60)), 5);
    }

    #[test]
    fn who_leads_again_has_forgotten_what_the_other_one_has_seen_to() {
        let (tides, python) = (Tides::default(), ObjectRef::new("python").within("shop"));
        let at = |seconds| tides.begun + Duration::from_secs(seconds);
        assert_eq!(tides.level(&python, 8, size(0), &[], at(0)), 8);
        // Somebody else leads; the watch goes on.
        for _ in 0..6 {
            tides.change(Some(&pod("free")), Some(&pod("claimed")), at(20));
        }
        tides.begin();
        assert_eq!(tides.level(&python, 0, size(2), &[], at(90)), 2);
    }

    #[test]
    fn of_two_that_drive_at_once_neither_undoes_the_shrinking_of_the_other() {
        let (old, new) = (Tides::default(), Tides::default());
        let python = ObjectRef::new("python").within("shop");
        let at = |tides: &Tides, seconds| tides.begun + Duration::from_secs(seconds);
        assert_eq!(old.level(&python, 5, size(0), &[], at(&old, 0)), 5);
        assert_eq!(new.level(&python, 0, size(5), &[], at(&new, 5)), 5);
        assert_eq!(old.level(&python, 0, size(5), &[], at(&old, 15)), 4);
        assert_eq!(new.level(&python, 0, size(5), &[], at(&new, 12)), 5, "it knows no better yet");
        assert_eq!(new.level(&python, 0, size(4), &[], at(&new, 13)), 4);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (tides, python) = (Tides::default(), ObjectRef::new("python").within("shop"));
        for number in 0..2 * MOST as u64 {
            let at = tides.begun + Duration::from_millis(number);
            tides.change(Some(&pod("free")), Some(&pod("claimed")), at);
        }
        assert_eq!(tides.pools()[&python].claims.len(), MOST);
        tides.change(Some(&pod("reserved")), Some(&pod("claimed")), tides.begun + 3 * MEMORY);
        assert_eq!(tides.pools()[&python].claims.len(), 1);
    }
}

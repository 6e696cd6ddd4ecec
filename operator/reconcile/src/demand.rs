//! Pods that requests wait for, per Environment: the highest of the last minute, so that a pool that grew for a
//! burst does not shrink in the middle of it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use muon_crds::Mode;
use muon_crds::words::State;

use crate::activity::Board;
use crate::cache::Cache;

/// How long a demand is remembered.
pub const MEMORY: Duration = Duration::from_secs(60);

/// Demands of the last minute, per Environment (its UID).
#[derive(Default)]
pub struct Peaks(Mutex<HashMap<String, VecDeque<(Instant, i32)>>>);

impl Peaks {
    /// Takes the demand of now, and gives the highest of the last minute. A demand that is not above an earlier one
    /// adds nothing, so a list stays short: each entry is lower than the one before it.
    pub fn highest(&self, environment: &str, demand: i32, now: Instant) -> i32 {
        let mut peaks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = peaks.entry(environment.to_owned()).or_default();
        while recent.front().is_some_and(|(at, _)| now.duration_since(*at) > MEMORY) {
            recent.pop_front();
        }
        while recent.back().is_some_and(|(_, value)| *value <= demand) {
            recent.pop_back();
        }
        if demand > 0 {
            recent.push_back((now, demand));
        }
        let highest = recent.front().map_or(0, |(_, value)| *value);
        if recent.is_empty() {
            peaks.remove(environment);
        }
        highest
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

fn is_there(pod: &k8s_openapi::api::core::v1::Pod, uid: &str, revision: &str) -> bool {
    let label = |key: &str| pod.labels().get(key).map(String::as_str);
    crate::cache::is_controlled_by(pod, uid)
        && label(muon_crds::words::REVISION) == Some(revision)
        && label(muon_crds::words::STATE) == Some(State::Claimed.as_str())
        && pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_demand_of_the_last_minute_counts() {
        let peaks = Peaks::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(peaks.highest("e", 5, at(0)), 5);
        assert_eq!(peaks.highest("e", 0, at(10)), 5);
        assert_eq!(peaks.highest("e", 2, at(50)), 5);
        assert_eq!(peaks.highest("e", 0, at(61)), 2, "the burst is over a minute old, what followed is not");
        assert_eq!(peaks.highest("e", 0, at(111)), 0);
        assert!(peaks.0.lock().unwrap().is_empty());
    }
}

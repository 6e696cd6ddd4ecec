//! Since when a pod has been a function's, as far as this process knows. A pod may have waited in its pool for days
//! before it was claimed, so its own age says nothing; after a restart of the operator idle time begins anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use muon_crds::words::{self, State};

/// When each pod of a function was first seen as that, by UID.
#[derive(Default)]
pub struct Ages(Mutex<HashMap<String, Instant>>);

impl Ages {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a pod as it is now.
    pub fn change(&self, old: Option<&Pod>, new: Option<&Pod>) {
        if let Some(uid) = new.filter(|pod| is_in_use(pod)).and_then(ResourceExt::uid) {
            self.map().entry(uid).or_insert_with(Instant::now);
        } else if let Some(uid) = old.or(new).and_then(ResourceExt::uid) {
            self.map().remove(&uid);
        }
    }

    /// Milliseconds for which the pod has been a function's.
    pub fn of(&self, uid: &str) -> u64 {
        let since = self.map().get(uid).copied();
        since.map_or(0, |since| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

fn is_in_use(pod: &Pod) -> bool {
    let state = pod.labels().get(words::STATE).map(String::as_str);
    [Some(State::Claimed.as_str()), Some(State::Draining.as_str())].contains(&state)
}

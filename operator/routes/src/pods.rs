//! All pods of ours, found by what is asked of them: free ones of an Environment, those of a function.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1;
use muon_crds::wire::Reserved;
use muon_crds::words::State;

use crate::event::{Event, Listing, resource_version};
use crate::pod::Pod;

/// All pods of ours.
#[derive(Debug, Default)]
pub struct PodIndex {
    pods: HashMap<Box<str>, Arc<Pod>>,
    /// UIDs of the pods that belong to a pool, free (ready or not) or set aside, by `environment.namespace`.
    pools: HashMap<String, BTreeSet<Box<str>>>,
    /// What reserved pods have been taken for, by UID: their claims follow.
    meant: HashMap<Box<str>, Meant>,
    /// UIDs of the pods of a function by its `name.namespace`.
    functions: HashMap<String, BTreeSet<Box<str>>>,
    listing: Listing,
}

/// The function that a reserved pod has been taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// Its name.
    pub function: Box<str>,
    /// Its UID.
    pub function_uid: Box<str>,
    /// The revision.
    pub revision: Box<str>,
}

/// What became of one pod.
#[derive(Clone, Debug)]
pub struct Changed {
    /// How it was; none: it is new here.
    pub before: Option<Arc<Pod>>,
    /// How it is; none: it is gone.
    pub after: Option<Arc<Pod>>,
}

impl Changed {
    /// The functions (`name.namespace`) that had it or have it.
    pub fn functions(&self) -> impl Iterator<Item = String> {
        let key = |pod: &Option<Arc<Pod>>| pod.as_ref().and_then(|pod| pod.function_key());
        let (before, after) = (key(&self.before), key(&self.after));
        let other = (before != after).then_some(after).flatten();
        before.into_iter().chain(other)
    }

    /// It is or was in a pool.
    pub fn of_pool(&self) -> bool {
        [&self.before, &self.after].into_iter().flatten().any(|pod| pod.is_in_pool())
    }

    /// A pod has become free to be claimed.
    pub fn freed(&self) -> bool {
        let free = |pod: &Option<Arc<Pod>>| pod.as_ref().is_some_and(|pod| pod.is_free());
        free(&self.after) && !free(&self.before)
    }
}

impl PodIndex {
    /// Applies an event of the Pods that carry our label. An event older than what is known of a pod is left out.
    pub fn apply(&mut self, event: Event<v1::Pod>) -> Vec<Changed> {
        match event {
            Event::Relist => self.listing.begin(),
            Event::Apply(pod) => {
                let version = resource_version(pod.metadata.resource_version.as_deref());
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                self.listing.tell(uid, version);
                if self.pods.get(uid).is_some_and(|known| known.version > version) {
                    return Vec::new();
                }
                return match Pod::of(&pod) {
                    Some(pod) => self.put(pod).into_iter().collect(),
                    None => self.drop(uid).into_iter().collect(),
                };
            }
            Event::Delete(pod) => {
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                self.listing.tell(uid, resource_version(pod.metadata.resource_version.as_deref()));
                return self.drop(uid).into_iter().collect();
            }
            Event::Listed => {
                let gone = self.listing.end(self.pods.keys().map(|uid| &**uid));
                return gone.iter().filter_map(|uid| self.drop(uid)).collect();
            }
        }
        Vec::new()
    }

    /// Enters what a claim has just made of a pod, ahead of the watch, which will tell the same.
    pub fn claimed(
        &mut self,
        uid: &str,
        function: &str,
        function_uid: &str,
        revision: &str,
        version: u64,
    ) -> Option<Changed> {
        let pod = self.pods.get(uid)?;
        if pod.version > version {
            return None;
        }
        let claimed = Pod {
            state: Some(State::Claimed),
            reserved: None,
            function: Some(function.into()),
            function_uid: Some(function_uid.into()),
            revision: Some(revision.into()),
            version,
            ..(**pod).clone()
        };
        self.put(claimed)
    }

    /// Enters what a patch has just made of a pool's pod, ahead of the watch: set aside, or (none) free again.
    pub fn reserved(&mut self, uid: &str, reserved: Option<Reserved>, version: u64) -> Option<Changed> {
        let pod = self.pods.get(uid)?;
        if pod.version > version {
            return None;
        }
        let state = if reserved.is_some() { State::Reserved } else { State::Free };
        let pod = Pod { state: Some(state), reserved, function: None, version, ..(**pod).clone() };
        self.put(pod)
    }

    /// Takes a reserved pod for a function, ahead of its claim: from now on it is one of the function's, until the watch
    /// tells that it is no longer reserved.
    pub fn take(&mut self, uid: &str, meant: Meant) -> Option<Changed> {
        let pod = self.pods.get(uid).filter(|pod| pod.reserved.is_some())?;
        let pod = (**pod).clone();
        self.meant.insert(uid.into(), meant);
        self.put(pod)
    }

    /// The claim of a pod that was taken has failed: it is no function's.
    pub fn release(&mut self, uid: &str) -> Option<Changed> {
        self.meant.remove(uid)?;
        let pod = self.pods.get(uid).filter(|pod| pod.reserved.is_some())?;
        let pod =
            Pod { state: Some(State::Reserved), function: None, function_uid: None, revision: None, ..(**pod).clone() };
        self.put(pod)
    }

    /// Enters a pod that another proxy told of, unless more is known here.
    pub fn told(&mut self, pod: Pod) -> Option<Changed> {
        let Some(known) = self.pods.get(&pod.uid).filter(|known| known.version >= pod.version) else {
            self.mean(&pod);
            return self.put(pod);
        };
        // The watch has told of the reservation, which says nothing of what it was taken for.
        if known.state != Some(State::Reserved) || pod.reserved.is_none() {
            return None;
        }
        let known = (**known).clone();
        self.mean(&pod);
        self.put(known)
    }

    fn mean(&mut self, pod: &Pod) {
        let meant = pod.function.clone().zip(pod.function_uid.clone()).zip(pod.revision.clone());
        if let (Some(((function, function_uid), revision)), Some(_)) = (meant, &pod.reserved) {
            self.meant.insert(pod.uid.clone(), Meant { function, function_uid, revision });
        }
    }

    /// Forgets a pod that nothing answers for.
    pub fn forget(&mut self, uid: &str) -> Option<Changed> {
        self.drop(uid)
    }

    /// The pod with this UID.
    pub fn get(&self, uid: &str) -> Option<&Arc<Pod>> {
        self.pods.get(uid)
    }

    /// Pods of an Environment's pools: free (ready or not), or set aside, those included that have been taken and whose
    /// claims follow.
    pub fn pool(&self, namespace: &str, environment: &str) -> impl Iterator<Item = &Arc<Pod>> {
        let uids = self.pools.get(&crate::function::key(environment, namespace));
        uids.into_iter().flatten().filter_map(|uid| self.pods.get(uid))
    }

    /// The pools of all Environments that have any.
    pub fn pools(&self) -> impl Iterator<Item = Vec<&Arc<Pod>>> {
        self.pools.values().map(|uids| uids.iter().filter_map(|uid| self.pods.get(uid)).collect())
    }

    /// Pods that may be claimed.
    pub fn free(&self, namespace: &str, environment: &str) -> impl Iterator<Item = &Arc<Pod>> {
        self.pool(namespace, environment).filter(|pod| pod.is_free())
    }

    /// Pods of a function (`name.namespace`), of all revisions and states.
    pub fn of_function(&self, key: &str) -> impl Iterator<Item = &Arc<Pod>> {
        self.functions.get(key).into_iter().flatten().filter_map(|uid| self.pods.get(uid))
    }

    /// The functions (`name.namespace`) that have pods.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// Whether Pods were listed whole at least once.
    pub fn complete(&self) -> bool {
        self.listing.complete
    }

    /// The last resourceVersion applied.
    pub fn seen(&self) -> u64 {
        self.listing.seen
    }

    fn put(&mut self, mut pod: Pod) -> Option<Changed> {
        match self.meant.get(&pod.uid) {
            Some(meant) if pod.reserved.is_some() => {
                pod.state = Some(State::Claimed);
                pod.function = Some(meant.function.clone());
                pod.function_uid = Some(meant.function_uid.clone());
                pod.revision = Some(meant.revision.clone());
            }
            Some(_) => drop(self.meant.remove(&pod.uid)),
            None => {}
        }
        let pod = Arc::new(pod);
        let before = self.pods.insert(pod.uid.clone(), Arc::clone(&pod));
        if before.as_ref() == Some(&pod) {
            return None;
        }
        if let Some(before) = &before {
            self.unlist(before);
        }
        if pod.is_in_pool() {
            self.pools.entry(pool_key(&pod)).or_default().insert(pod.uid.clone());
        }
        if let Some(key) = pod.function_key() {
            self.functions.entry(key).or_default().insert(pod.uid.clone());
        }
        Some(Changed { before, after: Some(pod) })
    }

    fn drop(&mut self, uid: &str) -> Option<Changed> {
        let before = self.pods.remove(uid)?;
        self.meant.remove(uid);
        self.unlist(&before);
        Some(Changed { before: Some(before), after: None })
    }

    fn unlist(&mut self, pod: &Pod) {
        take(&mut self.pools, &pool_key(pod), &pod.uid);
        if let Some(key) = pod.function_key() {
            take(&mut self.functions, &key, &pod.uid);
        }
    }
}

fn pool_key(pod: &Pod) -> String {
    crate::function::key(&pod.environment, &pod.namespace)
}

fn take(lists: &mut HashMap<String, BTreeSet<Box<str>>>, key: &str, uid: &str) {
    if let Some(list) = lists.get_mut(key) {
        list.remove(uid);
        if list.is_empty() {
            lists.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;

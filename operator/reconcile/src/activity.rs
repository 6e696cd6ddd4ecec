//! What all proxies together have seen and are doing: the board that the drivers and the scale loop read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use muon_crds::wire::{Activity, FunctionActivity, LoadFailure, PodActivity, Watermarks};
use muon_crds::{Function, HTTPTrigger};
use muon_plan::function::Usage;

use crate::reference::ObjectRef;

/// A proxy pod that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// UID of its pod.
    pub uid: String,
    /// Name of its pod.
    pub name: String,
    /// Its address.
    pub ip: String,
    /// Whether its pod is ready and stays: whether requests come to it.
    pub ready: bool,
}

/// Everything that one answer of a proxy told, in the form in which it is asked for.
struct Answer {
    activity: Activity,
    functions: HashMap<String, usize>,
    pods: HashMap<String, usize>,
    at: Instant,
}

/// The latest answer of every proxy, and who waits for what.
#[derive(Default)]
pub struct Board(Mutex<State>);

#[derive(Default)]
struct State {
    proxies: BTreeMap<String, Proxy>,
    answers: HashMap<String, Answer>,
    functions: BTreeSet<(u64, String, String)>,
    triggers: BTreeSet<(u64, String, String)>,
    /// Since when something waits without anything getting on.
    stuck: Option<Instant>,
}

/// Who is to be looked at after an answer.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Wakes {
    /// Functions whose version every ready proxy has now.
    pub functions: Vec<ObjectRef<Function>>,
    /// HTTPTriggers whose version every ready proxy has now.
    pub triggers: Vec<ObjectRef<HTTPTrigger>>,
    /// UIDs of Functions with changed demand, or with a load failure that is new.
    pub uids: Vec<String>,
    /// UIDs of Functions of which pods have been loaded, or are no longer; that is no hurry.
    pub loaded: Vec<String>,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the set of proxies that run. What gone ones said is forgotten.
    pub fn set(&self, proxies: Vec<Proxy>) -> Wakes {
        let mut state = self.state();
        state.proxies = proxies.into_iter().map(|proxy| (proxy.uid.clone(), proxy)).collect();
        let State { proxies, answers, .. } = &mut *state;
        answers.retain(|uid, _| proxies.contains_key(uid));
        state.passed()
    }

    /// The proxies that run.
    pub fn proxies(&self) -> Vec<Proxy> {
        self.state().proxies.values().cloned().collect()
    }

    /// Takes a proxy's answer.
    pub fn record(&self, uid: &str, activity: Activity) -> Wakes {
        let mut state = self.state();
        if !state.proxies.contains_key(uid) {
            return Wakes::default();
        }
        let before = state.answers.remove(uid);
        let uids = news(before.as_ref().map(|answer| &answer.activity), &activity);
        let loaded = loads(before.as_ref().map(|answer| &answer.activity), &activity);
        state.answers.insert(uid.to_owned(), Answer::new(activity));
        Wakes { uids, loaded, ..state.passed() }
    }

    /// The versions that every ready proxy has passed; none while no proxy is ready.
    pub fn watermarks(&self) -> Option<Watermarks> {
        self.state().watermarks()
    }

    /// Has the Function looked at once every ready proxy has passed this version.
    pub fn await_function(&self, namespace: &str, name: &str, version: u64) {
        let mut state = self.state();
        state.functions.insert((version, namespace.to_owned(), name.to_owned()));
        state.stuck.get_or_insert_with(Instant::now);
    }

    /// As [`Self::await_function`], for an HTTPTrigger.
    pub fn await_trigger(&self, namespace: &str, name: &str, version: u64) {
        let mut state = self.state();
        state.triggers.insert((version, namespace.to_owned(), name.to_owned()));
        state.stuck.get_or_insert_with(Instant::now);
    }

    /// For how long versions have waited to be seen without one of them having been; zero when none waits, or there is
    /// no proxy that could.
    pub fn unseen(&self) -> Duration {
        let state = self.state();
        let ready = state.proxies.values().any(|proxy| proxy.ready);
        state.stuck.filter(|_| ready).map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Pods that the proxies want for a function: the highest that one of them says. Each counts against its own share
    /// of every pod's concurrency, so the same pods serve them all.
    pub fn wanted(&self, uid: &str) -> u32 {
        let state = self.state();
        let functions = state.answers.values().filter_map(|answer| answer.function(uid));
        functions.map(|function| function.wanted).max().unwrap_or(0)
    }

    /// As [`Self::wanted`], of every function that they do anything for, by UID.
    pub fn all_wanted(&self) -> HashMap<String, u32> {
        let state = self.state();
        let mut wanted: HashMap<String, u32> = HashMap::new();
        for function in state.answers.values().flat_map(|answer| &answer.activity.functions) {
            let highest = wanted.entry(function.uid.clone()).or_default();
            *highest = function.wanted.max(*highest);
        }
        wanted
    }

    /// Whether a proxy says that nothing can be loaded into the pod.
    pub fn is_broken(&self, uid: &str) -> bool {
        self.state().answers.values().any(|answer| answer.pod(uid).is_some_and(|pod| pod.broken))
    }

    /// Milliseconds for which a pod may have been idle by now, if nothing came since the proxies' last answers. None
    /// when a ready proxy has not told, or there is none.
    pub fn may_be_idle_ms(&self, uid: &str) -> Option<u64> {
        let state = self.state();
        let State { proxies, answers, .. } = &*state;
        let mut least = None;
        for proxy in proxies.values().filter(|proxy| proxy.ready) {
            let answer = answers.get(&proxy.uid)?;
            let idle_ms = answer.idle_ms(uid);
            let by_now = if idle_ms > 0 { idle_ms.saturating_add(answer.age_ms()) } else { 0 };
            least = Some(least.unwrap_or(u64::MAX).min(by_now));
        }
        least
    }

    /// What the proxies do with a pod, as they last told; `seen`: all have passed this version of it. None when a ready proxy has not
    /// told, or there is none. A proxy that is not ready counts as long as it answers: it may be finishing requests.
    pub fn usage(&self, uid: &str, version: u64) -> Option<Usage> {
        let state = self.state();
        let mut total =
            Usage { used: false, loaded: false, broken: false, in_flight: 0, idle_ms: u64::MAX, seen: true };
        let mut ready = false;
        for proxy in state.proxies.values() {
            let Some(answer) = state.answers.get(&proxy.uid) else {
                if proxy.ready {
                    return None;
                }
                continue;
            };
            ready |= proxy.ready;
            total.seen &= answer.activity.seen.pods >= version;
            total.idle_ms = total.idle_ms.min(answer.idle_ms(uid));
            total.used |= answer.pod(uid).is_some_and(|pod| !pod.broken);
            total.loaded |= answer.pod(uid).is_some_and(|pod| pod.loaded);
            total.broken |= answer.pod(uid).is_some_and(|pod| pod.broken);
            total.in_flight = total.in_flight.saturating_add(answer.pod(uid).map_or(0, |pod| pod.in_flight));
        }
        ready.then_some(total)
    }

    /// The last load failure that a proxy tells of a function.
    pub fn failure(&self, uid: &str) -> Option<LoadFailure> {
        let state = self.state();
        let mut failures = state.answers.values().flat_map(|answer| &answer.activity.failures);
        failures.find(|failure| failure.uid == uid).cloned()
    }

    /// Forgets what a proxy said, because it does not answer any more and is not ready: it cannot hold anything up.
    pub fn forget(&self, uid: &str) {
        let mut state = self.state();
        if state.proxies.get(uid).is_some_and(|proxy| !proxy.ready) {
            state.answers.remove(uid);
        }
    }
}

impl State {
    fn watermarks(&self) -> Option<Watermarks> {
        let ready = self.proxies.values().filter(|proxy| proxy.ready);
        let seen =
            ready.map(|proxy| self.answers.get(&proxy.uid).map(|answer| answer.activity.seen).unwrap_or_default());
        seen.reduce(|a, b| Watermarks {
            functions: a.functions.min(b.functions),
            triggers: a.triggers.min(b.triggers),
            pods: a.pods.min(b.pods),
        })
    }

    /// Takes out of the waiting those whose version all ready proxies have passed.
    fn passed(&mut self) -> Wakes {
        let Watermarks { functions, triggers, .. } = self.watermarks().unwrap_or_default();
        let functions = take_up_to(&mut self.functions, functions);
        let triggers = take_up_to(&mut self.triggers, triggers);
        if self.functions.is_empty() && self.triggers.is_empty() {
            self.stuck = None;
        } else if !functions.is_empty() || !triggers.is_empty() {
            self.stuck = Some(Instant::now());
        }
        Wakes {
            functions: functions
                .into_iter()
                .map(|(_, namespace, name)| ObjectRef::new(&name).within(&namespace))
                .collect(),
            triggers: triggers
                .into_iter()
                .map(|(_, namespace, name)| ObjectRef::new(&name).within(&namespace))
                .collect(),
            uids: Vec::new(),
            loaded: Vec::new(),
        }
    }
}

fn take_up_to(waiting: &mut BTreeSet<(u64, String, String)>, version: u64) -> BTreeSet<(u64, String, String)> {
    let later = waiting.split_off(&(version.saturating_add(1), String::new(), String::new()));
    std::mem::replace(waiting, later)
}

impl Answer {
    fn new(activity: Activity) -> Self {
        let functions = activity.functions.iter().enumerate().map(|(index, item)| (item.uid.clone(), index)).collect();
        let pods = activity.pods.iter().enumerate().map(|(index, item)| (item.uid.clone(), index)).collect();
        Self { activity, functions, pods, at: Instant::now() }
    }

    fn function(&self, uid: &str) -> Option<&FunctionActivity> {
        self.functions.get(uid).and_then(|index| self.activity.functions.get(*index))
    }

    fn pod(&self, uid: &str) -> Option<&PodActivity> {
        self.pods.get(uid).and_then(|index| self.activity.pods.get(*index))
    }

    /// How long the proxy has had nothing in the pod, when it answered.
    fn idle_ms(&self, pod: &str) -> u64 {
        match self.pod(pod) {
            Some(pod) if pod.in_flight > 0 => 0,
            Some(pod) => pod.idle_ms,
            None => self.activity.up_ms,
        }
    }

    /// Milliseconds since the answer.
    fn age_ms(&self) -> u64 {
        u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// UIDs of functions of which the new answer says something that a driver should know at once.
fn news(before: Option<&Activity>, now: &Activity) -> Vec<String> {
    let wanted = |activity: &Activity| -> HashMap<String, (u32, bool)> {
        activity.functions.iter().map(|item| (item.uid.clone(), (item.wanted, item.queued > 0))).collect()
    };
    let old = before.map(wanted).unwrap_or_default();
    let demand = now.functions.iter().filter(|item| {
        let (wanted, queued) = old.get(&item.uid).copied().unwrap_or_default();
        item.wanted > wanted || (item.queued > 0 && !queued)
    });
    let known = before.map(|activity| activity.failures.as_slice()).unwrap_or_default();
    let failed = now.failures.iter().filter(|failure| !known.contains(failure)).map(|failure| failure.uid.clone());
    // A failure that is no longer told was followed by a load that went well.
    let healed = known.iter().filter(|failure| !now.failures.contains(failure)).map(|failure| failure.uid.clone());
    demand.map(|item| item.uid.clone()).chain(failed).chain(healed).collect()
}

/// UIDs of functions with another number of loaded pods than before.
fn loads(before: Option<&Activity>, now: &Activity) -> Vec<String> {
    let count = |activity: &Activity| -> HashMap<String, u32> {
        activity.functions.iter().map(|item| (item.uid.clone(), item.loaded)).collect()
    };
    let (old, new) = (before.map(count).unwrap_or_default(), count(now));
    let other = |uid: &&String| old.get(*uid).copied().unwrap_or(0) != new.get(*uid).copied().unwrap_or(0);
    let gone = old.keys().filter(|uid| !new.contains_key(*uid));
    new.keys().chain(gone).filter(other).cloned().collect()
}

#[cfg(test)]
mod tests;

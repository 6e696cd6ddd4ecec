//! A function's pods of its current revision, as one proxy may use them, and the choice among them. No IO here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muon_routes::Pod;

use crate::endpoint::Endpoint;

/// How far a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Nothing was asked of its agent by this proxy yet.
    New,
    /// Its agent was asked.
    Loading,
    /// Its agent said that the code is loaded.
    Loaded,
    /// It can never serve this function.
    Broken,
}

/// One pod.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) pod: Arc<Pod>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) load: Load,
    /// Left out until then: it could not be reached, or its load is tried again.
    out_until: Option<Instant>,
    /// Failures to reach it in a row.
    failures: u32,
    /// Kubernetes held it ready once.
    was_ready: bool,
}

impl Slot {
    fn new(pod: &Arc<Pod>) -> Option<Self> {
        let endpoint =
            Endpoint::new(&pod.uid, &pod.name, pod.revision.as_deref().unwrap_or_default(), pod.ip?, pod.port);
        Some(Self {
            pod: Arc::clone(pod),
            endpoint: Arc::new(endpoint),
            load: Load::New,
            out_until: None,
            failures: 0,
            was_ready: pod.ready,
        })
    }

    /// It may be given requests or a load now. A load may come before the pod is ready: that is what makes it ready, and
    /// a pod that loads is not ready meanwhile; asking its agent is faster than kubelet's next probe. For the same reason
    /// the agent's word is enough for requests while the pod starts: kubelet says the same up to seconds later. Once it
    /// has, it is kubelet that tells when the pod is not ready any more.
    fn is_up(&self, now: Instant) -> bool {
        let fit = match self.load {
            Load::Loaded => self.pod.is_serving() || self.is_starting(),
            Load::New | Load::Loading | Load::Broken => self.pod.is_claimed(),
        };
        fit && self.out_until.is_none_or(|until| until <= now)
    }

    /// Kubernetes has not held it ready yet.
    fn is_starting(&self) -> bool {
        !self.was_ready && self.pod.is_claimed()
    }

    /// It counts as a pod that serves or soon will.
    fn is_good(&self, now: Instant) -> bool {
        self.load != Load::Broken && self.is_up(now)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    /// Pods that may be given nothing more and still have requests in them.
    leaving: Vec<Arc<Endpoint>>,
    /// Pods that nobody waits for are being loaded.
    pub(crate) warming: bool,
}

impl Slots {
    /// Takes over what the pod index says: `pods` are the function's claimed pods of the current revision.
    pub(crate) fn refresh(&mut self, pods: Vec<Arc<Pod>>) {
        let mut old = std::mem::take(&mut self.slots);
        for pod in pods {
            let known =
                old.iter().position(|slot| slot.pod.uid == pod.uid && Some(slot.endpoint.address.ip()) == pod.ip);
            match known {
                Some(at) => {
                    let mut slot = old.swap_remove(at);
                    let since = slot.pod.ready_since;
                    if pod.ready && (!slot.pod.ready || since.is_some() && since != pod.ready_since) {
                        // Kubelet has looked at it since, and knows better than what this proxy met.
                        slot.out_until = None;
                    }
                    slot.was_ready |= pod.ready;
                    slot.pod = pod;
                    self.slots.push(slot);
                }
                None => self.slots.extend(Slot::new(&pod)),
            }
        }
        self.leave(old);
    }

    /// Drops all: the revision is another one.
    pub(crate) fn clear(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.leave(old);
    }

    fn leave(&mut self, slots: Vec<Slot>) {
        self.leaving.retain(|endpoint| endpoint.in_flight() > 0);
        self.leaving.extend(slots.into_iter().map(|slot| slot.endpoint).filter(|endpoint| endpoint.in_flight() > 0));
    }

    /// The least loaded pod with room for one more.
    pub(crate) fn choose(&self, room: u32, now: Instant) -> Option<&Arc<Endpoint>> {
        let ready = self.slots.iter().filter(|slot| slot.load == Load::Loaded && slot.is_up(now));
        let least = ready.min_by_key(|slot| slot.endpoint.in_flight())?;
        (least.endpoint.in_flight() < room).then_some(&least.endpoint)
    }

    pub(crate) fn get_mut(&mut self, uid: &str) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| *slot.pod.uid == *uid)
    }

    /// Marks pods to be loaded until they have room for `waiting` requests, and gives them.
    pub(crate) fn start_loads(&mut self, waiting: usize, room: u32, now: Instant) -> Vec<Arc<Endpoint>> {
        let room = room as usize;
        let coming = self.slots.iter().filter(|slot| slot.load == Load::Loading && slot.is_up(now)).count();
        let mut missing = waiting.saturating_sub(coming * room);
        let mut started = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.load == Load::New && slot.is_up(now)) {
            if missing == 0 {
                break;
            }
            slot.load = Load::Loading;
            missing = missing.saturating_sub(room);
            started.push(Arc::clone(&slot.endpoint));
        }
        started
    }

    /// Leaves a pod out for a while, longer each time in a row.
    pub(crate) fn put_out(&mut self, uid: &str, base: Duration, now: Instant) {
        if let Some(slot) = self.get_mut(uid) {
            slot.failures = (slot.failures + 1).min(6);
            slot.out_until = Some(now + base * 2u32.pow(slot.failures - 1));
            // What lies ready leads to a process that may be gone.
            slot.endpoint.prune(Duration::ZERO);
            // Where only its agent's word counted, that is to be asked for again.
            if slot.load == Load::Loading || slot.load == Load::Loaded && slot.is_starting() {
                slot.load = Load::New;
            }
        }
    }

    /// Leaves a pod out until then, or no longer.
    pub(crate) fn out_until(&mut self, uid: &str, until: Option<Instant>) {
        if let Some(slot) = self.get_mut(uid) {
            slot.out_until = until;
        }
    }

    /// Whether the pod is still on its way to being ready for the first time.
    pub(crate) fn is_starting(&self, uid: &str) -> bool {
        self.slots.iter().any(|slot| *slot.pod.uid == *uid && slot.is_starting())
    }

    pub(crate) fn loaded(&mut self, uid: &str) -> bool {
        let Some(slot) = self.get_mut(uid) else { return false };
        slot.load = Load::Loaded;
        slot.failures = 0;
        true
    }

    /// Pods that serve or soon will.
    pub(crate) fn good(&self, now: Instant) -> u32 {
        self.slots.iter().filter(|slot| slot.is_good(now)).count() as u32
    }

    /// Pods that serve.
    pub(crate) fn ready(&self, now: Instant) -> u32 {
        self.slots.iter().filter(|slot| slot.load == Load::Loaded && slot.is_up(now)).count() as u32
    }

    /// Pods that have loaded the code, whether or not they can be reached now.
    pub(crate) fn loaded_pods(&self) -> u32 {
        self.slots.iter().filter(|slot| slot.load == Load::Loaded).count() as u32
    }

    /// Whether there is a pod of which nobody here has asked that it load.
    pub(crate) fn has_new(&self) -> bool {
        self.slots.iter().any(|slot| slot.load == Load::New && slot.pod.is_claimed())
    }

    pub(crate) fn loading(&self) -> bool {
        self.slots.iter().any(|slot| slot.load == Load::Loading)
    }

    /// Pods that the function holds, whatever their condition.
    pub(crate) fn all(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(crate) fn in_flight(&self) -> u32 {
        let leaving = self.leaving.iter().map(|endpoint| endpoint.in_flight());
        self.slots.iter().map(|slot| slot.endpoint.in_flight()).chain(leaving).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// A good pod that is not among `known`.
    pub(crate) fn another(&self, known: &[String], now: Instant) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.is_good(now) && !known.iter().any(|uid| **uid == *slot.pod.uid))
    }

    /// Every pod with requests in it, or that had some.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&Arc<Endpoint>, Load)> {
        let leaving = self.leaving.iter().map(|endpoint| (endpoint, Load::Loaded));
        self.slots.iter().map(|slot| (&slot.endpoint, slot.load)).chain(leaving)
    }
}

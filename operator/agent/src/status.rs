//! Where this pod stands: one value, changed in one place, watched by everybody who waits.

use std::time::{Duration, Instant};

use muon_crds::wire::LoadReport;
use serde::Serialize;

use crate::failure::{Doing, LoadError};
use crate::incarnation::Incarnation;
use crate::record::Record;

/// Crashes, within the window, that end the pod.
const CRASHES: usize = 2;

/// What the agent knows.
#[derive(Clone, Debug)]
pub struct Status {
    /// The runtime, as last seen.
    pub runtime: RuntimeState,
    /// How far the load is.
    pub phase: Phase,
    /// The one load that this pod took.
    pub record: Option<Record>,
    /// The pod is going away.
    pub draining: bool,
    /// The keeper should load: at start, and after a crash.
    pub wanted: bool,
    /// Times that the runtime ended.
    pub restarts: u64,
    crashes: Vec<Instant>,
}

/// The runtime, as last seen.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum RuntimeState {
    /// It has not answered yet.
    Starting,
    /// It answers.
    Up,
    /// It ended and is not back.
    Down,
}

/// How far the load is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is inside.
    Empty,
    /// A load runs.
    Loading(Doing),
    /// The code is inside.
    Loaded(LoadReport),
    /// The last load failed.
    Failed(LoadError),
}

impl Status {
    /// At the agent's start: with what an agent before this one kept, and the runtime that listens now.
    pub fn new(record: Option<Record>, listening: Option<&Incarnation>) -> Self {
        let phase = match &record {
            Some(Record { failed: Some(failed), .. }) => Phase::Failed(failed.clone()),
            Some(Record { loaded: Some(loaded), .. }) if listening.is_some_and(|now| now.is(loaded)) => {
                Phase::Loaded(LoadReport::default())
            }
            _ => Phase::Empty,
        };
        let wanted = record.is_some() && phase == Phase::Empty;
        Self {
            runtime: RuntimeState::Starting,
            phase,
            record,
            draining: false,
            wanted,
            restarts: 0,
            crashes: Vec::new(),
        }
    }

    /// Why the pod is ready, or is not: one CamelCase word. `pool`: a pod without a load is as it should be.
    pub fn readiness(&self, pool: bool) -> Result<(), &str> {
        if self.draining {
            return Err("Draining");
        }
        match &self.phase {
            Phase::Failed(error) => return Err(error.reason()),
            Phase::Loading(_) => return Err("Loading"),
            Phase::Empty if self.record.is_some() || !pool => return Err("NotLoaded"),
            Phase::Empty | Phase::Loaded(_) => {}
        }
        match self.runtime {
            RuntimeState::Starting => Err("RuntimeStarting"),
            RuntimeState::Down => Err("RuntimeDown"),
            RuntimeState::Up => Ok(()),
        }
    }

    /// The runtime answers.
    pub fn runtime_up(&mut self, now: Option<&Incarnation>, window: Duration) {
        let was = std::mem::replace(&mut self.runtime, RuntimeState::Up);
        if self.draining && was == RuntimeState::Down {
            // Kubernetes restarts a container in place through the same hook as it ends a pod: the pod stays after all.
            self.draining = false;
            self.lost(window);
        } else if let (Phase::Loaded(_), Some(record), Some(now)) = (&self.phase, &self.record, now)
            && !record.loaded.as_ref().is_some_and(|loaded| loaded.is(now))
        {
            // It ended and came back between two looks.
            self.restarts += 1;
            self.lost(window);
        }
    }

    /// The runtime does not listen any more.
    pub fn runtime_down(&mut self, window: Duration) {
        if std::mem::replace(&mut self.runtime, RuntimeState::Down) != RuntimeState::Up {
            return;
        }
        self.restarts += 1;
        if !self.draining {
            self.lost(window);
        }
    }

    /// What was inside the runtime is gone.
    fn lost(&mut self, window: Duration) {
        let now = Instant::now();
        if self.record.is_none() || matches!(&self.phase, Phase::Failed(error) if error.is_final()) {
            return;
        }
        self.crashes.retain(|crash| now.duration_since(*crash) < window);
        self.crashes.push(now);
        if self.crashes.len() >= CRASHES {
            self.phase = Phase::Failed(LoadError::RuntimeCrashed(self.crashes.len()));
            self.wanted = false;
            return;
        }
        self.wanted = true;
        if matches!(self.phase, Phase::Loaded(_)) {
            self.phase = Phase::Empty;
        }
    }
}

/// `/readyz` and `/v1/state`, as JSON.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct State<'a> {
    ready: bool,
    /// `Ready`, or why it is not.
    reason: &'a str,
    /// The runtime ended twice: the pod is to be replaced.
    crashed: bool,
    /// Somebody else loaded the runtime: the pod is to be replaced.
    foreign: bool,
    draining: bool,
    runtime: RuntimeState,
    runtime_restarts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<LoadReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl<'a> State<'a> {
    /// What `status` says to those outside.
    pub fn of(status: &'a Status, pool: bool) -> Self {
        let readiness = status.readiness(pool);
        let record = status.record.as_ref();
        let failed = match &status.phase {
            Phase::Failed(error) => Some(error),
            _ => None,
        };
        Self {
            ready: readiness.is_ok(),
            reason: readiness.err().unwrap_or("Ready"),
            crashed: matches!(failed, Some(LoadError::RuntimeCrashed(_))),
            foreign: matches!(failed, Some(LoadError::ForeignLoad)),
            draining: status.draining,
            runtime: status.runtime,
            runtime_restarts: status.restarts,
            function_uid: record.map(|record| record.function_uid.as_str()),
            revision: record.map(|record| record.revision.as_str()),
            digest: record.map(|record| record.digest.as_str()),
            report: match status.phase {
                Phase::Loaded(report) => Some(report),
                _ => None,
            },
            failure: failed.map(ToString::to_string),
        }
    }

    /// Whether the pod is ready.
    pub fn ready(&self) -> bool {
        self.ready
    }

    /// Times that the runtime ended.
    pub fn runtime_restarts(&self) -> u64 {
        self.runtime_restarts
    }
}

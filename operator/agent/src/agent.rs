//! One load of one package: who may begin it, who joins it, and its three steps.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use muon_crds::names;
use muon_crds::wire::{LoadReport, LoadRequest};
use muon_order::{Load, Order};
use tokio::sync::watch;
use tokio::time::timeout_at;

use crate::admission::{self, Admitted};
use crate::failure::{Doing, LoadError};
use crate::fetch::{self, Fetched, Verified};
use crate::incarnation::Incarnation;
use crate::metrics::{Metrics, Outcome};
use crate::record::Record;
use crate::runtime::{self, Loaded};
use crate::settings::Settings;
use crate::status::{Phase, State, Status};
use crate::unpack::{self, Refused, UnpackError};

/// No load may take longer, whatever its request says.
const LONGEST_LOAD: Duration = Duration::from_secs(600);

/// What the agent's tasks share.
pub struct Agent {
    /// What it was told at start.
    pub settings: Settings,
    /// What it counts.
    pub metrics: Metrics,
    template: Option<Load>,
    status: watch::Sender<Status>,
}

/// What becomes of a request to load.
enum Decision {
    Begin,
    Join,
    Answer(Result<LoadReport, LoadError>),
}

impl Agent {
    /// Takes up what an agent before this one left, or the template's load.
    pub fn start(settings: Settings) -> Self {
        let mut refused = None;
        let template = settings.template.as_ref().and_then(|request| {
            template_load(&settings, request).inspect_err(|error| refused = Some(error.clone())).ok()
        });
        let record = Record::read(&settings.agent_dir).or_else(|| {
            let (request, load) = settings.template.as_ref().zip(template.as_ref())?;
            Some(accepted(request, load))
        });
        let mut status = Status::new(record, Incarnation::listening_on(settings.runtime.port()).as_ref());
        if let Some(error) = refused {
            tracing::error!(%error, "the order in MUON_LOAD cannot be taken");
            if status.record.is_none() {
                status.phase = Phase::Failed(error);
            }
        }
        Self { settings, metrics: Metrics::default(), template, status: watch::Sender::new(status) }
    }

    /// Follows the status.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Looks at the status as those outside may see it.
    pub fn with_state<T>(&self, look: impl FnOnce(State<'_>) -> T) -> T {
        look(State::of(&self.status.borrow(), self.template.is_none() && self.settings.template.is_none()))
    }

    /// The runtime was seen up or down.
    pub fn observe(&self, change: impl FnOnce(&mut Status, Duration)) {
        self.status.send_modify(|status| change(status, self.settings.crash_window));
        let failed = match &*self.status.borrow() {
            Status { phase: Phase::Failed(error), record: Some(record), .. } if error.is_final() => {
                (record.failed.as_ref() != Some(error)).then(|| error.clone())
            }
            _ => None,
        };
        if let Some(error) = failed {
            self.keep(|record| record.failed = Some(error));
        }
    }

    /// From now on the pod is not ready and takes no load.
    pub fn drain(&self) {
        self.status.send_modify(|status| status.draining = true);
    }

    /// Loads, joins the load that runs, or says what became of the one that was.
    pub async fn load(self: &Arc<Self>, request: LoadRequest) -> Result<LoadReport, LoadError> {
        let time = Duration::from_millis(request.timeout_ms).min(LONGEST_LOAD);
        let mut watching = self.status.subscribe();
        match self.decide(request) {
            Decision::Answer(answer) => {
                self.metrics.count(match &answer {
                    Ok(_) => Outcome::Already,
                    Err(_) => Outcome::Refused,
                });
                return answer;
            }
            // A task of its own: a caller that goes away does not take the load of the others with it.
            Decision::Begin => drop(tokio::spawn(self.clone().perform())),
            Decision::Join => self.metrics.count(Outcome::Joined),
        }
        let done = watching.wait_for(|status| !matches!(status.phase, Phase::Loading(_)));
        let late = LoadError::Deadline { milliseconds: time.as_millis() as u64, doing: Doing::Waiting };
        // A little more than the load itself has, so that its own, more telling end is the one that is answered.
        let Ok(Ok(status)) = tokio::time::timeout(time + Duration::from_millis(100), done).await else {
            return Err(late);
        };
        match &status.phase {
            Phase::Loaded(report) => Ok(*report),
            Phase::Failed(error) => Err(error.clone()),
            // It was loaded, and the runtime ended at once.
            Phase::Empty | Phase::Loading(_) => Err(LoadError::RuntimeEnded),
        }
    }

    fn decide(&self, request: LoadRequest) -> Decision {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let Settings { verifier, pod_uid, .. } = &self.settings;
        let admitted = match admission::admit(verifier, pod_uid, self.template.as_ref(), &request.order, now) {
            Ok(admitted) => admitted,
            Err(error) => return Decision::Answer(Err(error)),
        };
        let mut decision = Decision::Join;
        self.status.send_if_modified(|status| {
            decision = decide(status, &request, admitted);
            if matches!(decision, Decision::Begin) {
                status.phase = Phase::Loading(Doing::Fetching);
            }
            matches!(decision, Decision::Begin)
        });
        decision
    }

    /// Loads what was accepted, without anybody asking. Says whether there is nothing more to do.
    pub async fn load_again(self: &Arc<Self>) -> bool {
        let begun = self.status.send_if_modified(|status| {
            let idle = !matches!(status.phase, Phase::Loading(_));
            let begin = status.wanted && !status.draining && idle && status.record.is_some();
            if begin {
                status.phase = Phase::Loading(Doing::Fetching);
            }
            begin
        });
        if begun {
            self.clone().perform().await;
        }
        !self.status.borrow().wanted
    }

    /// The load, from the accepted order to its end in the status.
    async fn perform(self: Arc<Self>) {
        let Some(record) = self.status.borrow().record.clone() else { return };
        let outcome = self.bring(&record).await;
        self.metrics.count(match &outcome {
            Ok(_) => Outcome::Loaded,
            Err(error) if error.is_final() => Outcome::FailedForGood,
            Err(_) => Outcome::Failed,
        });
        let (function, revision, trace) = (&record.request.function, &record.revision, record.request.trace.as_deref());
        match &outcome {
            Ok(report) => {
                self.metrics.phases(report);
                tracing::info!(function, revision, trace, ?report, "loaded");
            }
            Err(error) => tracing::warn!(function, revision, trace, reason = error.reason(), %error, "not loaded"),
        }
        let failed = outcome.as_ref().err().filter(|error| error.is_final()).cloned();
        let loaded = outcome.is_ok();
        self.status.send_if_modified(|status| {
            // The watch over the runtime may have ended it for good meanwhile.
            if !matches!(status.phase, Phase::Loading(_)) {
                return false;
            }
            status.wanted &= !loaded && failed.is_none();
            status.phase = match outcome {
                Ok(report) => Phase::Loaded(report),
                Err(error) => Phase::Failed(error),
            };
            true
        });
        self.keep(|record| {
            record.failed = failed.or(record.failed.take());
            record.loaded = if loaded { record.asked.clone() } else { None };
        });
    }

    /// Fetch, unpack, load.
    async fn bring(&self, record: &Record) -> Result<LoadReport, LoadError> {
        let milliseconds = record.request.timeout_ms.min(LONGEST_LOAD.as_millis() as u64);
        let deadline = Instant::now() + Duration::from_millis(milliseconds);
        let late = |doing| LoadError::Deadline { milliseconds, doing };
        let mut report = LoadReport::default();
        let path = self.settings.code_dir.join(unpack::PACKAGE);
        if !(record.unpacked && path.exists()) {
            let began = Instant::now();
            let Settings { agent_dir, max_archive, code_dir, limits, .. } = &self.settings;
            let fetching = fetch::begin(&record.request, &record.digest, agent_dir, *max_archive);
            // The order is written down while the store is asked.
            let keeping = async { record.write(agent_dir) };
            let fetching = async { tokio::join!(fetching, keeping).0 };
            let fetched = timeout_at(deadline.into(), fetching).await.unwrap_or_else(|_| Err(late(Doing::Fetching)))?;
            let (code_dir, limits) = (code_dir.clone(), *limits);
            // It ends by itself, at the deadline or with what feeds it: it is never left running behind a second one.
            let unpack =
                |archive| tokio::task::spawn_blocking(move || unpack::unpack(archive, &code_dir, limits, deadline));
            let (Verified(verifying), fetching, unpacking) = match fetched {
                Fetched::Whole(archive, verified) => {
                    let fetching = began.elapsed();
                    self.doing(Doing::Unpacking);
                    (verified, fetching, unpack(archive).await)
                }
                Fetched::Coming(archive, feed) => {
                    let feeding = async {
                        let fed = timeout_at(deadline.into(), feed.run()).await;
                        self.doing(Doing::Unpacking);
                        (fed.unwrap_or_else(|_| Err(late(Doing::Fetching))), began.elapsed())
                    };
                    let ((fed, fetching), unpacking) = tokio::join!(feeding, unpack(archive));
                    // What is wrong with what came says nothing of the archive that was ordered.
                    (fed?, fetching, unpacking)
                }
            };
            unpacking
                .map_err(|error| LoadError::Disk(format!("unpacking was cut short: {error}")))?
                .map_err(|error| unpack_failed(error, late(Doing::Unpacking)))?;
            report.verify_us = verifying.as_micros() as u64;
            report.fetch_us = fetching.saturating_sub(verifying).as_micros() as u64;
            report.unpack_us = micros(began).saturating_sub(fetching.as_micros() as u64);
        }
        let began = Instant::now();
        self.doing(Doing::Importing);
        let importing = self.import(record, path);
        timeout_at(deadline.into(), importing).await.unwrap_or_else(|_| Err(late(Doing::Importing)))?;
        report.load_us = micros(began);
        Ok(report)
    }

    async fn import(&self, record: &Record, path: PathBuf) -> Result<(), LoadError> {
        let address = self.settings.runtime;
        let mut ours = false;
        let asked = || {
            let now = Incarnation::listening_on(address.port());
            // Asked before and never heard the end of it: code that is inside is then ours.
            ours = now.as_ref().zip(record.asked.as_ref()).is_some_and(|(now, before)| now.is(before));
            self.keep(|record| {
                record.unpacked = true;
                record.asked = now;
            });
        };
        match runtime::load(address, &self.settings.code_dir, &path, &record.request, asked).await? {
            Loaded::Now => Ok(()),
            Loaded::Before if ours => Ok(()),
            Loaded::Before => Err(LoadError::ForeignLoad),
        }
    }

    fn doing(&self, doing: Doing) {
        self.status.send_if_modified(|status| {
            if let Phase::Loading(now) = &mut status.phase {
                *now = doing;
            }
            // Nobody waits for this.
            false
        });
    }

    /// Changes what is kept, in memory and on disk.
    fn keep(&self, change: impl FnOnce(&mut Record)) {
        self.status.send_if_modified(|status| {
            if let Some(record) = &mut status.record {
                change(record);
                record.write(&self.settings.agent_dir);
            }
            false
        });
    }
}

/// What becomes of an admitted request, as the pod stands.
fn decide(status: &mut Status, request: &LoadRequest, Admitted { load, expired }: Admitted) -> Decision {
    let refuse = |error| Decision::Answer(Err(error));
    let asked_for = names::asks_for(&load.revision, &request.env);
    if let Some(record) = &mut status.record {
        let same = (&record.function_uid, &record.revision, &record.digest)
            == (&load.function_uid, &load.revision, &load.digest);
        if !same {
            let (function, revision) = (record.function_uid.clone(), record.revision.clone());
            return refuse(LoadError::AlreadyLoaded { function, revision });
        }
        return match &status.phase {
            Phase::Loading(_) => Decision::Join,
            Phase::Failed(error) if error.is_final() => refuse(error.clone()),
            // Loaded or not: a proxy that has not seen it go must not take it for one that stays.
            _ if status.draining => refuse(LoadError::Draining),
            Phase::Loaded(_) => Decision::Answer(Ok(LoadReport { already: true, ..LoadReport::default() })),
            Phase::Empty | Phase::Failed(_) => {
                if expired.is_none() && asked_for {
                    // The newer order, in case the archive has to be fetched again.
                    record.request = request.clone();
                }
                Decision::Begin
            }
        };
    }
    if status.draining {
        return refuse(LoadError::Draining);
    }
    if let Some(expired) = expired {
        return refuse(LoadError::OrderRefused(expired.to_string()));
    }
    if !asked_for {
        return refuse(LoadError::EnvDiffers);
    }
    status.record = Some(accepted(request, &load));
    Decision::Begin
}

fn accepted(request: &LoadRequest, load: &Load) -> Record {
    Record {
        request: request.clone(),
        function_uid: load.function_uid.clone(),
        revision: load.revision.clone(),
        digest: load.digest.clone(),
        unpacked: false,
        asked: None,
        loaded: None,
        failed: None,
    }
}

/// The order of the pod's own template: signed, and bound to no other pod.
fn template_load(settings: &Settings, request: &LoadRequest) -> Result<Load, LoadError> {
    let refuse = |message: String| Err(LoadError::OrderRefused(message));
    match settings.verifier.check(&request.order, 0) {
        Ok(Order::Load(load)) if load.pod_uid.as_ref().is_none_or(|uid| *uid == settings.pod_uid) => Ok(load),
        Ok(_) => refuse("the order is not one to load a package into a pod of this template".into()),
        Err(refused) => refuse(refused.to_string()),
    }
}

fn unpack_failed(error: UnpackError, late: LoadError) -> LoadError {
    match error {
        UnpackError::Refused(Refused::Time) => late,
        UnpackError::Refused(refused) => {
            LoadError::ArchiveRefused { reason: refused.reason().into(), message: refused.to_string() }
        }
        UnpackError::Disk(_) => LoadError::Disk(error.to_string()),
    }
}

fn micros(since: Instant) -> u64 {
    since.elapsed().as_micros() as u64
}

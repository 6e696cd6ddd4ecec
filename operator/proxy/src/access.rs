//! What is told of a request when it is over: metrics always, a log line where it is asked for, spans of a trace that
//! is sampled.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, StatusCode, Uri};
use muon_crds::wire::Component;
use muon_routes::Function;
use tokio::sync::mpsc;

use crate::answer::Refusal;
use crate::appender::Appender;
use crate::crowd::Phase;
use crate::endpoint::Endpoint;
use crate::metrics::{Entry, Metrics, Start};
use crate::trace::{Context, Policy};
use crate::upload::Upload;

pub(crate) mod invocation;
mod line;
pub(crate) mod phases;

use invocation::Invocation;
use phases::Cold;

/// An answer whose head took longer is told of also where only notable requests are.
const SLOW: Duration = Duration::from_secs(1);

/// Which requests get a line in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Every one: a line costs well under a microsecond, and is what a request id is looked up in.
    #[default]
    All,
    /// Errors, cold starts, answers that took more than a second or broke off.
    Notable,
    /// None.
    None,
}

impl FromStr for AccessLog {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "notable" => Ok(Self::Notable),
            "none" => Ok(Self::None),
            other => Err(format!("{other:?} is none of: all, notable, none")),
        }
    }
}

/// Where the lines go, and which.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    which: AccessLog,
    appender: Appender,
}

impl Log {
    /// None, where no line is wanted.
    pub(crate) fn new(which: AccessLog, appender: Option<&Appender>) -> Option<Self> {
        let appender = appender.filter(|_| which != AccessLog::None)?;
        Some(Self { which, appender: appender.clone() })
    }
}

/// What all records of a proxy share.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Option<Log>,
    pub(crate) policy: Policy,
    /// Who takes spans.
    pub(crate) traces: Option<mpsc::Sender<Invocation>>,
}

/// One request, from its head to the end of its answer. Told when dropped, so none is forgotten.
pub(crate) struct Record {
    books: Arc<Books>,
    phase: Arc<Phase>,
    pub(crate) entry: Entry,
    pub(crate) started: Instant,
    pub(crate) id: HeaderValue,
    pub(crate) trace: Context,
    method: Method,
    uri: Uri,
    pub(crate) function: Option<Arc<Function>>,
    /// The last pod that it was sent to.
    pub(crate) pod: Option<Arc<Endpoint>>,
    pub(crate) start: Start,
    /// Finding its function.
    pub(crate) routed: Duration,
    /// Waiting for a place in a pod.
    pub(crate) waited: Duration,
    /// Until the head of the answer.
    pub(crate) head: Duration,
    /// How far its body is, where it has one.
    pub(crate) upload: Option<Arc<Upload>>,
    /// It was sent to a second pod after it may have reached a first one.
    pub(crate) repeated: bool,
    /// Bytes of its body, and of the answer's, beyond what is counted elsewhere.
    pub(crate) bytes: (u64, u64),
    status: StatusCode,
    /// Who failed, and why.
    failure: Option<(Component, &'static str)>,
    complete: bool,
}

impl Record {
    pub(crate) fn new(
        books: Arc<Books>,
        phase: Arc<Phase>,
        entry: Entry,
        (id, trace): (HeaderValue, Context),
        method: &Method,
        uri: &Uri,
    ) -> Self {
        books.metrics.in_flight.inc();
        Self {
            books,
            phase,
            entry,
            started: Instant::now(),
            id,
            trace,
            method: method.clone(),
            uri: uri.clone(),
            function: None,
            pod: None,
            start: Start::None,
            routed: Duration::ZERO,
            waited: Duration::ZERO,
            head: Duration::ZERO,
            upload: None,
            repeated: false,
            bytes: (0, 0),
            status: StatusCode::OK,
            failure: None,
            complete: false,
        }
    }

    /// The head of the answer is known.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.head = self.started.elapsed();
        self.status = status;
    }

    /// The answer is one of ours, so long.
    pub(crate) fn refused(&mut self, refusal: &Refusal, bytes: u64) {
        self.answered(refusal.status());
        self.failure = Some((refusal.component(), refusal.reason()));
        self.bytes.1 = bytes;
        self.complete = true;
    }

    /// The answer broke off in the pod.
    pub(crate) fn broken_off(&mut self, reason: &'static str) {
        self.failure = Some((Component::Function, reason));
    }

    /// So much of the answer's body is through.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes.1 += bytes as u64;
    }

    /// The whole answer is through.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    fn status(&self) -> u16 {
        if self.head.is_zero() { 499 } else { self.status.as_u16() }
    }

    /// Who failed and why, where the answer is not what the function meant.
    fn failure(&self) -> Option<(&'static str, &'static str)> {
        match self.failure {
            Some((component, reason)) => Some((component.as_str(), reason)),
            None if !self.complete => Some(("client", "ClientGone")),
            None => None,
        }
    }

    /// The revision that was asked for, or that answers.
    fn revision(&self) -> &str {
        match (&self.pod, &self.function) {
            (Some(pod), _) => &pod.revision,
            (None, Some(function)) => function.serving.as_ref().map_or("", |serving| &serving.revision),
            (None, None) => "",
        }
    }

    fn bytes_in(&self) -> u64 {
        self.bytes.0 + self.upload.as_ref().map_or(0, |upload| upload.bytes())
    }

    /// How its pod came to be, where it waited for that.
    fn cold(&self) -> Option<Cold> {
        let pod = self.pod.as_ref().filter(|_| self.start == Start::Cold)?;
        Cold::within(&pod.loading()?, self.started)
    }

    /// In the pod, until the head of its answer.
    fn forwarded(&self) -> Duration {
        self.head.saturating_sub(self.routed + self.waited)
    }

    fn is_notable(&self) -> bool {
        self.status() >= 400 || self.start == Start::Cold || !self.complete || self.head >= SLOW
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let metrics = &self.books.metrics;
        metrics.in_flight.dec();
        self.phase.ended(self.started + self.head);
        metrics.request(self.entry, self.status(), self.start, self.head);
        if let Some(trace) = self.trace.kept_id().filter(|_| !self.head.is_zero()) {
            metrics.example(self.start, self.head, trace);
        }
        if let (Some(spans), Some(traces)) = (self.trace.spans, &self.books.traces)
            && traces.try_send(Invocation::of(self, spans)).is_err()
        {
            metrics.traces_lost.inc();
        }
        let Some(log) = &self.books.log else { return };
        if log.which == AccessLog::Notable && !self.is_notable() {
            return;
        }
        if !log.appender.append(|lines| line::write(lines, self)) {
            metrics.lines_lost.inc();
        }
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

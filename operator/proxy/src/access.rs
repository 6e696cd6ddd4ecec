//! What is told of a request when it is over: metrics always, a log line where it is asked for.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, StatusCode, Uri};
use muon_routes::Function;

use crate::appender::Appender;
use crate::crowd::Phase;
use crate::metrics::{Entry, Metrics, Start};

mod line;

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
}

/// One request, from its head to the end of its answer. Told when dropped, so none is forgotten.
pub(crate) struct Record {
    books: Arc<Books>,
    phase: Arc<Phase>,
    pub(crate) entry: Entry,
    pub(crate) started: Instant,
    pub(crate) id: HeaderValue,
    method: Method,
    uri: Uri,
    pub(crate) function: Option<Arc<Function>>,
    pub(crate) start: Start,
    /// Finding its function.
    pub(crate) routed: Duration,
    /// Waiting for a place in a pod.
    pub(crate) waited: Duration,
    /// Until the head of the answer.
    pub(crate) head: Duration,
    status: StatusCode,
    reason: &'static str,
    complete: bool,
}

impl Record {
    pub(crate) fn new(
        books: Arc<Books>,
        phase: Arc<Phase>,
        entry: Entry,
        id: HeaderValue,
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
            method: method.clone(),
            uri: uri.clone(),
            function: None,
            start: Start::None,
            routed: Duration::ZERO,
            waited: Duration::ZERO,
            head: Duration::ZERO,
            status: StatusCode::OK,
            reason: "",
            complete: false,
        }
    }

    /// The head of the answer is known.
    pub(crate) fn answered(&mut self, status: StatusCode, reason: &'static str) {
        self.head = self.started.elapsed();
        self.status = status;
        self.reason = reason;
    }

    /// The whole answer is through.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    fn status(&self) -> u16 {
        if self.head.is_zero() { 499 } else { self.status.as_u16() }
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

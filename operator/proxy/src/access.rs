//! What is told of a request when it is over: metrics always, a log line when asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, StatusCode, Uri};
use muon_routes::Function;

use crate::metrics::{Entry, Metrics, Start};

/// One request, from its head to the end of its answer. Told when dropped, so none is forgotten.
pub(crate) struct Record {
    metrics: Arc<Metrics>,
    log: bool,
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
        metrics: Arc<Metrics>,
        log: bool,
        entry: Entry,
        id: HeaderValue,
        method: &Method,
        uri: &Uri,
    ) -> Self {
        metrics.in_flight.inc();
        Self {
            metrics,
            log,
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
}

impl Drop for Record {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        let status = if self.head.is_zero() { 499 } else { self.status.as_u16() };
        self.metrics.request(self.entry, status, self.start, self.head);
        if !self.log {
            return;
        }
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "access",
            request_id = self.id.to_str().unwrap_or("?"),
            listener = self.entry.as_str(),
            method = self.method.as_str(),
            path = self.uri.path(),
            function = self.function.as_ref().map_or("", |function| function.key()),
            status,
            reason = self.reason,
            start = self.start.as_str(),
            complete = self.complete,
            route_us = micros(self.routed),
            wait_us = micros(self.waited),
            head_us = micros(self.head),
            total_us = micros(self.started.elapsed()),
        );
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

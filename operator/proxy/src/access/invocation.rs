//! One request as a trace has it: what an exporter makes spans of.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::Record;
use super::phases::Cold;
use crate::trace::Spans;

/// One sampled request that is over.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The trace's id: 32 hexadecimal digits.
    pub trace_id: String,
    /// Number of the client's span; none: the trace begins here.
    pub parent: Option<u64>,
    /// Number of the span from the head of the request to the end of the answer.
    pub span: u64,
    /// Number of the span of the pod's answer: the parent of what the function does.
    pub pod_span: u64,
    /// When the request began.
    pub started: SystemTime,
    /// Until the end of the answer.
    pub total: Duration,
    /// Finding the function.
    pub route: Duration,
    /// Waiting for a place in a pod.
    pub queue: Duration,
    /// Until the head of the answer.
    pub head: Duration,
    /// Getting and loading the pod, where the request waited for that.
    pub cold: Option<Cold>,
    /// What a request met: `none`, `warm`, `cold`.
    pub start: &'static str,
    /// Where it came in: `gateway`, `ingress`, `functions`.
    pub listener: &'static str,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The status answered.
    pub status: u16,
    /// Who failed, and why.
    pub failure: Option<(&'static str, &'static str)>,
    /// Its id.
    pub request_id: String,
    /// The Function's name and namespace; none: it found none.
    pub function: Option<(String, String)>,
    /// The Function's revision.
    pub revision: String,
    /// The pod's name, and its address; none: it came to none.
    pub pod: Option<(String, SocketAddr)>,
    /// It was sent twice.
    pub repeated: bool,
    /// Bytes of both bodies.
    pub bytes: (u64, u64),
}

impl Invocation {
    pub(super) fn of(record: &Record, spans: Spans) -> Self {
        let total = record.started.elapsed();
        Self {
            trace_id: record.trace.id().to_owned(),
            parent: spans.parent,
            span: spans.server,
            pod_span: spans.client,
            started: SystemTime::now().checked_sub(total).unwrap_or(SystemTime::UNIX_EPOCH),
            total,
            route: record.routed,
            queue: record.waited,
            head: if record.head.is_zero() { total } else { record.head },
            cold: record.cold(),
            start: record.start.as_str(),
            listener: record.entry.as_str(),
            method: record.method.as_str().to_owned(),
            path: super::line::cut(record.uri.path()).to_owned(),
            status: record.status(),
            failure: record.failure(),
            request_id: record.id.to_str().unwrap_or_default().to_owned(),
            function: record
                .function
                .as_ref()
                .map(|function| (function.name().to_owned(), function.namespace().to_owned())),
            revision: record.revision().to_owned(),
            pod: record.pod.as_ref().map(|pod| (pod.name.to_string(), pod.address)),
            repeated: record.repeated,
            bytes: (record.bytes_in(), record.bytes.1),
        }
    }
}

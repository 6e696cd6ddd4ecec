//! Spans of what our processes do.

use std::time::SystemTime;

use muon_proxy::{Invocation, Part};
use muon_reconcile::visit::Visit;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// Spans of one request: the request itself, below it the wait for a pod with the phases of a cold start, and the pod's answer.
pub(crate) fn of_invocation(invocation: Invocation) -> Vec<SpanData> {
    let Ok(trace) = TraceId::from_hex(&invocation.trace_id) else { return Vec::new() };
    let began = invocation.started;
    let at = |part: Part| (began + part.from, began + part.from + part.took);
    let draw = |name: &str, parent: u64, number: u64, (start, end): (SystemTime, SystemTime)| Sketch {
        trace,
        parent,
        number,
        name: name.to_owned(),
        start,
        end,
    };
    let root = invocation.span;
    let mut spans = Vec::new();
    if !invocation.queue.is_zero() {
        let queue = number();
        let whole = Part { from: invocation.route, took: invocation.queue };
        spans.push(draw("queue", root, queue, at(whole)).done());
        if let Some(cold) = invocation.cold {
            if let Some(claim) = cold.claim {
                spans.push(draw("claim", queue, number(), at(claim)).done());
            }
            let load = number();
            spans.push(draw("load", queue, load, at(cold.load)).done());
            for (name, step) in cold.steps.iter().flat_map(|steps| {
                [("fetch", steps.fetch), ("verify", steps.verify), ("unpack", steps.unpack), ("import", steps.import)]
            }) {
                spans.push(draw(name, load, number(), at(step)).done());
            }
        }
    }
    let failed = invocation.status >= 500;
    let error = invocation.failure.map(|(_, reason)| reason.to_owned());
    let error = error.or_else(|| failed.then(|| invocation.status.to_string()));
    let status = i64::from(invocation.status);
    if let Some((pod, address)) = &invocation.pod {
        let from = invocation.route + invocation.queue;
        let answer = Part { from, took: invocation.total.saturating_sub(from) };
        let mut span = draw(&invocation.method, root, invocation.pod_span, at(answer)).done();
        span.span_kind = SpanKind::Client;
        span.attributes = vec![
            text("http.request.method", &invocation.method),
            KeyValue::new("http.response.status_code", status),
            text("server.address", &address.ip().to_string()),
            KeyValue::new("server.port", i64::from(address.port())),
            text("k8s.pod.name", pod),
        ];
        span.attributes.extend(error.as_deref().map(|error| text("error.type", error)));
        span.status = outcome(failed, invocation.failure);
        spans.push(span);
    }
    let name = match &invocation.function {
        Some((name, namespace)) => format!("{} {name}.{namespace}", invocation.method),
        None => invocation.method.clone(),
    };
    let mut span = draw(&name, invocation.parent.unwrap_or(0), root, (began, began + invocation.total)).done();
    span.parent_span_is_remote = invocation.parent.is_some();
    span.span_kind = SpanKind::Server;
    span.status = outcome(failed, invocation.failure);
    span.attributes = vec![
        text("http.request.method", &invocation.method),
        text("url.path", &invocation.path),
        KeyValue::new("http.response.status_code", status),
        KeyValue::new("http.request.body.size", size(invocation.bytes.0)),
        KeyValue::new("http.response.body.size", size(invocation.bytes.1)),
        text("faas.trigger", "http"),
        KeyValue::new("faas.coldstart", invocation.start == "cold"),
        text("muon.request_id", &invocation.request_id),
        text("muon.start", invocation.start),
        text("muon.listener", invocation.listener),
    ];
    if let Some((name, namespace)) = &invocation.function {
        span.attributes.push(text("faas.name", name));
        span.attributes.push(text("faas.version", &invocation.revision));
        span.attributes.push(text("muon.namespace", namespace));
    }
    if let Some((component, _)) = invocation.failure {
        span.attributes.push(text("muon.component", component));
    }
    if invocation.repeated {
        span.attributes.push(KeyValue::new("http.request.resend_count", 1));
    }
    span.attributes.extend(error.map(|error| text("error.type", &error)));
    spans.push(span);
    spans
}

/// The span of one visit of the operator to an object: a trace of its own.
pub(crate) fn of_visit(visit: Visit) -> Vec<SpanData> {
    let trace = TraceId::from(u128::from(number()) << 64 | u128::from(number()));
    let (start, end) = (visit.started, visit.started + visit.took);
    let name = format!("reconcile {}", visit.kind);
    let mut span = Sketch { trace, parent: 0, number: number(), name, start, end }.done();
    span.attributes = vec![
        text("muon.kind", &visit.kind),
        text("muon.namespace", &visit.namespace),
        text("muon.name", &visit.name),
        text("muon.outcome", visit.outcome),
    ];
    if visit.outcome != "ok" {
        span.attributes.push(text("error.type", visit.outcome));
        span.status = Status::error(visit.outcome);
    }
    vec![span]
}

/// What all spans have.
struct Sketch {
    trace: TraceId,
    parent: u64,
    number: u64,
    name: String,
    start: SystemTime,
    end: SystemTime,
}

impl Sketch {
    fn done(self) -> SpanData {
        let id = SpanId::from(self.number);
        SpanData {
            span_context: SpanContext::new(self.trace, id, TraceFlags::SAMPLED, false, TraceState::default()),
            parent_span_id: SpanId::from(self.parent),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: self.name.into(),
            start_time: self.start,
            // Clocks may be set back; a span has no negative length.
            end_time: self.end.max(self.start),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("muon").build(),
        }
    }
}

fn outcome(failed: bool, failure: Option<(&'static str, &'static str)>) -> Status {
    match failure {
        Some((component, reason)) if failed || component != "client" => Status::error(format!("{component}: {reason}")),
        _ if failed => Status::error(""),
        _ => Status::Unset,
    }
}

fn text(key: &'static str, value: &str) -> KeyValue {
    KeyValue::new(key, Value::from(value.to_owned()))
}

fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A span's number: any but 0.
fn number() -> u64 {
    // Where the system has no randomness, spans share a name rather than be lost.
    getrandom::u64().unwrap_or(1).max(1)
}

/// Whether something without a trace of its own is sampled at this ratio.
pub(crate) fn is_sampled(ratio: f64) -> bool {
    const WHOLE: f64 = (1u64 << 53) as f64;
    ((number() >> 11) as f64 / WHOLE) < ratio
}

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use muon_proxy::{Cold, Invocation, Part, Steps};
use muon_reconcile::visit::Visit;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Outcome;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A collector that takes what comes, after refusing so many.
async fn collector(refusing: usize) -> (String, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    // Of the process; whichever test comes first installs it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let (sender, told) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let left = Arc::new(std::sync::atomic::AtomicUsize::new(refusing));
    type Shared = (UnboundedSender<ExportTraceServiceRequest>, Arc<std::sync::atomic::AtomicUsize>);
    async fn take(State((to, left)): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
        use std::sync::atomic::Ordering::SeqCst;
        assert_eq!(headers["content-type"], "application/x-protobuf");
        if left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            // Not one that the exporter tries again by itself.
            return StatusCode::BAD_REQUEST;
        }
        to.send(ExportTraceServiceRequest::decode(body).unwrap()).unwrap();
        StatusCode::OK
    }
    let router = Router::new().route("/v1/traces", post(take)).with_state((sender, left));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, told)
}

fn flags(endpoint: Option<String>) -> TraceFlags {
    TraceFlags { otlp_endpoint: endpoint, trace_ratio: 1.0 }
}

fn identity() -> Identity {
    Identity {
        namespace: "muon-system".to_owned(),
        pod_name: "muon-proxy-0".to_owned(),
        pod_uid: String::new(),
        pod_ip: IpAddr::from([127, 0, 0, 1]),
        admin_port: 0,
    }
}

fn part(from: u64, took: u64) -> Part {
    Part { from: Duration::from_millis(from), took: Duration::from_millis(took) }
}

fn invocation() -> Invocation {
    let steps = Steps { fetch: part(3, 2), verify: part(3, 1), unpack: part(5, 1), import: part(6, 2) };
    Invocation {
        trace_id: TRACE.to_owned(),
        parent: Some(7),
        span: 8,
        pod_span: 9,
        started: UNIX_EPOCH + Duration::from_secs(1_000),
        total: Duration::from_millis(20),
        route: Duration::from_millis(1),
        queue: Duration::from_millis(8),
        head: Duration::from_millis(15),
        cold: Some(Cold { claim: Some(part(1, 1)), load: part(2, 6), steps: Some(steps) }),
        start: "cold",
        listener: "ingress",
        method: "GET".to_owned(),
        path: "/hello".to_owned(),
        status: 200,
        failure: None,
        request_id: "r-1".to_owned(),
        function: Some(("hello".to_owned(), "demo".to_owned())),
        revision: "abc".to_owned(),
        pod: Some(("pod-1".to_owned(), "10.0.0.1:8888".parse().unwrap())),
        repeated: false,
        bytes: (3, 5),
    }
}

fn spans(request: &ExportTraceServiceRequest) -> HashMap<String, Span> {
    let all = request.resource_spans.iter().flat_map(|one| &one.scope_spans).flat_map(|one| one.spans.clone());
    all.map(|span| (span.name.clone(), span)).collect()
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    span.attributes.iter().find(|one| one.key == key)?.value.clone()?.value
}

fn text(value: &str) -> Option<Value> {
    Some(Value::StringValue(value.to_owned()))
}

fn times(span: &Span) -> (u64, u64) {
    let base = 1_000_000_000_000;
    ((span.start_time_unix_nano - base) / 1_000_000, (span.end_time_unix_nano - base) / 1_000_000)
}

async fn told(told: &mut mpsc::UnboundedReceiver<ExportTraceServiceRequest>) -> ExportTraceServiceRequest {
    tokio::time::timeout(Duration::from_secs(30), told.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_cold_request_is_a_tree_of_spans_at_the_collector() {
    let (url, mut taken) = collector(0).await;
    let registry = Registry::new();
    let started = start(&flags(Some(url)), ("muon-proxy", &identity()), &registry, spans::of_invocation).unwrap();
    let (sender, export) = started.unwrap();
    sender.send(invocation()).await.unwrap();
    export.finish().await;
    let request = told(&mut taken).await;
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    let service = resource.attributes.iter().find(|one| one.key == "service.name").unwrap();
    assert_eq!(service.value.as_ref().unwrap().value, text("muon-proxy"));

    let spans = spans(&request);
    let mut names: Vec<_> = spans.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["GET", "GET hello.demo", "claim", "fetch", "import", "load", "queue", "unpack", "verify"]);
    assert!(spans.values().all(|span| hex(&span.trace_id) == TRACE));
    let root = &spans["GET hello.demo"];
    assert_eq!((&*root.parent_span_id, &*root.span_id), (&7u64.to_be_bytes()[..], &8u64.to_be_bytes()[..]));
    assert_eq!((root.kind(), times(root)), (SpanKind::Server, (0, 20)));
    for (key, value) in [
        ("faas.name", text("hello")),
        ("muon.namespace", text("demo")),
        ("faas.version", text("abc")),
        ("muon.request_id", text("r-1")),
        ("faas.coldstart", Some(Value::BoolValue(true))),
        ("http.response.status_code", Some(Value::IntValue(200))),
        ("http.request.body.size", Some(Value::IntValue(3))),
        ("http.response.body.size", Some(Value::IntValue(5))),
        ("error.type", None),
    ] {
        assert_eq!(attribute(root, key), value, "{key}");
    }
    for (name, parent, expected) in [
        ("GET", "GET hello.demo", (9, 20)),
        ("queue", "GET hello.demo", (1, 9)),
        ("claim", "queue", (1, 2)),
        ("load", "queue", (2, 8)),
        ("fetch", "load", (3, 5)),
        ("verify", "load", (3, 4)),
        ("unpack", "load", (5, 6)),
        ("import", "load", (6, 8)),
    ] {
        assert_eq!((&spans[name].parent_span_id, times(&spans[name])), (&spans[parent].span_id, expected), "{name}");
    }
    let pod = &spans["GET"];
    assert_eq!((pod.kind(), &*pod.span_id), (SpanKind::Client, &9u64.to_be_bytes()[..]));
    assert_eq!(attribute(pod, "k8s.pod.name"), text("pod-1"));
    assert_eq!(counted(&registry, "exported"), 9.0);
}

#[tokio::test]
async fn a_failure_is_one_in_the_trace_as_well() {
    let failed = Invocation {
        status: 503,
        failure: Some(("proxy", "QueueFull")),
        cold: None,
        queue: Duration::ZERO,
        pod: None,
        function: None,
        start: "none",
        ..invocation()
    };
    let (url, mut taken) = collector(0).await;
    let started = start(&flags(Some(url)), ("muon-proxy", &identity()), &Registry::new(), spans::of_invocation);
    let (sender, export) = started.unwrap().unwrap();
    sender.send(failed).await.unwrap();
    export.finish().await;
    let spans = spans(&told(&mut taken).await);
    assert_eq!(spans.len(), 1);
    let root = &spans["GET"];
    assert_eq!(root.status.as_ref().unwrap().code(), Outcome::Error);
    assert_eq!((attribute(root, "error.type"), attribute(root, "muon.component")), (text("QueueFull"), text("proxy")));
}

#[tokio::test]
async fn what_a_collector_refuses_is_counted_and_the_next_is_delivered() {
    let (url, mut taken) = collector(1).await;
    let registry = Registry::new();
    let visit = |name: &str| Visit {
        kind: "Function".to_owned(),
        namespace: "demo".to_owned(),
        name: name.to_owned(),
        started: SystemTime::now(),
        took: Duration::from_millis(1),
        outcome: "stalled",
    };
    let started = start(&flags(Some(url)), ("muon-operator", &identity()), &registry, spans::of_visit).unwrap();
    let (sender, export) = started.unwrap();
    sender.send(visit("one")).await.unwrap();
    let waiting = async {
        while counted(&registry, "failed") < 1.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
    sender.send(visit("two")).await.unwrap();
    export.finish().await;
    let spans = spans(&told(&mut taken).await);
    let span = &spans["reconcile Function"];
    assert_eq!((attribute(span, "muon.name"), attribute(span, "muon.outcome")), (text("two"), text("stalled")));
    assert_eq!((counted(&registry, "failed"), counted(&registry, "exported")), (1.0, 1.0));
}

#[tokio::test]
async fn without_a_collector_there_is_neither_queue_nor_metric() {
    rustls::crypto::ring::default_provider().install_default().ok();
    for none in [None, Some(String::new())] {
        let registry = Registry::new();
        let started = start(&flags(none), ("muon-proxy", &identity()), &registry, spans::of_invocation).unwrap();
        assert!(started.is_none() && registry.gather().is_empty());
    }
    let wrong =
        start(&flags(Some("no url".to_owned())), ("muon-proxy", &identity()), &Registry::new(), spans::of_visit);
    assert!(wrong.is_err_and(|error| error.to_string().contains("OTEL_EXPORTER_OTLP_ENDPOINT")));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn counted(registry: &Registry, outcome: &str) -> f64 {
    let families = registry.gather();
    let metrics = families.iter().flat_map(|family| family.get_metric());
    let own = metrics.filter(|metric| metric.get_label().iter().any(|label| label.value() == outcome));
    own.map(|metric| metric.get_counter().get_value()).sum()
}

//! What is told of a request when it is over: its line in the log, and its trace.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use muon_crds::wire::{Component, LoadReport};
use muon_proxy::{Appender, Config, Invocation};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::cluster::{Cluster, call, config, get, until};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a proxy writes.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn config(&self) -> Config {
        Config { log: Some(Appender::start(self.clone(), 1 << 20).unwrap()), ..config("proxy-a") }
    }

    fn all(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// The line of the request with this id; there is exactly one.
    async fn of(&self, id: &str) -> Value {
        let mine = || self.all().into_iter().filter(|line| line["request_id"] == id).collect::<Vec<_>>();
        until("the request has a line", || !mine().is_empty()).await;
        let mut mine = mine();
        assert_eq!(mine.len(), 1, "{mine:?}");
        mine.remove(0)
    }
}

fn named(id: &str, host: &str, path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", host).header("x-request-id", id).body(Full::default()).unwrap()
}

#[tokio::test]
async fn a_cold_request_says_where_its_time_went() {
    let (cluster, lines) = (Cluster::new(), Lines::default());
    let node = cluster.proxy_with(lines.config()).await;
    cluster.function("hello", json!({}));
    let pod = cluster.free_pod("record-1").await;
    *pod.report.lock().unwrap() =
        LoadReport { fetch_us: 400, verify_us: 100, unpack_us: 300, load_us: 200, already: false };
    let mut request = named("cold", "hello.demo", "/a'b?secret=1");
    request.headers_mut().insert("traceparent", PARENT.parse().unwrap());
    call(node.functions, request).await;
    let line = lines.of("cold").await;
    for (field, expected) in [
        ("target", json!("access")),
        ("trace_id", json!("0af7651916cd43dd8448eb211c80319c")),
        ("listener", json!("functions")),
        ("method", json!("GET")),
        ("path", json!("/a'b")),
        ("namespace", json!("demo")),
        ("function", json!("hello")),
        ("revision", json!("r1")),
        ("pod", json!("record-1")),
        ("start", json!("cold")),
        ("status", json!(200)),
        ("complete", json!(true)),
        ("bytes_in", json!(0)),
        ("bytes_out", json!("record-1".len())),
        ("component", Value::Null),
        ("reason", Value::Null),
    ] {
        assert_eq!(line[field], expected, "{field}: {line}");
    }
    assert!(!line.to_string().contains("secret"), "{line}");
    let phases = &line["phases_us"];
    let micros = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{line}"));
    let load = &phases["load"];
    assert!(micros(&line["head_us"]) >= micros(&phases["claim"]) + micros(&load["total"]), "{line}");
    // The fake agent tells times that it did not take: they are cut to the call itself.
    let steps: u64 = ["fetch", "verify", "unpack", "import"].iter().map(|step| micros(&load[*step])).sum();
    assert!(steps <= micros(&load["total"]), "{line}");
    let parts = micros(&phases["route"]) + micros(&phases["queue"]) + micros(&phases["forward"]);
    assert!(parts <= micros(&line["head_us"]) && micros(&line["head_us"]) <= micros(&line["total_us"]), "{line}");
    // The load was made on this request's account.
    assert_eq!(pod.loaded.lock().unwrap()[0].trace.as_deref(), Some(PARENT));
}

#[tokio::test]
async fn a_warm_request_with_a_body_counts_both_ways_and_has_no_cold_phases() {
    let (cluster, lines) = (Cluster::new(), Lines::default());
    let node = cluster.proxy_with(lines.config()).await;
    cluster.function("hello", json!({}));
    cluster.free_pod("record-2").await;
    call(node.functions, named("first", "hello.demo", "/")).await;
    let mut request = named("warm", "hello.demo", "/echo").map(|_| Full::new(Bytes::from_static(b"twelve bytes")));
    *request.method_mut() = http::Method::POST;
    assert_eq!(call(node.functions, request).await.body, "twelve bytes");
    let line = lines.of("warm").await;
    assert_eq!((&line["start"], &line["bytes_in"], &line["bytes_out"]), (&json!("warm"), &json!(12), &json!(12)));
    assert!(line["phases_us"]["load"].is_null() && line["phases_us"]["claim"].is_null(), "{line}");
}

#[tokio::test]
async fn a_failure_says_whose_it_is() {
    let (cluster, lines) = (Cluster::new(), Lines::default());
    let node = cluster.proxy_with(lines.config()).await;
    let answer = call(node.functions, named("lost", "nobody.demo", "/")).await;
    let line = lines.of("lost").await;
    assert_eq!(
        (&line["status"], &line["component"], &line["reason"], &line["start"]),
        (&json!(404), &json!("proxy"), &json!("NoFunction"), &json!("none"))
    );
    assert_eq!(line["bytes_out"], json!(answer.body.len()));
    assert!(line["function"].is_null() && line["pod"].is_null() && line["phases_us"]["forward"].is_null(), "{line}");

    cluster.function("broken", json!({}));
    let pod = cluster.free_pod("record-3").await;
    let failures = (StatusCode::UNPROCESSABLE_ENTITY, Component::Runtime, "no module named nothing");
    pod.load_failures.lock().unwrap().push_back(failures);
    call(node.functions, named("unloadable", "broken.demo", "/")).await;
    let line = lines.of("unloadable").await;
    assert_eq!((&line["status"], &line["component"]), (&json!(500), &json!("runtime")));
    assert_eq!(
        (&line["reason"], &line["revision"], &line["function"]),
        (&json!("LoadFailed"), &json!("r1"), &json!("broken"))
    );

    cluster.function("dies", json!({}));
    cluster.own_pod("record-4", "dies", "r1").await;
    call(node.functions, named("died", "dies.demo", "/die")).await;
    let line = lines.of("died").await;
    assert_eq!((&line["component"], &line["reason"]), (&json!("function"), &json!("ConnectionLost")));
    assert_eq!(line["pod"], json!("record-4"));
}

/// A proxy whose spans somebody takes.
fn traced(name: &str, capacity: usize, ratio: f64) -> (Config, mpsc::Receiver<Invocation>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Config { traces: Some(sender), trace_ratio: ratio, ..config(name) }, receiver)
}

async fn next(told: &mut mpsc::Receiver<Invocation>) -> Invocation {
    tokio::time::timeout(Duration::from_secs(20), told.recv()).await.unwrap().unwrap()
}

/// What the function was told as its trace.
fn seen(answer: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix("traceparent: "));
    line.unwrap_or_else(|| panic!("no trace in {answer}")).to_owned()
}

#[tokio::test]
async fn the_function_goes_on_with_the_trace_that_the_proxy_tells() {
    let cluster = Cluster::new();
    let (settings, mut told) = traced("proxy-a", 16, 1.0);
    let node = cluster.proxy_with(settings).await;
    cluster.function("hello", json!({}));
    cluster.free_pod("record-5").await;
    let answer = call(node.functions, get("hello.demo", "/headers")).await;
    let cold = next(&mut told).await;
    // Neither id nor trace came with it: they are one.
    assert_eq!(answer.headers["x-request-id"], cold.trace_id.as_str());
    assert_eq!(seen(&answer.body), format!("00-{}-{:016x}-01", cold.trace_id, cold.pod_span));
    assert_eq!((cold.parent, cold.start, cold.status), (None, "cold", 200));
    let part = cold.cold.unwrap();
    assert!(part.claim.is_some() && part.steps.is_some() && part.load.from + part.load.took <= cold.total);
    assert_eq!(cold.function, Some(("hello".to_owned(), "demo".to_owned())));

    let mut request = get("hello.demo", "/headers");
    request.headers_mut().insert("traceparent", PARENT.parse().unwrap());
    request.headers_mut().insert("tracestate", "vendor=kept".parse().unwrap());
    let answer = call(node.functions, request).await;
    let warm = next(&mut told).await;
    assert_eq!(
        (warm.trace_id.as_str(), warm.parent),
        ("0af7651916cd43dd8448eb211c80319c", Some(0xb7ad_6b71_6920_3331))
    );
    assert_eq!(seen(&answer.body), format!("00-{}-{:016x}-01", warm.trace_id, warm.pod_span));
    assert!(answer.body.contains("tracestate: vendor=kept"), "{}", answer.body);
    assert!(warm.cold.is_none() && warm.queue.is_zero());
    let exemplars = node.proxy.exemplars();
    assert!(exemplars.iter().any(|one| one.start == "warm" && one.trace_id == warm.trace_id), "{exemplars:?}");
}

#[tokio::test]
async fn what_is_not_sampled_is_not_told_and_the_function_knows() {
    let cluster = Cluster::new();
    let (settings, mut told) = traced("proxy-a", 16, 0.0);
    let node = cluster.proxy_with(settings).await;
    cluster.function("hello", json!({}));
    cluster.own_pod("record-6", "hello", "r1").await;
    let answer = call(node.functions, get("hello.demo", "/headers")).await;
    assert!(seen(&answer.body).ends_with("-00"), "{}", answer.body);
    let mut request = get("hello.demo", "/headers");
    request.headers_mut().insert("traceparent", PARENT.parse().unwrap());
    call(node.functions, request).await;
    // The client's decision counts; the first request left nothing.
    assert_eq!(next(&mut told).await.parent, Some(0xb7ad_6b71_6920_3331));
}

#[tokio::test]
async fn what_nobody_takes_is_dropped_and_counted() {
    let cluster = Cluster::new();
    let (settings, mut told) = traced("proxy-a", 1, 1.0);
    let node = cluster.proxy_with(settings).await;
    cluster.function("hello", json!({}));
    cluster.own_pod("record-7", "hello", "r1").await;
    for _ in 0..3 {
        assert_eq!(call(node.functions, get("hello.demo", "/")).await.status, StatusCode::OK);
    }
    until("two are dropped", || node.counted("muon_proxy_events_total", "trace_lost") == 2.0).await;
    assert_eq!(next(&mut told).await.status, 200);
}

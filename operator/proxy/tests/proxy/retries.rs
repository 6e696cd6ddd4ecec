//! A request that a pod broke off: sent once more where its trigger says so, and nowhere else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use muon_crds::wire::Executed;
use serde_json::{Value, json};

use muon_proxy::Config;

use crate::cluster::{Answer, Cluster, Node, call, config, get};
use crate::pod::Pod;

const HOST: &str = "retries.example";

struct Setting {
    node: Node,
    pods: [Arc<Pod>; 2],
    _cluster: Arc<Cluster>,
}

/// A function with two pods, and a route to it with this much of retries.
async fn setting(name: &str, retry: Option<Value>) -> Setting {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    let mut spec = json!({"host": HOST, "pathPrefix": "/", "function": {"name": "hello"}});
    if let Some(retry) = retry {
        spec["retry"] = retry;
    }
    cluster.trigger("hello", spec);
    let pods = [
        cluster.own_pod(&format!("{name}-1"), "hello", "r1").await,
        cluster.own_pod(&format!("{name}-2"), "hello", "r1").await,
    ];
    Setting { node, pods, _cluster: cluster }
}

impl Setting {
    async fn call(&self, method: Method, path: &str, body: &'static str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", HOST)
            .header("x-request-id", "one-and-the-same")
            // Nobody outside says what attempt it is.
            .header("muon-attempt", "2")
            .body(Full::new(Bytes::from_static(body.as_bytes())));
        call(self.node.gateway, request.unwrap()).await
    }

    /// Requests that came to user code, by pod.
    fn requests(&self) -> [u32; 2] {
        [0, 1].map(|at: usize| self.pods[at].requests.load(Ordering::SeqCst))
    }

    fn repeated(&self) -> f64 {
        self.node.counted("muon_proxy_events_total", "request_repeated")
    }
}

#[tokio::test]
async fn a_request_that_a_pod_broke_off_is_sent_to_the_other_where_the_trigger_says_so() {
    let setting = setting("other", Some(json!({}))).await;
    let answer = setting.call(Method::GET, "/fragile", "").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.headers["muon-attempt"], "2");
    let lines: BTreeSet<&str> = answer.body.lines().collect();
    assert!(lines.contains("muon-attempt: 2") && lines.contains("x-request-id: one-and-the-same"), "{}", answer.body);
    assert_eq!((setting.requests(), setting.repeated()), ([1, 1], 1.0), "once in each pod");
    let first = setting.call(Method::GET, "/", "").await;
    assert!(!first.headers.contains_key("muon-attempt"), "what went well is sent once");
    assert_eq!(setting.repeated(), 1.0);
}

/// Labels come and go on a pod, and none of them says that it lives.
#[tokio::test]
async fn a_pod_that_was_left_out_stays_so_until_kubernetes_has_looked_at_it() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(Config { ejection: Duration::from_secs(3600), ..config("proxy-a") }).await;
    cluster.function("hello", json!({}));
    let pods = [cluster.own_pod("out-1", "hello", "r1").await, cluster.own_pod("out-2", "hello", "r1").await];
    let call = || call(node.functions, get("hello.demo", "/"));
    let first = call().await.body;
    let [gone, other] = if first == "out-1" { ["out-1", "out-2"] } else { ["out-2", "out-1"] };
    pods.iter().find(|pod| pod.name == gone).unwrap().kill();
    assert_eq!(call().await.body, other);
    let ejected = || node.counted("muon_proxy_events_total", "pod_ejected");
    let before = ejected();
    assert!(before > 0.0);
    cluster.label_pod(gone, json!({"example.com/note": "of no meaning here"}));
    for _ in 0..4 {
        assert_eq!(call().await.body, other);
    }
    assert_eq!(ejected(), before, "it was not tried again");
}

#[tokio::test]
async fn no_request_is_sent_a_third_time() {
    let setting = setting("third", Some(json!({}))).await;
    let answer = setting.call(Method::GET, "/die", "").await;
    assert_eq!((answer.status, answer.failure().executed), (StatusCode::BAD_GATEWAY, Executed::Unknown));
    assert_eq!((setting.requests(), setting.repeated()), ([1, 1], 1.0));
}

#[tokio::test]
async fn what_nobody_asked_to_repeat_is_sent_once() {
    let cases = [
        ("none", None, Method::GET, ""),
        ("unlisted", Some(json!({})), Method::POST, ""),
        ("narrower", Some(json!({"methods": ["HEAD"]})), Method::GET, ""),
        ("body", Some(json!({"methods": ["POST"]})), Method::POST, "a body cannot be sent twice"),
    ];
    for (name, retry, method, body) in cases {
        let setting = setting(name, retry).await;
        let answer = setting.call(method, "/fragile", body).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{name}");
        assert_eq!((setting.requests().iter().sum::<u32>(), setting.repeated()), (1, 0.0), "{name}");
    }
}

#[tokio::test]
async fn a_method_that_is_not_idempotent_is_repeated_when_it_is_listed() {
    let setting = setting("listed", Some(json!({"methods": ["POST"]}))).await;
    assert_eq!(setting.call(Method::POST, "/fragile", "").await.status, StatusCode::OK);
    assert_eq!(setting.requests(), [1, 1]);
}

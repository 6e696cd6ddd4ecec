//! The agent's port.

use ::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use muon_crds::wire::{Failure, LoadReport};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::fakes::Import;
use super::pod::Pod;
use crate::client::Connection;
use crate::server;

struct Port {
    address: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<()>,
}

async fn serve(pod: &Pod) -> Port {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let agent = pod.agent.clone();
    let served = tokio::spawn(server::serve(listener, agent, async move { drop(stopped.await) }));
    Port { address, stop: Some(stop), served }
}

impl Port {
    async fn call(&self, method: &str, path: &str, body: impl Into<Bytes>) -> (StatusCode, Vec<u8>) {
        let mut connection = Connection::open(self.address).await.unwrap();
        let request =
            Request::builder().method(method).uri(path).header("host", "agent").header("x-request-id", "id-1");
        let answer = connection.send(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let status = answer.status();
        (status, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let (status, body) = self.call("GET", path, "").await;
        (status, String::from_utf8(body).unwrap())
    }
}

#[tokio::test]
async fn a_load_over_http_and_what_is_seen_of_it() {
    let pod = Pod::new(Import::Works).await;
    let port = serve(&pod).await;
    pod.until_ready().await;
    let body = serde_json::to_vec(&pod.request(pod.order())).unwrap();
    for already in [false, true] {
        let (status, report) = port.call("POST", "/v1/load", body.clone()).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(serde_json::from_slice::<LoadReport>(&report).unwrap().already, already);
    }
    assert_eq!(port.get("/readyz").await.0, StatusCode::OK);
    let state: Value = serde_json::from_str(&port.get("/v1/state").await.1).unwrap();
    assert_eq!((&state["functionUid"], &state["revision"]), (&"function-1".into(), &"r1".into()));
    let (_, metrics) = port.get("/metrics").await;
    for line in [
        "muon_agent_loads_total{outcome=\"loaded\"} 1",
        "muon_agent_loads_total{outcome=\"already\"} 1",
        "muon_agent_load_phase_seconds_count{phase=\"fetch\"} 1",
        "muon_agent_ready 1",
    ] {
        assert!(metrics.contains(line), "{line} not in\n{metrics}");
    }
}

#[tokio::test]
async fn refusals_are_attributed() {
    let pod = Pod::new(Import::Works).await;
    let port = serve(&pod).await;
    let mut wrong = pod.request(pod.order());
    wrong.order = "a.b".into();
    let wrong = serde_json::to_vec(&wrong).unwrap();
    let calls: [(&str, &str, Vec<u8>, u16, &str); 5] = [
        ("POST", "/v1/load", wrong, 403, "OrderRefused"),
        ("POST", "/v1/load", b"{}".to_vec(), 400, "RequestInvalid"),
        ("POST", "/v1/load", vec![b' '; 70_000], 400, "RequestInvalid"),
        ("GET", "/v1/load", Vec::new(), 405, "MethodNotAllowed"),
        ("GET", "/etc/passwd", Vec::new(), 404, "NotFound"),
    ];
    for (method, path, body, expected, reason) in calls {
        let (status, body) = port.call(method, path, body).await;
        let failure: Failure = serde_json::from_slice(&body).unwrap();
        assert_eq!((status.as_u16(), failure.reason.as_str()), (expected, reason), "{failure:?}");
        assert!(failure.request_id.is_none_or(|id| id == "id-1"));
    }
}

#[tokio::test]
async fn draining_and_stopping_are_seen_and_quick() {
    let mut pod = Pod::new(Import::Works).await;
    let mut port = serve(&pod).await;
    pod.until_ready().await;
    assert_eq!(port.get("/drain").await.0, StatusCode::OK);
    let (status, body) = port.get("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("\"reason\":\"Draining\""), "{body}");
    assert_eq!(port.get("/healthz").await.0, StatusCode::OK);
    drop(port.stop.take());
    pod.crash().await;
    port.served.await.unwrap();
}

#[tokio::test]
async fn an_agent_told_to_end_stays_as_long_as_its_runtime() {
    let mut pod = Pod::new(Import::Works).await;
    let mut port = serve(&pod).await;
    pod.until_ready().await;
    drop(port.stop.take());
    pod.until(|status| status.draining).await;
    // The runtime's hook comes after the signal to the agent, and finds it.
    assert_eq!(port.get("/drain").await.0, StatusCode::OK);
    assert!(!port.served.is_finished());
    pod.crash().await;
    port.served.await.unwrap();
}

//! An API server that says what a test has it say, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use muon_order::Signer;
use prometheus::Registry;
use serde_json::{Value, json};

use crate::context::Context;
use crate::metrics::Metrics;
use crate::queues::Queues;
use crate::settings::Settings;
use crate::watches;

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub content_type: String,
    pub body: Value,
}

/// All requests so far.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Asked>>>);

impl Log {
    pub fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }

    /// Those that would have changed something.
    pub fn writes(&self) -> Vec<Asked> {
        self.all().into_iter().filter(|asked| asked.method != "GET").collect()
    }
}

/// A client of a server that answers with `answer`.
pub fn api(mut answer: impl FnMut(&Asked) -> (u16, Value) + Send + 'static) -> (Client, Log) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let log = Log::default();
    let kept = log.clone();
    tokio::spawn(async move {
        while let Some((request, reply)) = handle.next_request().await {
            let (head, body) = request.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            let asked = Asked {
                method: head.method.to_string(),
                path: head.uri.path().to_owned(),
                query: head.uri.query().unwrap_or_default().to_owned(),
                content_type: head
                    .headers
                    .get("content-type")
                    .map(|value| value.to_str().unwrap().to_owned())
                    .unwrap_or_default(),
                body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            };
            kept.0.lock().unwrap().push(asked.clone());
            let (status, body) = answer(&asked);
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            reply.send_response(Response::builder().status(status).body(body).unwrap());
        }
    });
    (Client::new(service, "default"), log)
}

/// A refusal in the API server's form.
pub fn refusal(code: u16, reason: &str) -> (u16, Value) {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason});
    (code, body)
}

pub fn metrics() -> Metrics {
    Metrics::new(&Registry::new()).unwrap()
}

/// What drivers work with: nothing is known yet, and the store is at `store`.
pub fn context(client: &Client, store: &str) -> Context {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (queues, metrics) = (Queues::default(), metrics());
    let (cache, _) = watches::all(client, "muon-system", &queues, &metrics);
    let signer = Arc::new(Signer::from_seed(&[3; 32]).unwrap());
    let settings = Settings::new("muon-system", "operator-0", "muon/agent:test", store);
    Context::new(client, &reqwest::Client::new(), settings, signer, cache, queues, metrics)
}

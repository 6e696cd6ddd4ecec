//! The port on which proxies and the operator speak to a proxy. Every call carries a signed order.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use muon_crds::wire::PodRequest;
use muon_crds::words::header;
use muon_order::Order;
use serde::Serialize;

use crate::answer::Refusal;
use crate::body::Body;
use crate::load::epoch;
use crate::proxy::Proxy;
use crate::supply::NoPod;

/// Messages longer than this are refused (bytes): a thousand known pods fit.
const MAX_MESSAGE: usize = 128 * 1024;
/// Nobody waits longer than this.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How long the activity is waited for when the asker does not say.
const WAIT: Duration = Duration::from_secs(10);

/// A ready proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Name of its pod.
    pub name: String,
    /// UID of its pod.
    pub uid: String,
    /// Its address.
    pub ip: IpAddr,
    /// Port of its peer listener, where it is not the usual one.
    pub port: Option<u16>,
}

impl Peer {
    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(port))
    }
}

impl Proxy {
    /// Answers one call.
    pub(crate) async fn answer_peer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        self.peer_call(request).await.unwrap_or_else(|refusal| refusal.response(None))
    }

    async fn peer_call(self: &Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let token = request.headers().get(header::ORDER).and_then(|token| token.to_str().ok()).unwrap_or_default();
        match self.verifier.check(token, epoch()) {
            Ok(Order::Peer(_)) => {}
            Ok(_) => {
                return Err(Refusal::new(StatusCode::FORBIDDEN, "OrderRefused", "the order is for something else"));
            }
            Err(refused) => return Err(Refusal::new(StatusCode::FORBIDDEN, "OrderRefused", refused.to_string())),
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/v1/activity") => {
                let query = request.uri().query().unwrap_or_default();
                let seen = parameter(query, "seen").unwrap_or(0);
                let wait = parameter(query, "wait_ms").map_or(WAIT, Duration::from_millis).min(MAX_WAIT);
                Ok(json(StatusCode::OK, &self.activity_after(seen, wait).await))
            }
            (&Method::POST, "/v1/pod") => {
                let body =
                    Limited::new(request.into_body(), MAX_MESSAGE).collect().await.map_err(|error| bad(&*error))?;
                let message: PodRequest = serde_json::from_slice(&body.to_bytes()).map_err(|error| bad(&error))?;
                self.give_pod(&message).await
            }
            _ => Err(Refusal::new(StatusCode::NOT_FOUND, "NotFound", "peers may ask for /v1/activity and /v1/pod")),
        }
    }

    async fn give_pod(self: &Arc<Self>, message: &PodRequest) -> Result<Response<Body>, Refusal> {
        let key = format!("{}.{}", message.function, message.namespace);
        let function =
            self.table.load().function(&key).filter(|function| *function.uid == *message.function_uid).cloned();
        let Some(function) = function else {
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                "UnknownFunction",
                "this proxy does not know the Function yet",
            ));
        };
        let served = self.serve_function(&function);
        let timeout = Duration::from_millis(message.timeout_ms).min(MAX_WAIT);
        match self.provide(&served, message, timeout).await {
            Ok(reply) => Ok(json(StatusCode::OK, &reply)),
            Err(error @ NoPod::Revision(_)) => {
                Err(Refusal::new(StatusCode::CONFLICT, "OtherRevision", error.to_string()))
            }
            Err(error) => Err(Refusal::unavailable("NoPod", error.to_string())),
        }
    }
}

fn bad(error: &(dyn std::error::Error + 'static)) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "RequestInvalid", error.to_string())
}

/// A number in a query.
fn parameter(query: &str, name: &str) -> Option<u64> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1.parse().ok()
}

fn json(status: StatusCode, message: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Body::full(serde_json::to_vec(message).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

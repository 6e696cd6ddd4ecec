//! The agent's port: `/v1/load`, `/v1/state`, `/readyz`, `/healthz`, `/drain`, `/metrics`.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use muon_crds::wire::{Component, Executed, Failure, LoadRequest};
use muon_crds::words::header::REQUEST_ID;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::agent::Agent;
use crate::failure::LoadError;
use crate::status::RuntimeState;

/// Connections at once; more wait in the kernel.
const MAX_CONNECTIONS: u32 = 128;
/// Bytes of a load request: 32 KiB of variables, each character six times as long in JSON, and the rest.
const MAX_REQUEST: usize = 256 << 10;
/// How long a client may take to send its head, and then its body.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long answers may take after the signal to stop.
const STOP: Duration = Duration::from_secs(2);

type Reply = Response<Full<Bytes>>;

/// Serves until `stop` is ready; then drains, serves on as long as the runtime is there, and gives what is being answered
/// a moment.
pub async fn serve(listener: TcpListener, agent: Arc<Agent>, stop: impl Future<Output = ()>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let over = async {
        stop.await;
        tracing::info!("stopping");
        agent.drain();
        outlive_runtime(&agent).await;
    };
    let mut over = std::pin::pin!(over);
    loop {
        let accepted = async {
            // The semaphore is never closed: an error would mean no connection to serve either.
            let permit = connections.clone().acquire_owned().await.ok()?;
            Some((permit, listener.accept().await))
        };
        let accepted = tokio::select! {
            () = &mut over => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Some((permit, Ok((stream, _)))) => drop(tokio::spawn(connection(stream, agent.clone(), permit))),
            // Out of files, most likely: they come back as connections end.
            Some((_, Err(error))) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            None => break,
        }
    }
    drop(listener);
    // Connections that have not ended by then are a hook's that waits, or a load's: the pod is gone in a moment.
    let _ = timeout(STOP, connections.acquire_many(MAX_CONNECTIONS)).await;
}

/// A pod's containers are told to end all at once, and the runtime's hook asks for `/drain` here before it is told: so the
/// runtime ends first. One that never came up is waited for no longer than its hook may take.
async fn outlive_runtime(agent: &Agent) {
    let mut status = agent.watch();
    let hook = agent.settings.drain_grace + STOP;
    if timeout(hook, status.wait_for(|status| status.runtime != RuntimeState::Starting)).await.is_ok() {
        // The sender lives as long as the agent: there is no other end. Kubelet kills what takes longer than the grace.
        let _ = status.wait_for(|status| status.runtime == RuntimeState::Down).await;
    }
}

async fn connection(stream: TcpStream, agent: Arc<Agent>, _permit: OwnedSemaphorePermit) {
    let service = service_fn(move |request| {
        let agent = agent.clone();
        async move { Ok::<_, Infallible>(answer(&agent, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(16 << 10)
        // Each caller comes once: an idle connection would only be memory.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection failed");
    }
}

async fn answer(agent: &Arc<Agent>, request: Request<Incoming>) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/v1/load") => load(agent, request).await,
        (&Method::GET, "/v1/state") => agent.with_state(|state| json(StatusCode::OK, &state)),
        (&Method::GET, "/readyz") => agent.with_state(|state| {
            json(if state.ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &state)
        }),
        (&Method::GET, "/healthz") => text("ok\n".into()),
        (&Method::GET, "/metrics") => agent.with_state(|state| text(agent.metrics.text(&state))),
        (&Method::GET, "/drain") => {
            tracing::info!("draining");
            agent.drain();
            tokio::time::sleep(agent.settings.drain_grace).await;
            text("drained\n".into())
        }
        (_, path @ ("/v1/load" | "/v1/state" | "/readyz" | "/healthz" | "/metrics" | "/drain")) => {
            let message = format!("{path} takes {} only", if path == "/v1/load" { "POST" } else { "GET" });
            json(StatusCode::METHOD_NOT_ALLOWED, &refusal("MethodNotAllowed", message))
        }
        (_, path) => {
            let message = format!("the agent has nothing at {path:.64}");
            json(StatusCode::NOT_FOUND, &refusal("NotFound", message))
        }
    }
}

async fn load(agent: &Arc<Agent>, request: Request<Incoming>) -> Reply {
    let id = request_id(request.headers());
    let mut reply = match loaded(agent, request).await {
        Ok(reply) => reply,
        Err(error) => json(error.status(), &error.body(id.clone())),
    };
    if let Some(id) = id.and_then(|id| HeaderValue::try_from(id).ok()) {
        reply.headers_mut().insert(REQUEST_ID, id);
    }
    reply
}

async fn loaded(agent: &Arc<Agent>, request: Request<Incoming>) -> Result<Reply, LoadError> {
    let invalid = |error: &dyn std::fmt::Display| LoadError::RequestInvalid(error.to_string());
    let body = Limited::new(request.into_body(), MAX_REQUEST).collect();
    let body = timeout(PATIENCE, body).await.map_err(|error| invalid(&error))?.map_err(|error| invalid(&error))?;
    let wanted: LoadRequest = serde_json::from_slice(&body.to_bytes()).map_err(|error| invalid(&error))?;
    Ok(json(StatusCode::OK, &agent.load(wanted).await?))
}

/// The request's id, where it is one that may be repeated.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    (!id.is_empty() && id.len() <= 128).then(|| id.to_owned())
}

fn refusal(reason: &str, message: String) -> Failure {
    let reason = reason.to_owned();
    Failure { component: Component::Agent, reason, message, request_id: None, executed: Executed::No }
}

fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    // Strings, numbers and flags only: serialising cannot fail.
    let body = serde_json::to_vec(value).unwrap_or_default();
    reply(status, "application/json", body.into())
}

fn text(body: String) -> Reply {
    reply(StatusCode::OK, "text/plain; charset=utf-8", body.into())
}

fn reply(status: StatusCode, kind: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

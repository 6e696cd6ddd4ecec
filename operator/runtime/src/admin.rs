//! `/metrics`, `/healthz` and `/readyz` of every process, on a port of their own.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use futures::future::BoxFuture;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder as _, Registry, TextEncoder};
use tokio::net::TcpListener;

use crate::error::Error;
use crate::serving::{self, Bounds};

/// Of kubelet and whoever collects metrics, at once.
const CONNECTIONS: usize = 128;

/// Says whether the process is ready, or why it is not.
pub(crate) type Ready = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The registry of a process, with what the kernel tells of it (CPU time, memory, open files).
pub(crate) fn registry() -> Registry {
    let registry = Registry::new();
    // Only a second collector of the same name could be refused.
    let _ = registry.register(Box::new(ProcessCollector::for_self()));
    registry
}

/// Opens a listener on all addresses.
pub(crate) async fn listen(port: u16) -> Result<TcpListener, Error> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        .await
        .map_err(|source| Error::Listen { port, source })
}

/// Serves the admin port until `stop` resolves.
pub(crate) async fn serve(
    listener: TcpListener,
    registry: Registry,
    ready: Ready,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let metrics = move || {
        let registry = registry.clone();
        async move {
            let encoder = TextEncoder::new();
            let mut text = Vec::new();
            match encoder.encode(&registry.gather(), &mut text) {
                Ok(()) => (StatusCode::OK, text),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into_bytes()),
            }
        }
    };
    let readyz = move || {
        let ready = ready.clone();
        async move {
            match ready().await {
                Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
                Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            }
        }
    };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz));
    serving::serve(listener, router, Bounds::of(CONNECTIONS), stop).await;
}

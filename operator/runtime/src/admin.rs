//! `/metrics`, `/healthz` and `/readyz` of every process, on a port of their own.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use muon_proxy::Exemplar;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder as _, Registry, TextEncoder};
use tokio::net::TcpListener;

use crate::error::Error;
use crate::openmetrics;
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

/// What `/metrics` shows.
#[derive(Clone)]
pub(crate) struct Exposition {
    /// The metrics.
    pub(crate) registry: Registry,
    /// The examples beside them, of a process that keeps some.
    pub(crate) exemplars: Arc<dyn Fn() -> Vec<Exemplar> + Send + Sync>,
}

impl From<Registry> for Exposition {
    fn from(registry: Registry) -> Self {
        Self { registry, exemplars: Arc::new(Vec::new) }
    }
}

impl Exposition {
    /// In the form that the scraper asks for: OpenMetrics, the only one that knows exemplars, or the plain text form.
    fn answer(&self, accept: Option<&HeaderValue>) -> Response {
        let families = self.registry.gather();
        if openmetrics::is_wanted(accept) {
            let text = openmetrics::encode(&families, &(self.exemplars)());
            return ([(CONTENT_TYPE, openmetrics::TYPE)], text).into_response();
        }
        let encoder = TextEncoder::new();
        match encoder.encode_to_string(&families) {
            Ok(text) => ([(CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

/// Serves the admin port until `stop` resolves.
pub(crate) async fn serve(
    listener: TcpListener,
    exposition: impl Into<Exposition>,
    ready: Ready,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let exposition = exposition.into();
    let metrics = move |headers: HeaderMap| {
        let answer = exposition.answer(headers.get(ACCEPT));
        async move { answer }
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

//! A proxy with one warm function, to be measured beside others:
//! `warm <listen port> <backend port> [threads]`, then call it with `Host: hello.demo`.
//! The backend is any HTTP server on 127.0.0.1; the agent beside it is played here, on port 18889.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use muon_order::Signer;
use muon_proxy::{Change, Claim, ClaimError, ClaimRequest, Claimer, Config, Listeners, Proxy, ReserveRequest};
use muon_routes::Event;
use serde_json::json;
use tokio::net::TcpListener;

struct Nobody;

impl Claimer for Nobody {
    fn claim(&self, _: ClaimRequest) -> BoxFuture<'_, Result<Claim, ClaimError>> {
        Box::pin(async { Err(ClaimError { message: "there is no cluster here".into(), retry: false }) })
    }

    fn reserve(&self, _: ReserveRequest) -> BoxFuture<'_, Result<Claim, ClaimError>> {
        Box::pin(async { Err(ClaimError { message: "there is no cluster here".into(), retry: false }) })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u16>());
    let mut next = || arguments.next().ok_or("warm <listen port> <backend port> [threads]");
    let (listen, backend) = (next()??, next()??);
    let threads = next().map_or(Ok(1), |threads| threads)?;
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads.into());
    }
    builder.enable_all().build()?.block_on(run(listen, backend))
}

async fn run(listen: u16, backend: u16) -> Result<(), Box<dyn Error>> {
    let agent = TcpListener::bind("127.0.0.1:18889").await?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = agent.accept().await {
            let loaded = r#"{"fetchUs":0,"unpackUs":0,"loadUs":0,"already":true}"#;
            let service = service_fn(move |_| async move {
                Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(loaded))))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let config = Config {
        agent_port: 18889,
        log: Some(muon_proxy::Appender::start(std::io::stdout(), 1 << 20)?),
        ..Config::new("warm", "http://127.0.0.1:1")
    };
    let proxy = Proxy::new(config, Signer::from_seed(&[7; 32])?, Arc::new(Nobody), &prometheus::Registry::new())?;
    let function: muon_crds::Function = serde_json::from_value(json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Function",
        "metadata": {"name": "hello", "namespace": "demo", "uid": "uid-hello", "resourceVersion": "1"},
        "spec": {"environment": "test", "package": "p"},
        "status": {"serving": {"revision": "r1", "digest": "sha256:00", "mode": "Pool", "environment": "test",
            "concurrency": 10000, "timeoutSeconds": 60, "max": 1}},
    }))?;
    let trigger: muon_crds::HTTPTrigger = serde_json::from_value(json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger",
        "metadata": {"name": "hello", "namespace": "demo", "resourceVersion": "1"},
        "spec": {"host": "hello.demo", "pathPrefix": "/", "function": {"name": "hello"}, "ingress": {}},
    }))?;
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "demo", "uid": "uid-p", "resourceVersion": "1",
            "labels": {"muon.dev/environment": "test", "muon.dev/state": "claimed", "muon.dev/function": "hello", "muon.dev/revision": "r1"},
            "annotations": {"muon.dev/runtime-port": backend.to_string()}},
        "status": {"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    }))?;
    proxy.apply([
        Change::Function(Event::Apply(function.into())),
        Change::Trigger(Event::Apply(trigger.into())),
        Change::Pod(Event::Apply(pod)),
        Change::Function(Event::Listed),
        Change::Trigger(Event::Listed),
        Change::Pod(Event::Listed),
    ]);
    let ingress = TcpListener::bind(("127.0.0.1", listen)).await?;
    let other = || TcpListener::bind("127.0.0.1:0");
    let listeners = Listeners { gateway: other().await?, ingress, functions: other().await?, peer: other().await? };
    proxy.serve(listeners, std::future::pending()).await;
    Ok(())
}

//! The runtime that loads nothing: what a cold start or a warm request costs with it is not the runtime's.
//!
//! It speaks the contract of runtimes: `GET /healthz`, `POST /v2/specialize`; anything else is the function, which says
//! hello, after as many milliseconds as `?sleep=` asks for. Before the load (or without `--loaded`) the function answers 503, as the contract wants it.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// No function works longer, in milliseconds.
const LONGEST: u64 = 60_000;
/// Port of the contract.
const PORT: u16 = 8888;

static LOADED: AtomicBool = AtomicBool::new(false);

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => (StatusCode::OK, "ok\n"),
        (&Method::POST, "/v2/specialize") => {
            // Read to its end, so that the connection can serve another request; a broken one ends by itself.
            let _ = request.into_body().collect().await;
            LOADED.store(true, Ordering::Relaxed);
            (StatusCode::OK, "")
        }
        _ if LOADED.load(Ordering::Relaxed) => {
            let query = request.uri().query().unwrap_or_default();
            if let Some(asked) = query.strip_prefix("sleep=").and_then(|asked| asked.parse::<u64>().ok()) {
                tokio::time::sleep(Duration::from_millis(asked.min(LONGEST))).await;
            }
            (StatusCode::OK, "hello\n")
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "nothing is loaded\n"),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    LOADED.store(std::env::args().any(|argument| argument == "--loaded"), Ordering::Relaxed);
    let listener = match TcpListener::bind(("0.0.0.0", PORT)).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("port {PORT}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::pin!(ended);
    loop {
        tokio::select! {
            _ = &mut ended => return ExitCode::SUCCESS,
            accepted = listener.accept() => {
                // One that broke before it was accepted is nobody's any more.
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
            }
        }
    }
}

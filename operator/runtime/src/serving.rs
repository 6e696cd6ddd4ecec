//! Serving a router within bounds: HTTP/1 alone, so many connections, heads that end.
//!
//! Not `axum::serve`: that speaks whatever version the program's libraries were compiled with, and sets no timer, without
//! which hyper waits for ever for the end of a request's head.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// How long a connection may lie idle, or take for a request's head. Longer than the 90 seconds for which clients keep an idle
/// connection: it is they who close it, and no request meets a connection that is closing.
const HEAD: Duration = Duration::from_secs(100);
/// How long answers under way may take at the end. Kubelet waits for 30 seconds.
const FAREWELL: Duration = Duration::from_secs(25);
/// When no connection can be accepted: out of file descriptors, mostly. Some connection has to end first.
const PAUSE: Duration = Duration::from_millis(20);

/// How a listener serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Connections at once; more wait until one ends.
    pub(crate) connections: usize,
    /// How long a connection may lie idle, or take for a request's head.
    pub(crate) head: Duration,
    /// How long answers under way may take at the end.
    pub(crate) farewell: Duration,
}

impl Bounds {
    /// The ordinary ones, with so many connections.
    pub(crate) const fn of(connections: usize) -> Self {
        Self { connections, head: HEAD, farewell: FAREWELL }
    }
}

/// Serves until `stop` resolves; answers under way then have a while to end.
pub(crate) async fn serve(listener: TcpListener, router: Router, bounds: Bounds, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = &mut stop => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = graceful.watch(connection(stream, router.clone(), bounds));
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(bounds.farewell, graceful.shutdown()).await.is_err() {
        tracing::warn!("shutting down with answers still under way");
    }
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

fn connection(stream: TcpStream, router: Router, bounds: Bounds) -> Connection {
    // Only latency is lost without it.
    let _ = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    const BOUNDS: Bounds = Bounds { connections: 2, head: Duration::from_secs(60), farewell: Duration::from_secs(60) };

    async fn served(bounds: Bounds, router: Router) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, router, bounds, async move { stopped.await.unwrap_or_default() }));
        (address, stop, serving)
    }

    fn hello() -> Router {
        Router::new().route("/", get(|| async { "hello" }))
    }

    /// What comes until the connection ends.
    async fn said(address: SocketAddr, words: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(words).await.unwrap();
        let mut said = Vec::new();
        // A connection that is reset has ended as well.
        let _ = stream.read_to_end(&mut said).await;
        said
    }

    #[tokio::test]
    async fn http1_is_spoken_and_http2_is_not() {
        let (address, _stop, _serving) = served(BOUNDS, hello()).await;
        let answer = said(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"hello"), "{answer:?}");
        // The preface of a client that knows beforehand, and its settings; a server that speaks it says its own.
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        let answer = said(address, preface).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{answer:?}");
        // The polite way is not taken up either.
        let upgrade = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n";
        let answer = said(address, upgrade).await;
        assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"hello"), "{answer:?}");
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_cut_off_and_gives_its_place_away() {
        let bounds = Bounds { connections: 1, head: Duration::from_millis(100), ..BOUNDS };
        let (address, _stop, _serving) = served(bounds, hello()).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
        // There is one place: this one is answered only after the first is gone.
        let answer = said(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.ends_with(b"hello"), "{answer:?}");
        let mut rest = Vec::new();
        let _ = slow.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{rest:?}");
    }

    #[tokio::test]
    async fn an_answer_under_way_ends_and_an_idle_connection_is_closed() {
        let (arrived, mut arrivals) = tokio::sync::mpsc::channel(1);
        let go = Arc::new(Semaphore::new(0));
        let waiting = Arc::clone(&go);
        let slow = move || async move {
            arrived.send(()).await.unwrap();
            waiting.acquire().await.unwrap().forget();
            "done"
        };
        let (address, stop, serving) = served(BOUNDS, Router::new().route("/", get(slow))).await;
        let idle = TcpStream::connect(address).await.unwrap();
        let busy = tokio::spawn(said(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
        arrivals.recv().await.unwrap();
        stop.send(()).unwrap();
        go.add_permits(1);
        let answer = busy.await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"done"), "{answer:?}");
        serving.await.unwrap();
        drop(idle);
    }
}

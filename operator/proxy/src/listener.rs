//! Accepting connections, and ending well.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::Body;
use crate::crowd::{Crowd, Phase, Place};
use crate::headers::Origin;
use crate::linger::Linger;
use crate::metrics::Entry;
use crate::proxy::Proxy;
use crate::request::Client;
use crate::stall::Stall;

/// How long answers to peers may take after the last client's has ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// The sockets, bound by the caller.
#[derive(Debug)]
pub struct Listeners {
    /// Routes from inside the cluster.
    pub gateway: TcpListener,
    /// Routes from Ingress controllers.
    pub ingress: TcpListener,
    /// Functions by name.
    pub functions: TcpListener,
    /// Proxies and the operator.
    pub peer: TcpListener,
}

/// The end of all connections. The flag beside the token is what a busy connection looks at: asking the token
/// takes a lock that all of them share.
#[derive(Clone, Debug, Default)]
struct Stop {
    token: CancellationToken,
    set: Arc<AtomicBool>,
}

impl Stop {
    fn now(&self) {
        self.set.store(true, Ordering::Release);
        self.token.cancel();
    }

    fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }
}

impl Proxy {
    /// Serves until `shutdown` is over, then drains: for a while requests are still taken though readiness is gone, then no
    /// client's connection is accepted, and what is in flight may end within its bound. Peers and the operator are answered until then.
    pub async fn serve(self: Arc<Self>, listeners: Listeners, shutdown: impl Future<Output = ()>) {
        let (stop, peers_stop) = (Stop::default(), Stop::default());
        let config = &self.shared.config;
        let tasks = &self.shared.tasks;
        let speaking = TaskTracker::new();
        let pruning = tokio::spawn(Arc::clone(&self).prune());
        let reserving = tokio::spawn(Arc::clone(&self).keep_reserves());
        let Listeners { gateway, ingress, functions, peer } = listeners;
        let entries = [(gateway, Entry::Gateway), (ingress, Entry::Ingress), (functions, Entry::Functions)];
        // Peers are never turned out for clients.
        let (clients, peers) = (Crowd::new(config.max_connections), Crowd::new(config.max_connections));
        for (listener, entry) in entries {
            let accepting =
                Arc::clone(&self).accept(listener, Some(entry), Arc::clone(&clients), stop.clone(), tasks.clone());
            tasks.spawn(accepting);
        }
        speaking.spawn(Arc::clone(&self).accept(peer, None, peers, peers_stop.clone(), speaking.clone()));
        shutdown.await;
        self.draining.store(true, Ordering::Relaxed);
        self.give_back();
        tracing::info!(delay = ?config.drain_delay, "shutting down: not ready any more, still serving");
        tokio::time::sleep(config.drain_delay).await;
        stop.now();
        tasks.close();
        if tokio::time::timeout(config.drain_timeout, tasks.wait()).await.is_err() {
            tracing::warn!(left = tasks.len(), "shutting down with connections still busy");
        }
        // Not before: what is in flight here the operator must hear of to the end, or it takes the pod for idle.
        peers_stop.now();
        speaking.close();
        tokio::time::timeout(FAREWELL, speaking.wait()).await.ok();
        reserving.abort();
        pruning.abort();
    }

    async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        entry: Option<Entry>,
        crowd: Arc<Crowd>,
        stop: Stop,
        tasks: TaskTracker,
    ) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.token.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let (place, made_room) = tokio::select! {
                        biased;
                        () = stop.token.cancelled() => return,
                        entered = crowd.enter() => entered,
                    };
                    if made_room {
                        self.shared.metrics.evicted.inc();
                    }
                    let serving = Arc::clone(&self).serve_connection(stream, address, entry, stop.clone(), place);
                    tasks.spawn(serving);
                }
                Err(error) => {
                    // Out of file descriptors, mostly: some connection has to end first.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    async fn serve_connection(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        entry: Option<Entry>,
        stop: Stop,
        place: Place,
    ) {
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let config = &self.shared.config;
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(config.header_timeout)
            .max_header_size(config.max_header_bytes)
            // A head that never ends is cut off here, before it is parsed. hyper asks for 8 KiB at least.
            .max_buf_size(config.max_header_bytes.max(8192));
        if config.max_headers != 100 {
            // Naming the bound costs an allocation a request; this one is hyper's own.
            builder.max_headers(config.max_headers);
        }
        let phase = place.phase();
        let io = Linger::new(TokioIo::new(stream), Arc::clone(phase));
        let io = Stall::new(io, config.head_timeout, config.pace(), Arc::clone(phase));
        let connections = self.shared.metrics.connections.clone();
        connections.inc();
        match entry {
            Some(entry) => {
                let client = Arc::new(Client { entry, origin: Origin::new(address.ip()), phase: Arc::clone(phase) });
                let proxy = Arc::clone(&self);
                let service = service_fn(move |request: Request<Incoming>| {
                    let (proxy, client) = (Arc::clone(&proxy), Arc::clone(&client));
                    // Boxed: hyper keeps room for the whole future in every connection, also in one that lies idle.
                    Box::pin(async move { Ok::<Response<Body>, Infallible>(proxy.answer(&client, request).await) })
                });
                let connection = builder.serve_connection(io, service).with_upgrades();
                drive(pin!(connection), stop, phase, |connection| connection.graceful_shutdown()).await;
            }
            None => {
                let (proxy, peer) = (Arc::clone(&self), Arc::clone(phase));
                let service = service_fn(move |request: Request<Incoming>| {
                    // What peers say is short: it is not told apart from its head.
                    peer.head();
                    peer.body();
                    let proxy = Arc::clone(&proxy);
                    Box::pin(async move { Ok::<Response<Body>, Infallible>(proxy.answer_peer(request).await) })
                });
                let connection = builder.serve_connection(io, service);
                drive(pin!(connection), stop, phase, |connection| connection.graceful_shutdown()).await;
            }
        }
        connections.dec();
    }
}

/// Drives a connection to its end; told to stop, it ends after the request that it is at.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    mut connection: std::pin::Pin<&mut C>,
    stop: Stop,
    phase: &Phase,
    graceful: impl FnOnce(std::pin::Pin<&mut C>),
) {
    let mut stopped = pin!(stop.token.cancelled());
    let mut graceful = Some(graceful);
    let mut registered = false;
    let ended = std::future::poll_fn(|cx| {
        // Registered once, so that the stop wakes this task.
        if !registered || (graceful.is_some() && stop.is_set()) {
            registered = true;
            phase.driven_by(cx.waker());
            if stopped.as_mut().poll(cx).is_ready()
                && let Some(graceful) = graceful.take()
            {
                graceful(connection.as_mut());
            }
        }
        if phase.is_evicted() {
            return Poll::Ready(Ok(()));
        }
        connection.as_mut().poll(cx)
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

//! One pod as requests meet it: how many are in it, and the connections to it that lie ready.
//!
//! A [`Link`] is a connection together with the future that drives it. No task of its own drives it: whoever uses it
//! polls it, so a warm request wakes one task and not two, and a link that lies ready costs nothing.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::access::phases::Loading;
use crate::body::RequestBody;

/// Bytes of one answer that are held on their way, and bound of its head.
const BUFFER: usize = 64 * 1024;

/// One pod.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) uid: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) address: SocketAddr,
    /// What it was claimed for.
    pub(crate) revision: Box<str>,
    /// It was loaded before this proxy asked.
    already: AtomicBool,
    in_flight: AtomicU32,
    /// It is being asked whether it lives.
    probing: AtomicBool,
    /// Answers in a row that were not HTTP.
    strikes: AtomicU32,
    idle: Mutex<Vec<Idle>>,
    /// When the last request in it ended, or it was loaded; none: neither was.
    last: Mutex<Option<Instant>>,
    /// How it came to have the code.
    loading: Mutex<Option<Loading>>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since: Instant,
}

/// A connection to a pod, driven by its user.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) sender: SendRequest<RequestBody>,
    pub(crate) connection: Connection<TokioIo<TcpStream>, RequestBody>,
    open: bool,
}

impl Link {
    /// Connects.
    pub(crate) async fn dial(address: SocketAddr, timeout: Duration) -> std::io::Result<Box<Self>> {
        let stream = tokio::time::timeout(timeout, TcpStream::connect(address))
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::Builder::new()
            // Of each answer at most so much lies here; the rest waits in the pod.
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        Ok(Box::new(Self { sender, connection, open: true }))
    }

    /// Lets the connection read and write what it can. The waker of `cx` is the one that its socket will wake.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if self.open && Pin::new(&mut self.connection).poll(cx).is_ready() {
            self.open = false;
        }
    }

    /// Whether it can take a request now.
    fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        self.open && self.sender.is_ready()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }
}

impl Endpoint {
    pub(crate) fn new(uid: &str, name: &str, revision: &str, ip: IpAddr, port: u16) -> Self {
        Self {
            uid: uid.into(),
            name: name.into(),
            address: SocketAddr::new(ip, port),
            revision: revision.into(),
            already: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            probing: AtomicBool::new(false),
            strikes: AtomicU32::new(0),
            idle: Mutex::default(),
            last: Mutex::default(),
            loading: Mutex::default(),
        }
    }

    /// Notes what its agent said of the load.
    pub(crate) fn loaded(&self, loading: Loading) {
        self.already.store(loading.report.already, Ordering::Relaxed);
        *self.loading.lock().unwrap_or_else(PoisonError::into_inner) = Some(loading);
        self.last.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    /// How it came to have the code, when it was last loaded.
    pub(crate) fn loading(&self) -> Option<Loading> {
        *self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was up before this proxy asked.
    pub(crate) fn was_up(&self) -> bool {
        self.already.load(Ordering::Relaxed)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether the caller is the one who asks it now.
    pub(crate) fn begin_probe(&self) -> bool {
        !self.probing.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn end_probe(&self) {
        self.probing.store(false, Ordering::Release);
    }

    /// An answer was not HTTP; how many in a row.
    pub(crate) fn strike(&self) -> u32 {
        self.strikes.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// An answer was.
    pub(crate) fn sane(&self) {
        if self.strikes.load(Ordering::Relaxed) > 0 {
            self.strikes.store(0, Ordering::Relaxed);
        }
    }

    /// One request more is in it. Called under the lock of its function.
    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// One request less is in it. Called under the lock of its function.
    pub(crate) fn leave(&self, now: Instant) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// How long nothing has been in it since it was loaded; none: it is not loaded.
    pub(crate) fn idle_for(&self, now: Instant) -> Option<Duration> {
        match self.in_flight() {
            0 => {
                let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
                last.map(|last| now.saturating_duration_since(last))
            }
            _ => Some(Duration::ZERO),
        }
    }

    /// A link that lies ready, the last used first; links that turn out dead are dropped.
    pub(crate) fn take(&self, cx: &mut Context<'_>, newest: Duration) -> Option<Box<Link>> {
        loop {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if idle.since.elapsed() < newest && idle.link.is_ready(cx) {
                return Some(idle.link);
            }
        }
    }

    /// Keeps a link for the next request.
    pub(crate) fn keep(&self, link: Box<Link>, now: Instant, most: usize) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < most {
            idle.push(Idle { link, since: now });
        }
    }

    /// Drops the links that have lain unused for too long. The oldest lie first.
    pub(crate) fn prune(&self, longest: Duration) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let keep_from = idle.partition_point(|idle| idle.since.elapsed() >= longest);
        let dead: Vec<Idle> = idle.drain(..keep_from).collect();
        drop(idle);
        drop(dead);
    }
}

/// Finds a ready link or dials a new one.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    pool_idle: Duration,
    connect_timeout: Duration,
) -> std::io::Result<Box<Link>> {
    let ready = std::future::poll_fn(|cx| Poll::Ready(endpoint.take(cx, pool_idle))).await;
    match ready {
        Some(link) => Ok(link),
        None => Link::dial(endpoint.address, connect_timeout).await,
    }
}

//! A runtime that speaks the contract and a store that serves archives, both as wrong as a test wants them.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use muon_crds::words::header::ORDER;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

type Reply = Response<Full<Bytes>>;

/// A server that takes its connections with it when it goes.
pub struct Server {
    pub port: u16,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start<F>(
        port: u16,
        keep_alive: bool,
        answer: impl Fn(String, Request<Incoming>) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Reply>> + Send,
    {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let answer = answer(request.uri().path().to_owned(), request);
                        // No answer: the connection is broken off.
                        async move { answer.await.ok_or("gone") }
                    });
                    let _ = http1::Builder::new()
                        .keep_alive(keep_alive)
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { port, task }
    }

    /// Gone, with all its connections, when this returns.
    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub fn reply(status: u16, body: impl Into<Bytes>) -> Option<Reply> {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    Some(reply)
}

/// What a fake runtime does when it is told to load.
#[derive(Clone)]
pub enum Import {
    Works,
    /// Knows the first contract only, and no `/healthz`.
    WorksV1,
    Fails(u16, &'static str),
    /// The process ends.
    Ends,
    /// Not before a permit is there.
    Waits(Arc<Semaphore>),
}

/// A runtime: what it was asked, and how it answers.
#[derive(Clone)]
pub struct Runtime {
    pub calls: Arc<Mutex<Vec<(String, String)>>>,
    /// The `traceparent` of those that had one.
    pub traces: Arc<Mutex<Vec<String>>>,
    /// How often it was asked for its health.
    pub health: Arc<AtomicUsize>,
    pub import: Arc<Mutex<Import>>,
    pub keep_alive: bool,
}

impl Runtime {
    pub fn new(import: Import) -> Self {
        Self {
            calls: Arc::default(),
            traces: Arc::default(),
            health: Arc::default(),
            import: Arc::new(Mutex::new(import)),
            keep_alive: true,
        }
    }

    pub async fn start(&self, port: u16) -> Server {
        let runtime = self.clone();
        Server::start(port, self.keep_alive, move |path, request| {
            let runtime = runtime.clone();
            async move { runtime.answer(path, request).await }
        })
        .await
    }

    /// How often it was told to load.
    pub fn loads(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    async fn answer(&self, path: String, request: Request<Incoming>) -> Option<Reply> {
        if path == "/healthz" {
            self.health.fetch_add(1, Ordering::Relaxed);
            let unknown = matches!(*self.import.lock().unwrap(), Import::WorksV1);
            return if unknown { reply(500, "no requests before a function is there") } else { reply(200, "ok") };
        }
        let trace = request.headers().get("traceparent").map(|trace| trace.to_str().unwrap().to_owned());
        self.traces.lock().unwrap().extend(trace);
        let body = request.into_body().collect().await.unwrap().to_bytes();
        self.calls.lock().unwrap().push((path.clone(), String::from_utf8_lossy(&body).into_owned()));
        let import = self.import.lock().unwrap().clone();
        match (import, path.as_str()) {
            (Import::WorksV1, "/v2/specialize") => reply(404, "no such path"),
            (Import::WorksV1, "/specialize") | (Import::Works, "/v2/specialize") => reply(200, "{}"),
            (Import::Fails(status, body), _) => reply(status, body),
            (Import::Ends, _) => None,
            (Import::Waits(semaphore), _) => {
                semaphore.acquire().await.unwrap().forget();
                reply(202, "")
            }
            _ => reply(500, "unexpected"),
        }
    }
}

/// A store: its archives, what it answers for all others, and how often it was asked.
#[derive(Clone, Default)]
pub struct Store {
    pub blobs: Arc<Mutex<HashMap<String, Bytes>>>,
    pub broken: Arc<Mutex<Option<(u16, &'static str)>>>,
    pub orders: Arc<Mutex<Vec<String>>>,
}

impl Store {
    pub async fn start(&self) -> Server {
        let store = self.clone();
        Server::start(0, true, move |path, request| {
            let store = store.clone();
            async move { store.answer(&path, &request) }
        })
        .await
    }

    fn answer(&self, path: &str, request: &Request<Incoming>) -> Option<Reply> {
        let order = request.headers().get(ORDER)?.to_str().unwrap().to_owned();
        self.orders.lock().unwrap().push(order);
        if let Some((status, body)) = *self.broken.lock().unwrap() {
            return reply(status, body);
        }
        match self.blobs.lock().unwrap().get(path.strip_prefix("/v1/blobs/")?) {
            Some(blob) => reply(200, blob.clone()),
            None => reply(404, "{}"),
        }
    }
}

//! A pod: an agent and a runtime on an address of their own.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use muon_crds::wire::{Component, Executed, Failure, LoadReport, LoadRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

pub const AGENT_PORT: u16 = 18889;
pub const RUNTIME_PORT: u16 = 18888;

type Answer = fn(Arc<Pod>, Request<Incoming>) -> BoxFuture<'static, Result<Reply, std::io::Error>>;
type Reply = Response<BoxBody<Bytes, std::io::Error>>;

/// An address that no other pod of any test process has at this time.
fn address() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = 1 + (std::process::id() % 250) as u8;
    IpAddr::V4(Ipv4Addr::new(127, process, (number / 250) as u8, 1 + (number % 250) as u8))
}

pub struct Pod {
    pub name: String,
    pub ip: IpAddr,
    /// What the agent answers, in order; then it loads.
    pub load_failures: Mutex<VecDeque<(StatusCode, Component, &'static str)>>,
    pub loads: AtomicU32,
    /// A load has gone well.
    up: AtomicBool,
    pub loaded: Mutex<Vec<LoadRequest>>,
    /// What the agent says of the phases of a load.
    pub report: Mutex<LoadReport>,
    /// One permit per load that may end; none are needed once closed.
    pub load_gate: Semaphore,
    /// One permit per request of `/slow` that may be answered.
    pub slow_gate: Semaphore,
    /// Requests inside `/slow`, and the most there ever were.
    pub slow: AtomicU32,
    pub slow_most: AtomicU32,
    pub requests: AtomicU32,
    pub connections: AtomicU32,
    /// What `/stream` sends.
    pub stream: Mutex<Option<mpsc::UnboundedReceiver<Bytes>>>,
    /// Told for each piece that `/upload` reads.
    pub pieces: Mutex<Option<mpsc::UnboundedSender<Bytes>>>,
    /// The runtime takes requests and answers none, not even a probe.
    pub hangs: AtomicBool,
    /// The runtime answers what is not HTTP.
    pub garbage: AtomicBool,
    servers: Mutex<Vec<JoinHandle<()>>>,
}

impl Pod {
    pub async fn start(name: &str) -> Arc<Self> {
        let pod = Self::silent(name);
        pod.open().await;
        pod
    }

    /// It has its address, and nobody listens there yet.
    pub fn silent(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            ip: address(),
            load_failures: Mutex::default(),
            loads: AtomicU32::new(0),
            up: AtomicBool::new(false),
            loaded: Mutex::default(),
            report: Mutex::default(),
            load_gate: Semaphore::new(Semaphore::MAX_PERMITS),
            slow_gate: Semaphore::new(0),
            slow: AtomicU32::new(0),
            slow_most: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            stream: Mutex::default(),
            pieces: Mutex::default(),
            hangs: AtomicBool::new(false),
            garbage: AtomicBool::new(false),
            servers: Mutex::default(),
        })
    }

    /// Its containers listen.
    pub async fn open(self: &Arc<Self>) {
        self.listen(AGENT_PORT, |pod, request| Box::pin(async move { pod.agent(request).await })).await;
        self.listen(RUNTIME_PORT, |pod, request| Box::pin(async move { pod.runtime(request).await })).await;
    }

    async fn listen(self: &Arc<Self>, port: u16, answer: Answer) {
        let listener = TcpListener::bind(SocketAddr::new(self.ip, port)).await.unwrap();
        let pod = Arc::clone(self);
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                if port == RUNTIME_PORT {
                    pod.connections.fetch_add(1, Ordering::Relaxed);
                }
                if port == RUNTIME_PORT && pod.garbage.load(Ordering::Relaxed) {
                    connections.spawn(async move {
                        let mut head = [0; 1024];
                        if stream.read(&mut head).await.is_err() {
                            return;
                        }
                        stream.write_all(b"SSH-2.0-nothing of the sort\r\n\r\n").await.ok();
                    });
                    continue;
                }
                let pod = Arc::clone(&pod);
                let service = service_fn(move |request| answer(Arc::clone(&pod), request));
                connections.spawn(async move {
                    let serving = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades();
                    serving.await.ok();
                });
            }
        });
        self.servers.lock().unwrap().push(server);
    }

    /// Closes everything, as a node that fails does. Connections are cut.
    pub fn kill(&self) {
        for server in self.servers.lock().unwrap().drain(..) {
            server.abort();
        }
    }

    async fn agent(self: Arc<Self>, request: Request<Incoming>) -> Result<Reply, std::io::Error> {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.load_gate.acquire().await.unwrap().forget();
        self.loaded.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
        let failure = self.load_failures.lock().unwrap().pop_front();
        Ok(match failure {
            None => {
                let report =
                    LoadReport { already: self.up.swap(true, Ordering::SeqCst), ..*self.report.lock().unwrap() };
                reply(StatusCode::OK, serde_json::to_vec(&report).unwrap())
            }
            Some((status, component, message)) => {
                let failure = Failure {
                    component,
                    reason: "Test".into(),
                    message: message.into(),
                    request_id: None,
                    executed: Executed::No,
                };
                reply(status, serde_json::to_vec(&failure).unwrap())
            }
        })
    }

    async fn runtime(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Reply, std::io::Error> {
        if self.hangs.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        let path = request.uri().path().to_owned();
        if path == "/healthz" {
            return Ok(reply(StatusCode::OK, ""));
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        match path.as_str() {
            "/slow" => {
                let now = self.slow.fetch_add(1, Ordering::SeqCst) + 1;
                self.slow_most.fetch_max(now, Ordering::SeqCst);
                self.slow_gate.acquire().await.unwrap().forget();
                self.slow.fetch_sub(1, Ordering::SeqCst);
                Ok(reply(StatusCode::OK, self.name.clone()))
            }
            // The connection breaks before an answer.
            "/die" => Err(std::io::ErrorKind::ConnectionReset.into()),
            // It breaks unless the proxy says that it tries again.
            "/fragile" if !request.headers().contains_key("muon-attempt") => {
                Err(std::io::ErrorKind::ConnectionReset.into())
            }
            "/fragile" | "/headers" => Ok(reply(StatusCode::OK, dump(&request))),
            "/echo" => {
                let mut response = Response::new(request.into_body().map_err(std::io::Error::other).boxed());
                response.headers_mut().insert("x-answer", "1".parse().unwrap());
                response.headers_mut().insert("connection", "x-answer".parse().unwrap());
                Ok(response)
            }
            "/upload" => {
                let pieces = self.pieces.lock().unwrap().take().unwrap();
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    let Ok(frame) = frame else { break };
                    match frame.into_data() {
                        Ok(data) => pieces.send(data).unwrap(),
                        Err(frame) => {
                            let trailers: HeaderMap = frame.into_trailers().unwrap();
                            pieces.send(format!("trailer {:?}", trailers["x-sum"]).into()).unwrap();
                        }
                    }
                }
                Ok(reply(StatusCode::CREATED, "done"))
            }
            "/stream" => {
                let mut pieces = self.stream.lock().unwrap().take().unwrap();
                let stream = futures::stream::poll_fn(move |cx| {
                    pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok::<_, std::io::Error>(Frame::data(piece))))
                });
                Ok(Response::new(BodyExt::boxed(StreamBody::new(stream))))
            }
            "/trailers" => {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-sum", "42".parse().unwrap());
                let frames = [Ok(Frame::data(Bytes::from("body"))), Ok(Frame::trailers(trailers))];
                let mut response = Response::new(BodyExt::boxed(StreamBody::new(futures::stream::iter(frames))));
                response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
                Ok(response)
            }
            "/tunnel" => {
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let mut io = TokioIo::new(upgrade.await.unwrap());
                    io.write_all(b"hello").await.unwrap();
                    let mut buffer = [0; 64];
                    while let Ok(read @ 1..) = io.read(&mut buffer).await {
                        io.write_all(&buffer[..read].to_ascii_uppercase()).await.unwrap();
                    }
                });
                let mut response = reply(StatusCode::SWITCHING_PROTOCOLS, "");
                response.headers_mut().insert("connection", "upgrade".parse().unwrap());
                response.headers_mut().insert("upgrade", "shout".parse().unwrap());
                Ok(response)
            }
            "/close" => {
                let mut response = reply(StatusCode::OK, self.name.clone());
                response.headers_mut().insert("connection", "close".parse().unwrap());
                Ok(response)
            }
            _ => Ok(reply(StatusCode::OK, self.name.clone())),
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.kill();
    }
}

fn dump(request: &Request<Incoming>) -> String {
    let mut lines: Vec<String> = request
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    format!("{} {}\n{}", request.method(), request.uri(), lines.join("\n"))
}

fn reply(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

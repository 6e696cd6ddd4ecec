//! The client side: one keep-alive connection, and an open-loop load over a few of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::Error;
use crate::samples::Samples;

/// Where requests go: an address, and the host and path that route them.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    pub(crate) path: String,
}

/// One keep-alive connection.
pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    target: Target,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(target: &Target) -> Result<Self, Error> {
        let stream = TcpStream::connect(target.address).await.map_err(|source| Error::connect(target, source))?;
        stream.set_nodelay(true).map_err(|source| Error::connect(target, source))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, target: target.clone() })
    }

    /// One GET to its end; anything but 200 is an error, for a wrong answer must not be timed as a right one.
    pub(crate) async fn get(&mut self) -> Result<Duration, Error> {
        let request = Request::get(&self.target.path)
            .header("host", &self.target.host)
            .body(Empty::new())
            .map_err(|error| Error::Request(error.to_string()))?;
        let start = Instant::now();
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let took = start.elapsed();
        if status != StatusCode::OK {
            return Err(Error::Status { status, body: String::from_utf8_lossy(&body).into_owned() });
        }
        Ok(took)
    }
}

/// What a load gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    /// From the moment at which a request was due (not sent) to the end of its reply, in milliseconds.
    pub(crate) latency: Samples,
    /// Requests answered with 200.
    pub(crate) answered: u64,
    /// Requests answered otherwise, or not.
    pub(crate) failed: u64,
}

/// Open-loop load: `rate` requests a second for `time`, over `connections` connections. Latency counts from when a
/// request was due, so that a stall is seen by all requests that it delays (no coordinated omission).
pub(crate) async fn open_loop(target: &Target, rate: f64, time: Duration, connections: usize) -> Result<Load, Error> {
    let total = (rate * time.as_secs_f64()) as usize;
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(target).await?);
    }
    let start = Instant::now() + Duration::from_millis(20);
    let tasks: Vec<_> = open
        .into_iter()
        .enumerate()
        .map(|(first, mut connection)| {
            tokio::spawn(async move {
                let mut load = Load::default();
                for number in (first..total).step_by(connections) {
                    let due = start + Duration::from_secs_f64(number as f64 / rate);
                    tokio::time::sleep_until(due.into()).await;
                    match connection.get().await {
                        Ok(_) => {
                            load.answered += 1;
                            load.latency.push_ms(due.elapsed());
                        }
                        Err(_) => load.failed += 1,
                    }
                }
                load
            })
        })
        .collect();
    sum(tasks).await
}

/// Closed-loop load: each connection sends its next request when it has the reply; for throughput and CPU a request.
pub(crate) async fn closed_loop(target: &Target, time: Duration, connections: usize) -> Result<Load, Error> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(target).await?);
    }
    let end = Instant::now() + time;
    let tasks: Vec<_> = open
        .into_iter()
        .map(|mut connection| {
            tokio::spawn(async move {
                let mut load = Load::default();
                while Instant::now() < end {
                    match connection.get().await {
                        Ok(took) => {
                            load.answered += 1;
                            load.latency.push_ms(took);
                        }
                        Err(_) => {
                            load.failed += 1;
                            break;
                        }
                    }
                }
                load
            })
        })
        .collect();
    sum(tasks).await
}

async fn sum(tasks: Vec<tokio::task::JoinHandle<Load>>) -> Result<Load, Error> {
    let mut all = Load::default();
    for task in tasks {
        let load = task.await.map_err(|error| Error::Request(error.to_string()))?;
        all.answered += load.answered;
        all.failed += load.failed;
        for value in load.latency.values() {
            all.latency.push(*value);
        }
    }
    Ok(all)
}

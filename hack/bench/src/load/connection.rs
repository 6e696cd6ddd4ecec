//! One keep-alive connection.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use crate::error::Error;

/// No reply takes longer; one that does has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// Where requests go: an address, and the host and path that route them.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    pub(crate) path: String,
}

/// What a request was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 200.
    Ok,
    /// 503 with Retry-After: turned away in order.
    Shed,
}

/// One keep-alive connection, opened again after one that broke.
pub(crate) struct Connection {
    sender: Option<SendRequest<Empty<Bytes>>>,
    target: Target,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(target: &Target) -> Result<Self, Error> {
        Ok(Self { sender: Some(dial(target).await?), target: target.clone() })
    }

    /// One GET to its end. Anything but 200 and being shed is an error: a wrong answer must not be timed as a right one.
    pub(crate) async fn call(&mut self) -> Result<Answer, Error> {
        let answer = match tokio::time::timeout(DEADLINE, self.exchange()).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Request(format!("no reply within {} s", DEADLINE.as_secs()))),
        };
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }

    /// One GET that must be answered with 200.
    pub(crate) async fn get(&mut self) -> Result<(), Error> {
        match self.call().await? {
            Answer::Ok => Ok(()),
            Answer::Shed => {
                Err(Error::Status { status: StatusCode::SERVICE_UNAVAILABLE, body: "with Retry-After".into() })
            }
        }
    }

    async fn exchange(&mut self) -> Result<Answer, Error> {
        let request = Request::get(&self.target.path)
            .header(header::HOST, &self.target.host)
            .body(Empty::new())
            .map_err(|error| Error::Request(error.to_string()))?;
        let sender = match &mut self.sender {
            Some(sender) if !sender.is_closed() => sender,
            broken => broken.insert(dial(&self.target).await?),
        };
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let shed = status == StatusCode::SERVICE_UNAVAILABLE && response.headers().contains_key(header::RETRY_AFTER);
        let body = response.into_body().collect().await?.to_bytes();
        match status {
            StatusCode::OK => Ok(Answer::Ok),
            _ if shed => Ok(Answer::Shed),
            _ => Err(Error::Status { status, body: String::from_utf8_lossy(&body).into_owned() }),
        }
    }
}

async fn dial(target: &Target) -> Result<SendRequest<Empty<Bytes>>, Error> {
    let failed = |source| Error::Connect { address: target.address.to_string(), what: target.host.clone(), source };
    let stream = TcpStream::connect(target.address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

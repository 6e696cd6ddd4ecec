//! HTTP/1.1 towards the two servers that the agent speaks to: the store and the runtime. Plain, one connection a call.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::task::JoinHandle;

/// One connection. Dropping it closes it.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

/// How a connection or a call failed.
#[derive(thiserror::Error, Debug)]
pub enum CallError {
    /// Nobody listens, or the name is not known.
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    /// The connection broke, or what came is not HTTP.
    #[error("the connection broke: {0}")]
    Broken(#[source] hyper::Error),
}

impl Connection {
    /// Connects.
    pub async fn open(address: impl ToSocketAddrs) -> Result<Self, CallError> {
        let stream = TcpStream::connect(address).await.map_err(CallError::Connect)?;
        // One small write, one small answer: waiting to fill a packet would be all there is.
        stream.set_nodelay(true).map_err(CallError::Connect)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(CallError::Broken)?;
        let driver = tokio::spawn(async move {
            // The call that is in flight gets the error too.
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Sends a request and returns the answer's head; the body follows as it comes.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, CallError> {
        self.sender.send_request(request).await.map_err(CallError::Broken)
    }

    /// Returns when the other side closes the connection.
    pub async fn closed(mut self) {
        // The driver ends with the connection; the sender must live so that it is not us who end it.
        let _ = (&mut self.driver).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Reads at most `limit` bytes of a body, and leaves the rest.
pub async fn read_at_most(mut body: Incoming, limit: usize) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    while bytes.len() < limit {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame.map_err(CallError::Broken)?.into_data() {
            bytes.extend_from_slice(&data[..data.len().min(limit - bytes.len())]);
        }
    }
    Ok(bytes)
}

/// Host and port of an `http://` address.
pub fn authority(address: &str) -> Option<(String, u16)> {
    let uri: Uri = address.parse().ok()?;
    if uri.scheme_str() != Some("http") {
        return None;
    }
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), uri.port_u16().unwrap_or(80)))
}

/// Pauses between tries: short at first, since what is waited for is usually about to come.
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// From `first`, doubling up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// Waits.
    pub async fn pause(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_http() {
        assert_eq!(authority("http://store.muon-system:8080"), Some(("store.muon-system".into(), 8080)));
        assert_eq!(authority("http://[::1]/"), Some(("::1".into(), 80)));
        assert_eq!(authority("https://store"), None);
        assert_eq!(authority("store:8080"), None);
    }
}

//! Small calls to our own parts: JSON there, JSON back, everything bounded.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use muon_crds::words::header;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// Answers longer than this are refused (bytes).
const MAX_ANSWER: usize = 256 * 1024;

/// Why there is no answer.
#[derive(thiserror::Error, Debug)]
pub(crate) enum CallError {
    /// No connection came about: nobody has seen the call.
    #[error("no connection to {0}: {1}")]
    Dial(SocketAddr, std::io::Error),
    /// It broke off.
    #[error("the call to {0} broke off: {1}")]
    Broken(SocketAddr, String),
    /// It took too long.
    #[error("no answer from {0} within {1:?}")]
    Timeout(SocketAddr, Duration),
    /// An answer, but not a good one.
    #[error("{0} answered {1}")]
    Status(SocketAddr, StatusCode, Bytes),
}

/// Posts `message`, with an order where one is asked for, and reads the answer.
pub(crate) async fn post<M: Serialize, A: DeserializeOwned>(
    address: SocketAddr,
    path: &'static str,
    message: &M,
    order: Option<&str>,
    connect: Duration,
    timeout: Duration,
) -> Result<A, CallError> {
    let stream = match tokio::time::timeout(connect, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(CallError::Dial(address, error)),
        Err(_) => return Err(CallError::Dial(address, std::io::ErrorKind::TimedOut.into())),
    };
    stream.set_nodelay(true).map_err(|error| CallError::Dial(address, error))?;
    match tokio::time::timeout(timeout, exchange(stream, address, path, message, order)).await {
        Ok(answer) => answer,
        Err(_) => Err(CallError::Timeout(address, timeout)),
    }
}

async fn exchange<M: Serialize, A: DeserializeOwned>(
    stream: TcpStream,
    address: SocketAddr,
    path: &'static str,
    message: &M,
    order: Option<&str>,
) -> Result<A, CallError> {
    let broken = |error: &dyn std::fmt::Display| CallError::Broken(address, error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let json = serde_json::to_vec(message).map_err(|error| broken(&error))?;
    let mut request = Request::new(Full::new(Bytes::from(json)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HOST, HeaderValue::try_from(address.to_string()).map_err(|error| broken(&error))?);
    if let Some(order) = order {
        headers.insert(header::ORDER, HeaderValue::from_str(order).map_err(|error| broken(&error))?);
    }
    // The connection is driven beside the exchange, in this task: it ends with the answer.
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|error| broken(&error))?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(exchange, connection);
    let (status, body) = tokio::select! {
        biased;
        answer = &mut exchange => answer?,
        ended = &mut connection => match exchange.await {
            Ok(answer) => answer,
            Err(error) => return Err(ended.err().map_or(error, |ended| broken(&ended))),
        },
    };
    if !status.is_success() {
        return Err(CallError::Status(address, status, body));
    }
    serde_json::from_slice(&body).map_err(|error| broken(&error))
}

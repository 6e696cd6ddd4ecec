//! What a function answers.

use std::fmt::Display;
use std::io::{self, Write};

use crate::upgrade::Upgraded;

type Upgrade = Box<dyn FnOnce(Upgraded) -> io::Result<()> + Send>;
type Pieces = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

pub(crate) enum Body {
    Whole(Vec<u8>),
    Pieces(Pieces),
    /// The connection becomes something else, which is named.
    Upgrade(String, Upgrade),
}

/// A status, header fields, and a body, whole or in pieces.
pub struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

impl Response {
    /// An empty one with this status.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Whole(Vec::new()) }
    }

    /// Adds a header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A body of text.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.whole("text/plain; charset=utf-8", text.into().into_bytes())
    }

    /// A body of text that is JSON already.
    pub fn json(self, text: impl Into<String>) -> Self {
        self.whole("application/json", text.into().into_bytes())
    }

    /// A body of bytes.
    pub fn bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.whole("application/octet-stream", bytes.into())
    }

    /// A body that is written piece by piece: each flush reaches the caller.
    pub fn stream(mut self, pieces: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Self {
        self.body = Body::Pieces(Box::new(pieces));
        self
    }

    /// Lets the connection become something else, a WebSocket say, which `then` speaks until it returns. Header fields that
    /// the other side waits for, such as `Sec-WebSocket-Accept`, are added as to any answer.
    pub fn upgrade(protocol: &str, then: impl FnOnce(Upgraded) -> io::Result<()> + Send + 'static) -> Self {
        Self { status: 101, headers: Vec::new(), body: Body::Upgrade(protocol.to_owned(), Box::new(then)) }
    }

    fn whole(mut self, kind: &str, bytes: Vec<u8>) -> Self {
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            self = self.header("Content-Type", kind);
        }
        self.body = Body::Whole(bytes);
        self
    }
}

/// What a function may return.
pub trait IntoResponse {
    /// The answer, or what to log and to answer for.
    fn into_response(self) -> Result<Response, String>;
}

impl IntoResponse for Response {
    fn into_response(self) -> Result<Response, String> {
        Ok(self)
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Result<Response, String> {
        Ok(Response::new(204))
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Result<Response, String> {
        Ok(Response::new(200).text(self))
    }
}

impl IntoResponse for &str {
    fn into_response(self) -> Result<Response, String> {
        self.to_owned().into_response()
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Result<Response, String> {
        Ok(Response::new(200).bytes(self))
    }
}

impl<T: IntoResponse, E: Display> IntoResponse for Result<T, E> {
    fn into_response(self) -> Result<Response, String> {
        self.map_err(|error| error.to_string())?.into_response()
    }
}

//! What a function is asked.

use std::io::{self, Read};

const PARAMETER: &str = "muon-path-param-";

/// One request; its body is read from it: `Request` is a [`Read`].
pub struct Request {
    pub(crate) method: String,
    /// Path and query as they came.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) id: String,
    pub(crate) body: Box<dyn Read + Send>,
}

impl Request {
    /// The method, in capitals.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path, percent-decoded.
    pub fn path(&self) -> String {
        decode(self.target.split('?').next().unwrap_or_default(), false)
    }

    /// A parameter of the route's path pattern, by its name in any case.
    pub fn param(&self, name: &str) -> Option<String> {
        self.header(&format!("{PARAMETER}{name}")).map(|value| decode(value, false))
    }

    /// The first value of this name in the query string.
    pub fn query(&self, name: &str) -> Option<String> {
        self.queries().into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// Names and values of the query string, in their order.
    pub fn queries(&self) -> Vec<(String, String)> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(n, v)| (decode(n, true), decode(v, true)))
            .collect()
    }

    /// The first header field of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Names and values of all header fields.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The id that the proxy gave it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The body, to be read while the answer is written: see [`Response::stream`](crate::Response::stream).
    pub fn take_body(&mut self) -> Box<dyn Read + Send> {
        std::mem::replace(&mut self.body, Box::new(io::empty()))
    }

    /// The whole body as text.
    pub fn text(&mut self) -> io::Result<String> {
        let mut text = String::new();
        self.read_to_string(&mut text)?;
        Ok(text)
    }
}

impl Read for Request {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}

/// Percent-decoding that leaves alone what is not valid.
fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let value =
            text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (value, bytes[at]) {
            (Some(value), _) => {
                out.push(value);
                at += 2;
            }
            (None, b'+') if plus => out.push(b' '),
            (None, other) => out.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

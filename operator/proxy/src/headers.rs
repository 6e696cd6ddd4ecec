//! Headers on their way through: what ends here is taken off, what tells of the way is added.

use std::time::Duration;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use muon_crds::words::header;
use muon_routes::Param;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static(header::REQUEST_ID);
pub(crate) const FUNCTION: HeaderName = HeaderName::from_static(header::FUNCTION);
pub(crate) const NAMESPACE: HeaderName = HeaderName::from_static(header::NAMESPACE);
pub(crate) const ATTEMPT: HeaderName = HeaderName::from_static(header::ATTEMPT);
pub(crate) const START: HeaderName = HeaderName::from_static(header::START);
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers of one hop, that concern no one behind it.
const HOP_BY_HOP: [HeaderName; 8] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE];

/// The id that the client gave, when it is 1–128 visible ASCII characters.
pub(crate) fn kept_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let fits = (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    fits.then(|| id.clone())
}

/// The protocol that the client asks to change to.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    asked.then(|| headers.get(UPGRADE).cloned()).flatten()
}

/// The tokens of a list header.
fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// Takes off what only the last hop is meant to see, in either direction: the listed ones, and those that `Connection` names.
fn strip_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = tokens(headers, &CONNECTION).filter_map(|token| token.parse().ok()).collect();
        for name in named {
            // These say where the message ends and whom it is for; nobody may have them taken off.
            if name != HOST && name != CONTENT_LENGTH {
                headers.remove(name);
            }
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Makes a client's headers those of a request to a pod.
pub(crate) fn cleanse(headers: &mut HeaderMap) {
    let trailers = headers.contains_key(TE) && tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    if headers.contains_key(TRANSFER_ENCODING) {
        // Two lengths are one too many; the encoding is the one that hyper reads by.
        headers.remove(CONTENT_LENGTH);
    }
    strip_hop(headers);
    // The client's wish for `100 Continue` is met here, when the pod begins to take the body.
    headers.remove(EXPECT);
    let ours = |name: &HeaderName| name.as_str().starts_with("muon-") || name.as_str().starts_with("x-fission-");
    if headers.keys().any(ours) {
        let spoofed: Vec<HeaderName> = headers.keys().filter(|name| ours(name)).cloned().collect();
        for name in spoofed {
            headers.remove(name);
        }
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Makes a pod's headers those of an answer to the client.
pub(crate) fn cleanse_answer(headers: &mut HeaderMap) {
    strip_hop(headers);
}

/// Tells the client how long each phase of a cold request took, beside what the function itself says of its own.
pub(crate) fn tell_phases(headers: &mut HeaderMap, routed: Duration, waited: Duration, head: Duration) {
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let answered = head.saturating_sub(routed + waited);
    let phases = format!("route;dur={:.3}, start;dur={:.3}, function;dur={:.3}", ms(routed), ms(waited), ms(answered));
    if let Ok(phases) = HeaderValue::try_from(phases) {
        headers.append(SERVER_TIMING, phases);
    }
}

/// Whether anybody else has forwarded the request.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| *name == FORWARDED || name.as_str().starts_with("x-forwarded-"))
}

/// The headers by which a hop tells where a request came from, made once per connection.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    address: HeaderValue,
    /// `for=…`, as in `Forwarded`.
    node: String,
}

impl Origin {
    pub(crate) fn new(ip: std::net::IpAddr) -> Self {
        let ip = ip.to_canonical();
        let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"));
        let node = if ip.is_ipv6() { format!("for=\"[{ip}]\"") } else { format!("for={ip}") };
        Self { address: value(&ip.to_string()), node }
    }

    /// Adds this hop. What an Ingress controller said before stays; the scheme and host that it saw are the client's.
    pub(crate) fn add(&self, headers: &mut HeaderMap) {
        let host = headers.get(HOST).cloned();
        append(headers, FORWARDED_FOR, &self.address);
        let proto = headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http")).clone();
        if let Some(host) = &host {
            headers.entry(FORWARDED_HOST).or_insert_with(|| host.clone());
        }
        let mut element = String::with_capacity(96);
        element.push_str(&self.node);
        if let Some(host) = host.as_ref().and_then(|host| host.to_str().ok()).filter(|host| !host.contains(['"', '\\']))
        {
            element.push_str(";host=\"");
            element.push_str(host);
            element.push('"');
        }
        element.push_str(if proto == "https" { ";proto=https" } else { ";proto=http" });
        if let Ok(element) = HeaderValue::try_from(element) {
            append(headers, FORWARDED, &element);
        }
    }
}

/// Adds to the end of a list header, in one line.
fn append(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value.clone());
        return;
    }
    let mut line = Vec::new();
    for known in headers.get_all(&name) {
        line.extend_from_slice(known.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(value.as_bytes());
    if let Ok(line) = HeaderValue::from_bytes(&line) {
        headers.insert(name, line);
    }
}

/// The path's parameters as headers: decoded, where the bytes may stand in a header.
pub(crate) fn parameters(params: &[Param], values: &[&str]) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::with_capacity(params.len() * 2);
    for (param, value) in params.iter().zip(values) {
        let value = HeaderValue::from_bytes(&decode(value)).or_else(|_| HeaderValue::from_str(value));
        if let Ok(value) = value {
            headers.push((param.header.clone(), value.clone()));
            headers.push((param.compatible.clone(), value));
        }
    }
    headers
}

/// Percent-decodes; what is no escape stays.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|byte| (*byte as char).to_digit(16));
        match (byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests;

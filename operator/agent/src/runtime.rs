//! The runtime contract, from the side that calls: is it up, and load this.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use muon_crds::wire::LoadRequest;
use serde_json::{Value, json};

use crate::client::{self, Backoff, CallError, Connection};
use crate::failure::LoadError;
use crate::unpack;

/// How much of an answer is read.
const MAX_ANSWER: usize = 64 << 10;
/// How much of it goes into a message.
const MAX_MESSAGE: usize = 4 << 10;

/// How a load ended, other than with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The runtime imported the code now.
    Now,
    /// It says that it has code inside already.
    Before,
}

/// A runtime that is up.
pub struct Up {
    /// It breaks when the runtime ends, so it can be kept to know of that.
    pub connection: Connection,
    /// It knows `/healthz`.
    pub knows_health: bool,
}

/// Asks `/healthz`. Any answer but 503 means up: images exist that know no `/healthz` and answer something else before
/// they are loaded.
pub async fn healthy(address: SocketAddr) -> Result<Up, CallError> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.send(request(Method::GET, address, "/healthz", "text/plain", Bytes::new())).await?;
    let status = answer.status();
    client::read_at_most(answer.into_body(), MAX_ANSWER).await?;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let error = std::io::Error::other("the runtime says that it is not available");
        return Err(CallError::Connect(error));
    }
    Ok(Up { connection, knows_health: status.is_success() })
}

/// Has the runtime import the package at `path`, by the second contract, or the first where it does not know that.
/// `asked` is called just before the runtime may begin.
pub async fn load(
    address: SocketAddr,
    code_dir: &Path,
    path: &Path,
    wanted: &LoadRequest,
    asked: impl FnOnce(),
) -> Result<Loaded, LoadError> {
    let mut connection = connect(address).await?;
    let mut body = json!({
        "filepath": path,
        "functionName": wanted.entrypoint,
        "url": "",
        "FunctionMetadata": {"name": wanted.function, "namespace": wanted.namespace},
        "envVersion": 2,
    });
    if !wanted.env.is_empty() {
        let values = wanted.env.iter().map(|variable| (variable.name.clone(), variable.value.clone().into()));
        body["env"] = Value::Object(values.collect());
    }
    asked();
    let mut v2 = request(Method::POST, address, "/v2/specialize", "application/json", body.to_string().into());
    if let Some(trace) = wanted.trace.as_deref().and_then(|trace| trace.parse().ok()) {
        v2.headers_mut().insert("traceparent", trace);
    }
    let (status, answer) = call(&mut connection, v2).await?;
    if status != StatusCode::NOT_FOUND {
        return judge(status, &answer);
    }
    if !wanted.env.is_empty() {
        return Err(LoadError::EnvNotTaken);
    }
    drop(connection);
    unpack::link_for_v1(code_dir)
        .map_err(|error| LoadError::Disk(format!("the code could not be put where v1 runtimes look: {error}")))?;
    let mut connection = connect(address).await?;
    let v1 = request(Method::POST, address, "/specialize", "text/plain", Bytes::new());
    let (status, answer) = call(&mut connection, v1).await?;
    judge(status, &answer)
}

/// Connects, again and again: a runtime that has just started, or starts again, listens in a moment. The caller's
/// deadline ends it.
async fn connect(address: SocketAddr) -> Result<Connection, LoadError> {
    let mut backoff = Backoff::new(Duration::from_millis(2), Duration::from_millis(20));
    loop {
        match Connection::open(address).await {
            Ok(connection) => return Ok(connection),
            Err(CallError::Connect(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                backoff.pause().await;
            }
            Err(error) => return Err(LoadError::RuntimeUnreachable(error.to_string())),
        }
    }
}

async fn call(connection: &mut Connection, request: Request<Full<Bytes>>) -> Result<(StatusCode, Vec<u8>), LoadError> {
    // Broken before it answered: it may have begun to import, and most likely that ended it.
    let answer = connection.send(request).await.map_err(|_| LoadError::RuntimeEnded)?;
    let status = answer.status();
    let body = client::read_at_most(answer.into_body(), MAX_ANSWER).await.unwrap_or_default();
    Ok((status, body))
}

fn judge(status: StatusCode, answer: &[u8]) -> Result<Loaded, LoadError> {
    if status.is_success() {
        Ok(Loaded::Now)
    } else if says_already(answer) {
        Ok(Loaded::Before)
    } else {
        Err(LoadError::ImportFailed(message(status, answer)))
    }
}

/// Whether a refusal means that there is code inside already. Ours says so by reason; the words are those of the images
/// that speak this contract.
fn says_already(answer: &[u8]) -> bool {
    if let Ok(answer) = serde_json::from_slice::<Value>(answer)
        && let Some(reason) = answer.get("reason")
    {
        return reason == "AlreadyLoaded";
    }
    // A traceback may hold any words: only a short answer is one about the state of the runtime.
    let text = String::from_utf8_lossy(answer).to_lowercase();
    text.len() < 200 && (text.contains("not a generic container") || text.contains("already specialized"))
}

/// What the runtime says, as a person should read it: `message` of its JSON, or its last lines.
fn message(status: StatusCode, answer: &[u8]) -> String {
    let answer = match serde_json::from_slice::<Value>(answer) {
        Ok(Value::Object(fields)) => fields.get("message").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    }
    .unwrap_or_else(|| String::from_utf8_lossy(answer).into_owned());
    let answer = answer.trim();
    if answer.is_empty() {
        return format!("the runtime answered {status} to the load, without a word: see its log");
    }
    last_lines(answer).to_owned()
}

/// The end of a text, whole lines where it can be.
fn last_lines(text: &str) -> &str {
    if text.len() <= MAX_MESSAGE {
        return text;
    }
    let from = text.ceil_char_boundary(text.len() - MAX_MESSAGE);
    let end = &text[from..];
    end.split_once('\n').map_or(end, |(_, lines)| lines)
}

fn request(method: Method, address: SocketAddr, path: &str, kind: &str, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    // Both are built from constants and an address: they always parse.
    if let (Ok(uri), Ok(host), Ok(kind)) = (path.parse(), address.to_string().parse(), kind.parse()) {
        *request.uri_mut() = uri;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtimes_message_is_what_people_read() {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        assert_eq!(message(status, br#"{"message": "NameError: x", "reason": "ImportFailed"}"#), "NameError: x");
        assert_eq!(message(status, b"Traceback\n  boom\n"), "Traceback\n  boom");
        assert!(message(status, b"").contains("500"));
        let long = format!("{}\nlast line", "line\n".repeat(2000));
        let short = message(status, long.as_bytes());
        assert!(short.len() <= MAX_MESSAGE && short.starts_with("line\n") && short.ends_with("last line"));
    }

    #[test]
    fn code_that_is_inside_already_is_told_from_code_that_fails() {
        assert!(says_already(br#"{"reason": "AlreadyLoaded", "message": "serves main.main"}"#));
        assert!(says_already(b"Not a generic container"));
        assert!(!says_already(br#"{"reason": "ImportFailed", "message": "already specialized"}"#));
        assert!(!says_already(b"ImportError: no module"));
    }
}

//! What the log service kept, of pods that are gone too (operator/logs): asked through the API server, in the user's name.

use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use serde_json::Value;

use super::{Arguments, Line};
use crate::connection::Session;
use crate::failure::Failure;
use crate::output::{self, Terminal};
use crate::tunnel::Tunnel;

/// Where the log service is installed.
const NAMESPACE: &str = "muon-logs";
/// Its port in its pod.
const PORT: u16 = 8080;
/// Records of one answer at most, as the service has it.
const MOST: i64 = 1000;
/// Bytes of what it says when it says no.
const REFUSAL: usize = 64 << 10;
/// Bytes of one line of its answer.
const LINE: usize = 1 << 20;

pub(super) async fn show(session: &Session, arguments: &Arguments, terminal: Terminal) -> Result<(), Failure> {
    let token = arguments.token.as_ref().or(session.token.as_ref()).ok_or_else(|| {
        Failure::Usage(
            "the log service asks for a token, and this kubeconfig has none: --token $(kubectl create token ACCOUNT), \
             of a service account that may get pods/log here"
                .to_owned(),
        )
    })?;
    let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Failure::Usage("the token is no text of one line".to_owned()))?;
    authorization.set_sensitive(true);
    let mut tunnel = Tunnel::open(session, NAMESPACE, "logs", PORT).await.map_err(|failure| match failure {
        Failure::NotReady(_) => Failure::NotReady(
            "no log service is ready in namespace muon-logs; without --history the pods that run are read".to_owned(),
        ),
        other => other,
    })?;
    let request = Request::builder()
        .uri(query(&session.namespace, arguments))
        .header(HOST, "muon-logs.muon-logs")
        .header(AUTHORIZATION, authorization)
        .body(Full::default())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let response = tunnel.send(request).await?;
    let status = response.status();
    let mut body = response.into_body();
    if status != StatusCode::OK {
        let said = Limited::new(body, REFUSAL).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let message = format!("the log service: {status}: {}", String::from_utf8_lossy(&said).trim());
        return Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Forbidden(message),
            _ => Failure::Failed(message),
        });
    }
    let mut waiting: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Unreachable(format!("the log service: {error}")))?;
        if let Some(bytes) = frame.data_ref() {
            lines(&mut waiting, bytes, |line| output::write(&line.show(arguments.raw, terminal)))?;
        }
    }
    lines(&mut waiting, &Bytes::from_static(b"\n"), |line| output::write(&line.show(arguments.raw, terminal)))
}

/// Hands on whole lines; the rest waits for more. A line without an end is given up.
fn lines(
    waiting: &mut Vec<u8>,
    more: &Bytes,
    mut take: impl FnMut(Line) -> Result<(), Failure>,
) -> Result<(), Failure> {
    waiting.extend_from_slice(more);
    while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
        let rest = waiting.split_off(end + 1);
        let line = std::mem::replace(waiting, rest);
        if let Some(line) = record(&line) {
            take(line)?;
        }
    }
    match waiting.len() > LINE {
        true => Err(Failure::Failed("the log service: a line without an end".to_owned())),
        false => Ok(()),
    }
}

/// One record of the service's as a line. Empty lines say only that the connection stands.
fn record(line: &[u8]) -> Option<Line> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let field = |name: &str| value[name].as_str().unwrap_or_default();
    Some(Line::of(field("pod"), field("time"), field("text"), field("level"), field("requestId")))
}

fn query(namespace: &str, arguments: &Arguments) -> String {
    let mut query = format!("/v1/logs?namespace={}&function={}", encoded(namespace), encoded(&arguments.function));
    let mut add = |name: &str, value: &str| query.push_str(&format!("&{name}={}", encoded(value)));
    if let Some(revision) = &arguments.revision {
        add("revision", revision);
    }
    if let Some(id) = &arguments.request {
        add("requestId", id);
    }
    if let Some(text) = &arguments.search {
        add("q", &format!("\"{}\"", text.replace('"', " ")));
    }
    if let Some(seconds) = arguments.since {
        add("since", &format!("{seconds}s"));
    }
    add("limit", &arguments.tail.min(MOST).to_string());
    if arguments.follow {
        add("follow", "true");
    }
    query
}

/// As it stands in a query: what has a meaning there is written by its number.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn what_is_asked_for_is_a_query() {
        let words = "logs hello --history --follow --revision 1a --request a&b --since 2h --tail 5000";
        let typed = Typed::try_parse_from(words.split(' ').chain(["--search", "it \"broke\""])).unwrap();
        assert_eq!(
            query("team", &typed.arguments),
            "/v1/logs?namespace=team&function=hello&revision=1a&requestId=a%26b&q=%22it%20%20broke%20%22&since=7200s&limit=1000&follow=true"
        );
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let text = "{\"time\":\"2026-11-23T12:00:00.123456Z\",\"pod\":\"p-x\",\"level\":\"INFO\",\"text\":\"one\",\"requestId\":\"abc\"}\n\n{\"text\":\"zw\u{f6}lf\"}\n";
        for cut in 0..text.len() {
            let (mut waiting, mut shown) = (Vec::new(), String::new());
            for part in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
                let paper = Terminal { colour: false, moves: false };
                lines(&mut waiting, &Bytes::copy_from_slice(part), |line| {
                    shown.push_str(&line.show(false, paper));
                    Ok(())
                })
                .unwrap();
            }
            assert_eq!(shown, "12:00:00.123 x INFO  one  abc\n  zw\u{f6}lf\n");
        }
        let endless = Bytes::from(vec![b'x'; LINE + 1]);
        assert!(lines(&mut Vec::new(), &endless, |_| Ok(())).is_err());
    }
}

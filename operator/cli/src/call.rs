//! `muon call`: one request to a function or through a route, and what the answer tells of its way.

use std::io::Read as _;
use std::time::{Duration, Instant};

use clap::Args;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use kube::api::ListParams;
use muon_crds::{Function, HTTPTrigger, words};
use serde_json::json;
use tokio::net::TcpStream;

use crate::connection::{Connection, Session};
use crate::failure::Failure;
use crate::kinds::{Kind, Target};
use crate::output::{self, Terminal};
use crate::tunnel::Tunnel;

mod told;

use told::Told;

/// Arguments of `muon call`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A function's name, or `route/NAME`.
    #[arg(value_name = "NAME", add = crate::completion::targets())]
    what: String,
    /// Path and query. None: `/`, or the route's path.
    #[arg(value_name = "PATH")]
    path: Option<String>,
    /// The method; POST where there is a body, GET where there is none.
    #[arg(short = 'X', long, visible_alias = "request", value_name = "METHOD")]
    method: Option<Method>,
    /// The body: text, `@FILE`, or `@-` for standard input.
    #[arg(short, long, visible_alias = "body", value_name = "BODY")]
    data: Option<String>,
    /// A header, `name: value`; as often as needed.
    #[arg(short = 'H', long, value_name = "HEADER", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// Send it here, `http://ADDRESS[:PORT]`, to an Ingress controller for instance, instead of through the API server.
    #[arg(long, env = "MUON_VIA", value_name = "URL")]
    via: Option<Uri>,
    /// Seconds to wait for the whole answer.
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Write the answer's headers before its body.
    #[arg(short, long)]
    include: bool,
    /// Say nothing of the answer's way.
    #[arg(short, long)]
    quiet: bool,
    /// Write the answer and its way as one object of JSON.
    #[arg(short, long, value_enum)]
    output: Option<Form>,
    /// Namespace of the installation.
    #[arg(long, default_value = "muon-system", value_name = "NAMESPACE")]
    system_namespace: String,
}

/// Forms for machines.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    /// One object.
    Json,
}

/// Bytes of an answer that are taken.
const ANSWER: usize = 64 << 20;
/// Bytes of a request's body that are sent.
const BODY: u64 = 64 << 20;

/// `name: value`.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written name: value")?;
    let name = name.trim().parse().map_err(|error| format!("{name:?}: {error}"))?;
    let value = value.trim().parse().map_err(|error| format!("{value:?}: {error}"))?;
    Ok((name, value))
}

pub(crate) async fn run(arguments: Arguments, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
    let target = Target::parse(&arguments.what)?;
    let body = arguments.data.as_deref().map(body).transpose()?;
    let session = connection.open().await?;
    let within = Duration::from_secs(arguments.timeout);
    let answered = tokio::time::timeout(within, send(&arguments, &session, &target, body)).await;
    let answered =
        answered.map_err(|_| Failure::NotReady(format!("{target}: no answer within {} s", within.as_secs())))?;
    let (told, headers, bytes) = answered?;
    let status = told.status;
    match arguments.output {
        Some(Form::Json) => {
            let body = String::from_utf8_lossy(&bytes);
            output::write(&output::json(&json!({"answer": told, "headers": headers, "body": body}))?)?;
        }
        None => {
            if arguments.include {
                let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
                output::write(&format!("{lines}\n"))?;
            }
            // As the function wrote it; only a terminal is kept from what would move it.
            match terminal.colour {
                true => output::write(&output::plain(&String::from_utf8_lossy(&bytes)))?,
                false => output::write_bytes(&bytes)?,
            }
            if !arguments.quiet {
                output::note(&told.sentence());
            }
        }
    }
    match status {
        400.. => Err(Failure::Answered(status)),
        _ => Ok(()),
    }
}

fn body(text: &str) -> Result<Bytes, Failure> {
    let failed = |path: &str, error: std::io::Error| Failure::Usage(format!("{path}: {error}"));
    let mut bytes = Vec::new();
    match text.strip_prefix('@') {
        None => return Ok(Bytes::copy_from_slice(text.as_bytes())),
        Some("-") => {
            std::io::stdin().take(BODY + 1).read_to_end(&mut bytes).map_err(|error| failed("standard input", error))?
        }
        Some(path) => {
            let file = std::fs::File::open(path).map_err(|error| failed(path, error))?;
            file.take(BODY + 1).read_to_end(&mut bytes).map_err(|error| failed(path, error))?
        }
    };
    match bytes.len() as u64 > BODY {
        true => Err(Failure::Usage(format!("a body has at most {BODY} bytes here"))),
        false => Ok(bytes.into()),
    }
}

type Answer = (Told, Vec<(String, String)>, Bytes);

/// Whom the proxies are asked for: host, path, and the port where such requests are taken.
struct Way {
    host: String,
    path: String,
    port: u16,
}

async fn send(
    arguments: &Arguments,
    session: &Session,
    target: &Target,
    body: Option<Bytes>,
) -> Result<Answer, Failure> {
    let way = way(session, target, arguments).await?;
    let begun = Instant::now();
    let tunnel = match &arguments.via {
        Some(via) => {
            let host = via.host().ok_or_else(|| Failure::Usage("--via is written http://ADDRESS[:PORT]".to_owned()))?;
            if via.scheme_str() != Some("http") {
                return Err(Failure::Usage(
                    "--via speaks http only; for https use the route's own URL with curl".to_owned(),
                ));
            }
            let address = (host.trim_start_matches('[').trim_end_matches(']'), via.port_u16().unwrap_or(80));
            let stream = TcpStream::connect(address).await;
            Tunnel::over(stream.map_err(|error| Failure::Unreachable(format!("{via}: {error}")))?, None).await?
        }
        None => {
            let opened = Tunnel::open(session, &arguments.system_namespace, "proxy", way.port).await;
            opened.map_err(|failure| match failure {
                Failure::Forbidden(message) => Failure::Forbidden(format!(
                    "{message}\nwithout the right to pods/portforward there, --via http://ADDRESS names an Ingress controller"
                )),
                other => other,
            })?
        }
    };
    exchange(arguments, &way, body, tunnel, begun.elapsed()).await
}

async fn way(session: &Session, target: &Target, arguments: &Arguments) -> Result<Way, Failure> {
    let failed = |error| Failure::of(target, error);
    let path = arguments.path.clone();
    match target.kind {
        Kind::Function => {
            // Whoever may not read Functions may still call them: the proxies say what is not there.
            session.api::<Function>().get(&target.name).await.map_err(failed)?;
            if arguments.via.is_some() {
                return by_route(session, target, path).await;
            }
            let host = format!("{}.{}", target.name, session.namespace);
            Ok(Way { host, path: path.unwrap_or_else(|| "/".to_owned()), port: words::PORT_FUNCTIONS })
        }
        Kind::HTTPTrigger => {
            let trigger = session.api::<HTTPTrigger>().get(&target.name).await.map_err(failed)?;
            through(session, &trigger, path)
        }
        _ => Err(Failure::Usage(format!("{target} cannot be called: a function or a route can"))),
    }
}

/// An Ingress controller knows routes, not names of functions.
async fn by_route(session: &Session, target: &Target, path: Option<String>) -> Result<Way, Failure> {
    let listed = session.api::<HTTPTrigger>().list(&ListParams::default()).await;
    let routes = listed.map_err(|error| Failure::of("routes", error))?.items;
    let route = routes.iter().find(|route| {
        route.spec.ingress.is_some() && route.spec.function.name.as_deref() == Some(target.name.as_str())
    });
    match route {
        Some(route) => through(session, route, path),
        None => {
            Err(Failure::NotFound(format!("no public route names {target}; without --via it is called by its name")))
        }
    }
}

fn through(session: &Session, trigger: &HTTPTrigger, path: Option<String>) -> Result<Way, Failure> {
    let host = match &trigger.spec.host {
        Some(host) => host.replacen("*.", "any.", 1),
        None => format!("{}.{}", words::GATEWAY_SERVICE, session.namespace),
    };
    let own = trigger.spec.path.as_ref().or(trigger.spec.path_prefix.as_ref()).cloned().unwrap_or_default();
    match path {
        None if own.contains('{') => Err(Failure::Usage(format!(
            "the route's path is {own}: say which one, as in {}",
            own.replace(['{', '}'], "")
        ))),
        path => Ok(Way { host, path: path.unwrap_or(own), port: words::PORT_GATEWAY }),
    }
}

/// One request over one connection.
async fn exchange(
    arguments: &Arguments,
    way: &Way,
    body: Option<Bytes>,
    mut tunnel: Tunnel,
    opened: Duration,
) -> Result<Answer, Failure> {
    let request = request(arguments, way, body)?;
    let sent = Instant::now();
    let response = tunnel.send(request).await?;
    let first = sent.elapsed();
    let (parts, incoming) = response.into_parts();
    let bytes = Limited::new(incoming, ANSWER).collect().await;
    let bytes = bytes.map_err(|error| Failure::Failed(format!("{}: the answer: {error}", way.host)))?.to_bytes();
    let told = Told::read(&parts, opened, first, sent.elapsed());
    let shown = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), shown(value))).collect();
    Ok((told, headers, bytes))
}

fn request(arguments: &Arguments, way: &Way, body: Option<Bytes>) -> Result<Request<Full<Bytes>>, Failure> {
    let method = arguments.method.clone().unwrap_or(if body.is_some() { Method::POST } else { Method::GET });
    let path = if way.path.starts_with('/') { way.path.clone() } else { format!("/{}", way.path) };
    let wrong = |error: http::Error| Failure::Usage(format!("{path}: {error}"));
    let mut request =
        Request::builder().method(method).uri(&path).body(Full::new(body.unwrap_or_default())).map_err(wrong)?;
    let host = HeaderValue::from_str(&way.host).map_err(|error| Failure::Usage(format!("{}: {error}", way.host)))?;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(http::header::USER_AGENT, HeaderValue::from_static(concat!("muon/", env!("CARGO_PKG_VERSION"))));
    headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in &arguments.header {
        match *name == HOST || *name == http::header::USER_AGENT {
            true => headers.insert(name, value.clone()),
            false => headers.append(name, value.clone()).then(|| value.clone()),
        };
    }
    Ok(request)
}

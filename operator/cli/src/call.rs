//! `muon call`: one request to a function or through a route, and what the answer tells of its way.

use std::io::Read as _;
use std::time::Instant;

use clap::Args;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use muon_crds::{Function, HTTPTrigger, pods, words};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::connection::{Connection, Session};
use crate::failure::{Failure, causes};
use crate::kinds::{Kind, Target};
use crate::output::{self, Terminal};

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
    let within = std::time::Duration::from_secs(arguments.timeout);
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
    match &arguments.via {
        Some(via) => {
            let host = via.host().ok_or_else(|| Failure::Usage("--via is written http://ADDRESS[:PORT]".to_owned()))?;
            if via.scheme_str() != Some("http") {
                return Err(Failure::Usage(
                    "--via speaks http only; for https use the route's own URL with curl".to_owned(),
                ));
            }
            let address = (host.trim_start_matches('[').trim_end_matches(']'), via.port_u16().unwrap_or(80));
            let stream =
                TcpStream::connect(address).await.map_err(|error| Failure::Unreachable(format!("{via}: {error}")))?;
            exchange(arguments, &way, body, stream, begun).await
        }
        None => {
            let proxy = proxy(session, &arguments.system_namespace).await?;
            let pods: Api<Pod> = Api::namespaced(session.client.clone(), &arguments.system_namespace);
            let forwarded = pods.portforward(&proxy, &[way.port]).await;
            let mut forwarder = forwarded.map_err(|error| tunnel(&proxy, error))?;
            let Some(stream) = forwarder.take_stream(way.port) else {
                return Err(Failure::Failed(format!("pod/{proxy}: the API server opened no stream")));
            };
            exchange(arguments, &way, body, stream, begun).await
        }
    }
}

fn tunnel(proxy: &str, error: kube::Error) -> Failure {
    match Failure::of(format!("a way to pod/{proxy} through the API server"), error) {
        Failure::Forbidden(message) => Failure::Forbidden(format!(
            "{message}\nwithout the right to pods/portforward there, --via http://ADDRESS names an Ingress controller (route/NAME)"
        )),
        other => other,
    }
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

/// A proxy that is ready.
async fn proxy(session: &Session, system: &str) -> Result<String, Failure> {
    let pods: Api<Pod> = Api::namespaced(session.client.clone(), system);
    let labels = format!("{}=proxy,{}={}", words::APP_COMPONENT, words::APP_PART_OF, words::MUON);
    let listed = pods.list(&ListParams::default().labels(&labels)).await.map_err(|error| {
        match Failure::of("the proxies", error) {
            Failure::Forbidden(message) => {
                Failure::Forbidden(format!("{message}\n--via http://ADDRESS names an Ingress controller instead"))
            }
            other => other,
        }
    })?;
    let ready = listed.items.iter().find(|pod| pods::is_ready_and_stays(pod));
    ready
        .and_then(|pod| pod.metadata.name.clone())
        .ok_or_else(|| Failure::NotReady(format!("no proxy is ready in namespace {system}: muon doctor tells more")))
}

/// One request over one connection.
async fn exchange<S>(
    arguments: &Arguments,
    way: &Way,
    body: Option<Bytes>,
    stream: S,
    begun: Instant,
) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let lost = |error: hyper::Error| Failure::Unreachable(format!("{}: {}", way.host, causes(&error)));
    let request = request(arguments, way, body)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    let driven = tokio::spawn(connection);
    let opened = begun.elapsed();
    let sent = Instant::now();
    let response = sender.send_request(request).await.map_err(lost)?;
    let first = sent.elapsed();
    let (parts, incoming) = response.into_parts();
    let bytes = Limited::new(incoming, ANSWER).collect().await;
    let bytes = bytes.map_err(|error| Failure::Failed(format!("{}: the answer: {error}", way.host)))?.to_bytes();
    driven.abort();
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

//! One request, from its head to the head of its answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{CONNECTION, HOST, UPGRADE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use muon_crds::wire::{Component, Executed};
use tokio::time::Instant;

use crate::access::Record;
use crate::answer::Refusal;
use crate::body::{Body, RequestBody};
use crate::crowd::Phase;
use crate::forward::{self, Sent, Through};
use crate::headers::{self, Origin};
use crate::metrics::{Entry, Start};
use crate::proxy::Proxy;
use crate::served::{Admission, Lease, Served};
use crate::target::{self, Target};
use crate::trace;
use crate::upgrade;
use crate::upload::{ClientBody, Upload, too_large};

/// Pods that a request is tried in, when one after the other cannot be reached.
const TRIES: u32 = 5;

/// What the attempt is called that a trigger's `retry` allows.
const SECOND: HeaderValue = HeaderValue::from_static("2");

/// Whom a connection is from.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) entry: Entry,
    pub(crate) origin: Origin,
    pub(crate) phase: Arc<Phase>,
}

/// A client's side of a change of protocol.
struct Change {
    protocol: HeaderValue,
    client: OnUpgrade,
}

impl Proxy {
    /// Answers it. Every request gets exactly one answer, and every answer carries the request's id.
    pub(crate) async fn answer(self: &Arc<Self>, client: &Client, request: Request<Incoming>) -> Response<Body> {
        let shared = &self.shared;
        let (id, context) = trace::begin(request.headers(), shared.books.policy);
        client.phase.head();
        let record = Record::new(
            Arc::clone(&shared.books),
            Arc::clone(&client.phase),
            client.entry,
            (id.clone(), context),
            request.method(),
            request.uri(),
        );
        let mut record = Some(record);
        let mut response = match self.serve_request(client, request, &mut record).await {
            Ok(response) => response,
            Err(refusal) => {
                shared.metrics.failed(&refusal);
                let response = refusal.response(id.to_str().ok());
                if let Some(record) = &mut record {
                    record.refused(&refusal, response.body().size_hint().lower());
                }
                response
            }
        };
        response.headers_mut().insert(headers::REQUEST_ID, id);
        if self.draining.load(Ordering::Relaxed) && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            // The client's next request goes to a proxy that stays.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn serve_request(
        self: &Arc<Self>,
        client: &Client,
        mut request: Request<Incoming>,
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Refusal> {
        let Some(now) = record.as_mut() else { return Err(internal()) };
        let change = headers::upgrade(request.headers())
            // Prior-knowledge HTTP/2 through a tunnel would get past everything that is decided here.
            .filter(|protocol| !protocol.as_bytes().eq_ignore_ascii_case(b"h2c"))
            .map(|protocol| Change { protocol, client: hyper::upgrade::on(&mut request) });
        let (mut parts, body) = request.into_parts();
        if change.is_some() || !body.is_end_stream() {
            client.phase.body();
        }
        if change.is_none() && !body.is_end_stream() {
            client.phase.unread();
        }
        let target = self.target(client, &mut parts)?;
        now.routed = now.started.elapsed();
        now.function = Some(Arc::clone(&target.function));
        let served = self.serve_function(&target.function);
        let timeout = target.function.serving.as_ref().map_or(60, |serving| serving.timeout_seconds.max(1));
        let timeout = Duration::from_secs(timeout.unsigned_abs().into());
        let deadline = Instant::from_std(now.started) + timeout;
        let most = self.shared.config.max_body_bytes;
        if body.size_hint().lower() > most {
            return Err(too_large(most));
        }
        let retries = target.retries && change.is_none() && body.is_end_stream();
        prepare(&mut parts, client, target, &served, now, change.as_ref());

        let (body, through) = match body.is_end_stream() {
            true => (RequestBody::Empty, Through::default()),
            false => {
                let upload = Arc::new(Upload::new(Arc::clone(&client.phase)));
                now.upload = Some(Arc::clone(&upload));
                let body = ClientBody::new(body, Arc::clone(&upload), &self.shared.config);
                (RequestBody::Client(Box::new(body)), Through(Some(upload)))
            }
        };
        // What is sent should the first pod break off: only what the trigger lets be sent twice, and never a body.
        let mut second = retries.then(|| parts.clone());
        let mut request = Request::from_parts(parts, body);
        for _ in 0..TRIES {
            let lease = place(&served, now, deadline).await?;
            now.pod = Some(Arc::clone(lease.endpoint()));
            let sent = match &change {
                Some(_) => forward::send_upgrade(&lease, request, deadline).await,
                None => forward::send(&lease, request, &through, deadline).await,
            };
            match sent {
                Sent::Answer(response, link) => {
                    lease.endpoint().sane();
                    now.answered(response.status());
                    self.observe_cold(now);
                    let Some(record) = record.take() else { return Err(internal()) };
                    let (start, repeated) = (record.start, record.repeated);
                    let (routed, waited, head) = (record.routed, record.waited, record.head);
                    let mut response = match change {
                        Some(change) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                            upgrade::join(change.client, response, lease, record)
                        }
                        _ => {
                            let (mut parts, incoming) = response.into_parts();
                            headers::cleanse_answer(&mut parts.headers);
                            parts.version = Version::HTTP_11;
                            Response::from_parts(parts, Body::function(incoming, link, lease, record))
                        }
                    };
                    response.headers_mut().insert(headers::START, HeaderValue::from_static(start.as_str()));
                    if start == Start::Cold {
                        headers::tell_phases(response.headers_mut(), routed, waited, head);
                    }
                    if repeated {
                        response.headers_mut().insert(headers::ATTEMPT, SECOND);
                    }
                    return Ok(response);
                }
                Sent::Not(unsent, error) => {
                    tracing::warn!(pod = &*lease.endpoint().name, %error, "the pod cannot be reached; trying another");
                    let endpoint = Arc::clone(lease.endpoint());
                    drop(lease);
                    served.eject(&endpoint.uid);
                    served.suspect(&endpoint);
                    request = *unsent;
                }
                Sent::Broken(error) => {
                    if let Some(refusal) = through.fault(most) {
                        return Err(refusal);
                    }
                    if error.is_parse() {
                        served.garbage(lease.endpoint());
                    } else if !error.is_user() {
                        served.suspect(lease.endpoint());
                    }
                    if let Some(mut parts) = second.take() {
                        tracing::warn!(pod = &*lease.endpoint().name, %error, "no answer from the pod; trying another");
                        let uid = lease.endpoint().uid.clone();
                        drop(lease);
                        served.eject(&uid);
                        self.shared.metrics.retried.inc();
                        now.repeated = true;
                        parts.headers.insert(headers::ATTEMPT, SECOND);
                        request = Request::from_parts(parts, RequestBody::Empty);
                        continue;
                    }
                    if error.is_parse() {
                        return Err(Refusal::new(
                            StatusCode::BAD_GATEWAY,
                            "BadAnswer",
                            format!("what pod {} answered is not HTTP: {error}", lease.endpoint().name),
                        )
                        .by(Component::Runtime)
                        .executed(Executed::Unknown));
                    }
                    return Err(Refusal::new(
                        StatusCode::BAD_GATEWAY,
                        "ConnectionLost",
                        format!("the connection to pod {} broke before it answered: {error}", lease.endpoint().name),
                    )
                    .by(Component::Function)
                    .executed(Executed::Unknown));
                }
                Sent::Late => {
                    if !through.is_done() {
                        return Err(Refusal::new(
                            StatusCode::REQUEST_TIMEOUT,
                            "RequestTimeout",
                            format!(
                                "the request's body had not come within the function's {} s (timeoutSeconds)",
                                timeout.as_secs()
                            ),
                        )
                        .executed(Executed::Unknown));
                    }
                    served.suspect(lease.endpoint());
                    return Err(Refusal::new(
                        StatusCode::GATEWAY_TIMEOUT,
                        "Timeout",
                        format!("no answer began within the function's {} s (timeoutSeconds)", timeout.as_secs()),
                    )
                    .by(Component::Function)
                    .executed(Executed::Unknown));
                }
            }
        }
        Err(Refusal::unavailable("PodUnreachable", format!("{TRIES} pods, one after the other, could not be reached")))
    }

    fn target(&self, client: &Client, parts: &mut Parts) -> Result<Target, Refusal> {
        if client.entry == Entry::Functions && headers::is_forwarded(&parts.headers) {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "Forwarded",
                "functions are called by name from inside the cluster only: requests that were forwarded go to muon-gateway",
            ));
        }
        settle_host(parts)?;
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let table = self.table.load();
        let found = target::find(&table, client.entry, host, parts.method.as_str(), parts.uri.path_and_query());
        match found {
            Err(refusal) if refusal.status() == StatusCode::NOT_FOUND && self.complete.get().is_none() => {
                Err(Refusal::unavailable("NotReady", "this proxy has not read all routes yet"))
            }
            found => found,
        }
    }

    fn observe_cold(&self, record: &Record) {
        if record.start == Start::Cold {
            let metrics = &self.shared.metrics;
            metrics.cold_route.observe(record.routed.as_secs_f64());
            let after = record.head.saturating_sub(record.routed + record.waited);
            metrics.cold_first_byte.observe(after.as_secs_f64());
        }
    }
}

fn internal() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal", "the record of the request was gone")
}

/// One host, in `Host`, and a target that is a path: what the request line says in full goes before the header.
fn settle_host(parts: &mut Parts) -> Result<(), Refusal> {
    let bad = |message: &str| Err(Refusal::new(StatusCode::BAD_REQUEST, "BadHost", message));
    if let Some(authority) = parts.uri.authority() {
        let Ok(host) = HeaderValue::from_str(authority.as_str()) else { return bad("the host is not readable") };
        parts.headers.insert(HOST, host);
        let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        parts.uri = Uri::from(path);
    }
    match parts.headers.get_all(HOST).iter().count() {
        1 => Ok(()),
        0 if parts.version < Version::HTTP_11 => {
            parts.headers.insert(HOST, HeaderValue::from_static(""));
            Ok(())
        }
        0 => bad("the request has no Host header"),
        _ => bad("the request has more than one Host header"),
    }
}

/// Makes the client's head the one that the pod sees.
fn prepare(
    parts: &mut Parts,
    client: &Client,
    target: Target,
    served: &Served,
    record: &Record,
    change: Option<&Change>,
) {
    let headers = &mut parts.headers;
    headers::cleanse(headers);
    if client.entry != Entry::Functions {
        client.origin.add(headers);
    }
    if let Some(change) = change {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, change.protocol.clone());
    }
    headers.insert(headers::REQUEST_ID, record.id.clone());
    record.trace.put(headers);
    headers.insert(headers::FUNCTION, served.name_header.clone());
    headers.insert(headers::NAMESPACE, served.namespace_header.clone());
    for (name, value) in target.params {
        headers.insert(name, value);
    }
    parts.version = Version::HTTP_11;
}

/// A place in a pod, now or before the deadline.
async fn place(served: &Arc<Served>, record: &mut Record, deadline: Instant) -> Result<Lease, Refusal> {
    let (mut waiting, start) = match served.admit(&record.trace) {
        Admission::Place(lease) => {
            if record.start == Start::None {
                record.start = Start::Warm;
            }
            return Ok(lease);
        }
        Admission::Refused(refusal) => return Err(refusal),
        Admission::Wait(waiting, start) => (waiting, start),
    };
    let since = Instant::now();
    let place = tokio::time::timeout_at(deadline, &mut waiting.place).await;
    record.waited += since.elapsed();
    let start = match (start, &place) {
        (Start::None, Ok(Ok(Ok(lease)))) if lease.endpoint().was_up() => Start::Warm,
        (Start::None, _) => Start::Cold,
        (known, _) => known,
    };
    if record.start != Start::Cold {
        record.start = start;
    }
    match place {
        Ok(Ok(place)) => place,
        Ok(Err(_)) => Err(Refusal::unavailable("FunctionDeleted", "the Function was deleted while the request waited")),
        Err(_) => Err(served.overdue(since.elapsed())),
    }
}

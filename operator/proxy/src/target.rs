//! Which function a request is for: the first step, in memory alone.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode};
use muon_crds::words::{FUNCTIONS_SERVICE, GATEWAY_SERVICE};
use muon_routes::{Function, Listener, Match, Methods, Outcome, Table, Unserved, host_name};

use crate::answer::Refusal;
use crate::headers;
use crate::metrics::Entry;
use crate::random;

/// Where a request goes, and the headers that its path's parameters become.
pub(crate) struct Target {
    pub(crate) function: Arc<Function>,
    pub(crate) params: Vec<(HeaderName, HeaderValue)>,
    /// The trigger lets it be sent twice.
    pub(crate) retries: bool,
}

/// Finds it.
pub(crate) fn find(
    table: &Table,
    entry: Entry,
    host: &str,
    method: &str,
    path: Option<&PathAndQuery>,
) -> Result<Target, Refusal> {
    let path = path.map_or("", PathAndQuery::path);
    muon_routes::check_path(path).map_err(|bad| {
        Refusal::new(StatusCode::BAD_REQUEST, "BadPath", format!("{bad}: it is refused, not cleaned up"))
    })?;
    let listener = match entry {
        Entry::Functions => return by_name(table, host),
        Entry::Ingress => Listener::Ingress,
        Entry::Gateway => Listener::Gateway,
    };
    match table.route(listener, host, method, path) {
        Outcome::Found(found) => by_route(table, &found, method),
        Outcome::MethodNotAllowed(methods) => {
            let message = format!("{path} answers {methods}, not {method}");
            Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).allow(methods.to_string()))
        }
        Outcome::NotFound => Err(not_found(format!("no HTTPTrigger of host {host:?} has the path {path:?}"))),
        Outcome::UnknownHost => Err(not_found(match entry {
            Entry::Gateway => format!(
                "no HTTPTrigger has the host {host:?}: inside the cluster call {GATEWAY_SERVICE}.<namespace> for the triggers of a \
                 namespace that name no host, or send the host that a trigger names"
            ),
            _ => format!("no HTTPTrigger with an ingress has the host {host:?} and the path {path:?}"),
        })),
    }
}

fn not_found(message: String) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "NoRoute", message)
}

fn by_route(table: &Table, found: &Match<'_, '_>, method: &str) -> Result<Target, Refusal> {
    let function = table.choose(found.route, random::number()).map_err(|unserved| {
        let trigger = &found.route.key;
        unserved_refusal(&unserved, format!("HTTPTrigger {trigger}: {unserved}"))
    })?;
    let params = headers::parameters(&found.route.params, &found.values);
    let retries = found.route.retries.meets(Methods::one(method));
    Ok(Target { function: Arc::clone(function), params, retries })
}

fn by_name(table: &Table, host: &str) -> Result<Target, Refusal> {
    let name = host_name(host);
    let Some(in_cluster) = table.cluster().parse(&name) else {
        let bare = if name.is_empty() || name.contains('.') { "hello" } else { &name };
        return Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "NameWithoutNamespace",
            format!("{host:?} does not say the namespace: use {bare}.<namespace>"),
        ));
    };
    match table.function(in_cluster.key) {
        Some(function) if function.serving.is_some() => {
            Ok(Target { function: Arc::clone(function), params: Vec::new(), retries: false })
        }
        Some(_) => Err(unserved_refusal(&Unserved::NotServing, format!("Function {host}: {}", Unserved::NotServing))),
        None => {
            let whose =
                if in_cluster.name == FUNCTIONS_SERVICE { " (this is the Service behind all of them)" } else { "" };
            Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "NoFunction",
                format!("there is no Function {} in namespace {}{whose}", in_cluster.name, in_cluster.namespace),
            ))
        }
    }
}

fn unserved_refusal(unserved: &Unserved, message: String) -> Refusal {
    let reason = match unserved {
        Unserved::Missing => "FunctionMissing",
        Unserved::NotServing => "FunctionNotReady",
        Unserved::NoWeight => "NoWeight",
    };
    Refusal::unavailable(reason, message)
}

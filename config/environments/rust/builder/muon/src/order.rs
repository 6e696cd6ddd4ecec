//! Loads of what is loaded: the launcher had the order before.

use crate::json;
use crate::request::Request;
use crate::response::Response;

pub(crate) fn error(status: u16, component: &str, reason: &str, message: &str, id: &str, executed: &str) -> Response {
    let fields =
        [("component", component), ("reason", reason), ("message", message), ("requestId", id), ("executed", executed)];
    Response::new(status).json(json::object(&fields))
}

/// Answers a load: 200 for the same again.
pub(crate) fn answer(request: &mut Request, is_loopback: bool, filepath: &str, entrypoint: &str) -> Response {
    let refuse = |status, reason, message: &str| error(status, "runtime", reason, message, "", "no");
    if !is_loopback {
        return refuse(403, "NotLoopback", "a load is taken from this pod only").header("Connection", "close");
    }
    let text = request.text().unwrap_or_default();
    let Some(fields) = json::texts(&text) else {
        return refuse(400, "OrderInvalid", "the body is not an order");
    };
    let is = |name: &str, value: &str| fields.iter().any(|(found, text)| found == name && text == value);
    if is("filepath", filepath) && is("functionName", entrypoint) {
        return Response::new(200).json("{\"loaded\":true,\"milliseconds\":0}");
    }
    refuse(400, "AlreadyLoaded", &format!("this pod is already loaded, with {entrypoint} of {filepath}"))
}

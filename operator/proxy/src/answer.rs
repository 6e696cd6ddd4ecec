//! Answers of our own: every one says who failed, why, and whether user code saw the request.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use muon_crds::wire::{Component, Executed, Failure};

use crate::body::Body;

/// A request that gets an answer of ours. Cheap to clone: one failed load may answer a thousand requests.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(Arc<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    status: StatusCode,
    component: Component,
    reason: &'static str,
    message: String,
    executed: Executed,
    retry_after: Option<Duration>,
    allow: Option<String>,
}

impl Refusal {
    /// Of the proxy's own, before any user code.
    pub(crate) fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            status,
            component: Component::Proxy,
            reason,
            message: message.into(),
            executed: Executed::No,
            retry_after: None,
            allow: None,
        }))
    }

    /// Not now, but perhaps soon.
    pub(crate) fn unavailable(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, message).retry_after(Duration::from_secs(1))
    }

    pub(crate) fn by(self, component: Component) -> Self {
        self.change(|inner| inner.component = component)
    }

    pub(crate) fn executed(self, executed: Executed) -> Self {
        self.change(|inner| inner.executed = executed)
    }

    pub(crate) fn retry_after(self, after: Duration) -> Self {
        self.change(|inner| inner.retry_after = Some(after))
    }

    pub(crate) fn allow(self, methods: String) -> Self {
        self.change(|inner| inner.allow = Some(methods))
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    pub(crate) fn component(&self) -> Component {
        self.0.component
    }

    pub(crate) fn reason(&self) -> &'static str {
        self.0.reason
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(crate) fn failure(&self, request_id: Option<&str>) -> Failure {
        Failure {
            component: self.0.component,
            reason: self.0.reason.to_owned(),
            message: self.0.message.clone(),
            request_id: request_id.map(str::to_owned),
            executed: self.0.executed,
        }
    }

    pub(crate) fn response(&self, request_id: Option<&str>) -> Response<Body> {
        // Strings and words only: serialising cannot fail.
        let mut json = serde_json::to_vec(&self.failure(request_id)).unwrap_or_default();
        json.push(b'\n');
        let mut response = Response::new(Body::full(json));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(after) = self.0.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if let Some(allow) = self.0.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            headers.insert(ALLOW, allow);
        }
        response
    }
}

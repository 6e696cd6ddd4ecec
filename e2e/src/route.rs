//! A route as a client outside the cluster meets it: through the Ingress controller.

use std::time::Duration;

use http::Method;
use muon_crds::wire::Failure;
use muon_crds::words::header;
use reqwest::header::HeaderMap;

/// Longer than any cold start; shorter than a test.
const DEADLINE: Duration = Duration::from_secs(60);

/// One host behind the Ingress controller.
#[derive(Clone)]
pub struct Route {
    http: reqwest::Client,
    base: String,
    /// The `Host` that requests carry.
    pub host: String,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status code.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Route {
    /// A host behind the Ingress controller at `base`, with connections of its own.
    pub fn new(base: &str, host: &str) -> Self {
        let http = reqwest::Client::builder().timeout(DEADLINE).no_proxy().build().expect("a plain client");
        Self { http, base: base.to_owned(), host: host.to_owned() }
    }

    /// Where its requests go.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request to be filled in and sent.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).header("host", &self.host)
    }

    /// Sends a GET, which must be answered.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends a POST, which must be answered.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        self.send(self.request(Method::POST, path).body(body)).await
    }

    /// Sends a request, which must be answered.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        self.try_send(request).await.unwrap_or_else(|error| panic!("{} did not answer: {error}", self.host))
    }

    /// Sends a request and reads the whole answer.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> Result<Reply, String> {
        let reply = request.send().await.map_err(|error| format!("{error:?}"))?;
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let body = reply.bytes().await.map_err(|error| format!("{error:?}"))?.to_vec();
        Ok(Reply { status, headers, body })
    }
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The error of ours in the body.
    pub fn failure(&self) -> Failure {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// Gives the text of a good answer; panics over any other.
    pub fn ok(&self) -> String {
        assert_eq!(self.status, 200, "{self}");
        self.text()
    }

    /// `cold` or `warm`.
    pub fn start(&self) -> &str {
        self.header(header::START)
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}\n{}", self.status, self.headers, self.text())
    }
}

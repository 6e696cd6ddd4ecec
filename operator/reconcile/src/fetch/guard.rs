//! Where sources may be fetched from. A Package's URL is a user's, and the network that the operator stands in is not:
//! whatever is fetched for a Package, in whichever protocol, goes through a [`Session`], and so no connection is made to
//! an address that the installation did not mean.
//!
//! - A URL's scheme and host are compared with what the installation allows.
//! - A name is resolved once for a whole fetch, by us; if one of its addresses is inside, nothing is dialled. So a name
//!   that says something else a moment later changes nothing.
//! - A redirect stays on the scheme, host and port where it began, unless the installation names the host that it leads to.
//! - No proxy of the environment (one that the installation names: see [`Forward`]), no cookies, no decompression; bodies and
//!   time are bounded by whoever reads.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{RequestBuilder, Response, StatusCode, Url};

use super::FetchError;
use super::address::{Place, place};
use super::forward::Forward;
use crate::store_client::beginning;

/// Redirects are followed this often.
const MAX_REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);

/// What an installation allows its users to fetch from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Schemes of URLs.
    pub schemes: Vec<String>,
    /// Hosts: `name`, `name:port` or `*.domain`. Empty: all.
    pub hosts: Vec<String>,
    /// Hosts that may lie inside the cluster's network, likewise. A name among them still leads to no loopback or link-local
    /// address and not to the API server; an address among them is meant.
    pub internal: Vec<String>,
    /// Hosts that a redirect may lead to from elsewhere; credentials do not go with it.
    pub redirects: Vec<String>,
    /// Hosts whose registries speak plain HTTP.
    pub plain: Vec<String>,
    /// Through whom hosts are asked that are not inside; none: directly.
    pub forward: Option<Forward>,
    /// Addresses of the API server.
    pub api_server: Vec<IpAddr>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            schemes: vec!["https".to_owned(), "http".to_owned()],
            hosts: Vec::new(),
            internal: Vec::new(),
            redirects: Vec::new(),
            plain: Vec::new(),
            forward: None,
            api_server: Vec::new(),
        }
    }
}

/// Whether a pattern means this host and port.
fn is_meant(pattern: &str, host: &str, port: u16) -> bool {
    let (name, only) = match pattern.rsplit_once(':').map(|(name, only)| (name, only.parse::<u16>())) {
        // An IPv6 address has colons of its own and is written in brackets.
        Some((name, Ok(only))) if !name.contains(':') || name.ends_with(']') => (name, Some(only)),
        _ => (pattern, None),
    };
    is_named(name, host) && only.is_none_or(|only| only == port)
}

pub(super) fn is_named(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(domain) => {
            let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
            host.strip_suffix(&domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        }
        None => name.eq_ignore_ascii_case(host),
    }
}

/// The host of a pattern, without its port.
pub(super) fn host_of(pattern: &str) -> &str {
    match pattern.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() && (!name.contains(':') || name.ends_with(']')) => name,
        _ => pattern,
    }
}

impl Rules {
    /// A URL that may be asked, as far as it shows without a look at the network.
    pub fn url(&self, text: &str) -> Result<Url, FetchError> {
        let bad = || FetchError::Url(text.chars().take(200).collect());
        let url = Url::parse(text).map_err(|_| bad())?;
        if !matches!(url.scheme(), "http" | "https")
            || url.host_str().is_none()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(bad());
        }
        self.admit(&url)?;
        Ok(url)
    }

    fn admit(&self, url: &Url) -> Result<(), FetchError> {
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
        if !self.schemes.iter().any(|scheme| scheme == url.scheme()) {
            return Err(FetchError::Scheme { scheme: url.scheme().to_owned(), allowed: self.schemes.join(", ") });
        }
        let listed = |patterns: &[String]| patterns.iter().any(|pattern| is_meant(pattern, host, port));
        let internal = listed(&self.internal);
        let named_inside = self.internal.iter().any(|pattern| is_named(host_of(pattern), host));
        if (!self.hosts.is_empty() && !listed(&self.hosts) && !internal) || (named_inside && !internal) {
            return Err(FetchError::Host { host: host.to_owned(), port });
        }
        // An address is never resolved, so it is looked at here; names are, when they are resolved.
        match literal(host) {
            Some(address) if !internal => self.outside(host, address),
            _ => Ok(()),
        }
    }

    fn outside(&self, host: &str, address: IpAddr) -> Result<(), FetchError> {
        let is_outside = place(address) == Place::Outside && !self.api_server.contains(&address);
        is_outside.then_some(()).ok_or_else(|| FetchError::Address { host: host.to_owned(), address })
    }

    /// Whether a name may lead to these addresses. One of them inside is enough to refuse: which one would be dialled is
    /// not ours to say.
    fn lead(&self, host: &str, addresses: &[IpAddr]) -> Result<(), FetchError> {
        let internal = self.internal.iter().any(|pattern| is_named(host_of(pattern), host));
        for &address in addresses {
            let fine = internal && place(address) == Place::Inside && !self.api_server.contains(&address);
            if !fine {
                self.outside(host, address)?;
            }
        }
        Ok(())
    }

    /// `http` for registries that speak it, `https` for all others.
    pub fn scheme_of(&self, host: &str, port: u16) -> &'static str {
        if self.plain.iter().any(|pattern| is_meant(pattern, host, port)) { "http" } else { "https" }
    }

    /// The proxy that this URL is asked of: what may lie inside is asked directly.
    fn forward_of(&self, url: &Url) -> Option<Url> {
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        let is_internal = self.internal.iter().any(|pattern| is_meant(pattern, host, port));
        self.forward.as_ref().filter(|_| !is_internal).map(|forward| forward.url().clone())
    }

    /// Whether a redirect may be followed.
    fn follows(&self, first: &Url, last: &Url, next: &Url) -> Result<(), FetchError> {
        let origin =
            |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
        let (host, port) = (next.host_str().unwrap_or_default(), next.port_or_known_default().unwrap_or_default());
        let weaker = last.scheme() == "https" && next.scheme() != "https";
        let named = self.redirects.iter().any(|pattern| is_meant(pattern, host, port));
        if origin(first) != origin(next) && (weaker || !named) {
            return Err(FetchError::Redirect {
                from: first.host_str().unwrap_or_default().to_owned(),
                to: host.to_owned(),
            });
        }
        if named { self.clone().allowing(host, port).admit(next) } else { self.admit(next) }
    }

    /// A host that redirects may lead to need not be one that users may name.
    fn allowing(mut self, host: &str, port: u16) -> Self {
        if !self.hosts.is_empty() {
            self.hosts.push(format!("{host}:{port}"));
        }
        self
    }
}

/// The address that a URL's host is written as.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

type Looking = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// Asks the network's name servers, or, in tests, something else.
#[derive(Clone)]
pub struct Lookup(Arc<dyn Fn(String) -> Looking + Send + Sync>);

impl Default for Lookup {
    fn default() -> Self {
        Self::by(|name| async move {
            Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.map(|address| address.ip()).collect())
        })
    }
}

impl Lookup {
    /// A way of one's own to look a name up.
    pub fn by<F>(look: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = std::io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        Self(Arc::new(move |name| Box::pin(look(name))))
    }
}

/// Resolves each name once, and gives out only addresses that sources may come from.
struct Pinned {
    rules: Arc<Rules>,
    lookup: Lookup,
    known: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
}

impl Resolve for Pinned {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, lookup, known) = (Arc::clone(&self.rules), self.lookup.clone(), Arc::clone(&self.known));
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let held = known.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
            let addresses = match held {
                Some(addresses) => addresses,
                None => lookup.0(name.clone()).await?,
            };
            if !rules.forward.as_ref().is_some_and(|forward| forward.is_at(&name)) {
                rules.lead(&name, &addresses).map_err(Refusal)?;
            }
            known.lock().unwrap_or_else(PoisonError::into_inner).insert(name, addresses.clone());
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// Our own no, on its way through the HTTP client.
#[derive(thiserror::Error, Debug)]
#[error("{0}")]
struct Refusal(FetchError);

/// Everything that one fetch asks the network.
pub struct Session {
    client: reqwest::Client,
    rules: Arc<Rules>,
}

impl Session {
    /// A new one: names are resolved anew.
    pub fn new(rules: &Arc<Rules>, lookup: &Lookup) -> Result<Self, FetchError> {
        let (pinned, rules) = (Arc::clone(rules), Arc::clone(rules));
        let policy = reqwest::redirect::Policy::custom({
            let rules = Arc::clone(&rules);
            move |attempt| {
                let previous = attempt.previous();
                let (Some(first), Some(last)) = (previous.first(), previous.last()) else { return attempt.stop() };
                if previous.len() > MAX_REDIRECTS {
                    return attempt.error("one redirect too many");
                }
                match rules.follows(first, last, attempt.url()) {
                    Ok(()) => attempt.follow(),
                    Err(refused) => attempt.error(Refusal(refused)),
                }
            }
        });
        let resolver = Pinned { rules: pinned, lookup: lookup.clone(), known: Arc::default() };
        let mut builder = reqwest::Client::builder().no_proxy();
        if rules.forward.is_some() {
            let rules = Arc::clone(&rules);
            builder = builder.proxy(reqwest::Proxy::custom(move |url| rules.forward_of(url)));
        }
        let client = builder
            .redirect(policy)
            .connect_timeout(CONNECT)
            .referer(false)
            .dns_resolver(Arc::new(resolver))
            .build()
            .map_err(|error| refusal("the network", &error))?;
        Ok(Self { client, rules })
    }

    /// What is allowed.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// A request to a URL that was [admitted](Rules::url).
    pub fn get(&self, url: &Url) -> RequestBuilder {
        self.client.get(url.clone())
    }

    /// The same with a body.
    pub fn post(&self, url: &Url, body: Vec<u8>) -> RequestBuilder {
        self.client.post(url.clone()).body(body)
    }

    /// Sends it.
    pub async fn send(&self, url: &Url, request: RequestBuilder) -> Result<Response, FetchError> {
        self.rules.admit(url)?;
        request.send().await.map_err(|error| refusal(url.host_str().unwrap_or_default(), &error))
    }

    /// Sends it; anything but 200 is an error.
    pub async fn ask(&self, url: &Url, request: RequestBuilder) -> Result<Response, FetchError> {
        let reply = self.send(url, request).await?;
        match reply.status() {
            StatusCode::OK => Ok(reply),
            _ => Err(unexpected(reply).await),
        }
    }
}

/// An answer that is not the one hoped for.
pub async fn unexpected(reply: Response) -> FetchError {
    let host = reply.url().host_str().unwrap_or_default().to_owned();
    FetchError::Status { host, status: reply.status().as_u16(), body: beginning(reply).await }
}

/// A body of at most so many bytes.
pub async fn body(mut reply: Response, max: u64) -> Result<Bytes, FetchError> {
    if reply.content_length().is_some_and(|length| length > max) {
        return Err(FetchError::TooLarge { max });
    }
    let host = reply.url().host_str().unwrap_or_default().to_owned();
    let mut body = BytesMut::new();
    while let Some(chunk) = reply.chunk().await.map_err(|error| refusal(&host, &error))? {
        if (body.len() + chunk.len()) as u64 > max {
            return Err(FetchError::TooLarge { max });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Finds our own refusal in what the client says.
fn refusal(host: &str, error: &reqwest::Error) -> FetchError {
    let mut message = String::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(Refusal(refused)) = error.downcast_ref::<Refusal>() {
            return refused.clone();
        }
        message = error.to_string();
        next = error.source();
    }
    FetchError::Connection { host: host.to_owned(), message }
}

#[cfg(test)]
mod tests;

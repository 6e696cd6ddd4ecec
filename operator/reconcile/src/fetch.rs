//! Fetching an archive by its URL. The URL is a user's, so it decides nothing but where on the open network we
//! ask: the address is checked after the name was resolved and before anything is sent, redirects stay on the same
//! host, and size, time and digest are bounds.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use sha2::{Digest as _, Sha256};

use crate::store_client::beginning;

/// Redirects are followed this often, on the same host.
const MAX_REDIRECTS: usize = 5;

/// Bounds of a fetch.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Bytes at most.
    pub max_bytes: u64,
    /// The whole fetch takes at most this.
    pub deadline: Duration,
    /// Hosts that may lie at an address that is refused otherwise (names or addresses, as in the URL).
    pub allowed_hosts: Vec<String>,
}

/// Why an archive was not fetched.
#[derive(thiserror::Error, Debug)]
pub enum FetchError {
    /// Not an `http://` or `https://` URL with a host.
    #[error("{0} is not an http:// or https:// URL with a host")]
    Url(String),
    /// The host lies where no package comes from.
    #[error(
        "{host} is at {address}, an address inside the node or the cluster: packages are not fetched from there unless the operator's --archive-hosts names the host"
    )]
    Address {
        /// Host of the URL.
        host: String,
        /// What it was resolved to.
        address: IpAddr,
    },
    /// No connection, no name, no answer in time.
    #[error("cannot fetch from {host}: {message}")]
    Connection {
        /// Host of the URL.
        host: String,
        /// What the HTTP client said.
        message: String,
    },
    /// Anything but 200.
    #[error("{host} answered {status}: {body}")]
    Status {
        /// Host of the URL.
        host: String,
        /// Its status code.
        status: u16,
        /// The beginning of its body.
        body: String,
    },
    /// More than the bound.
    #[error("the archive is larger than {max} bytes, the installation's bound")]
    TooLarge {
        /// The bound.
        max: u64,
    },
    /// Not what was asked for.
    #[error("the archive hashes to {found}, not to {expected}: the content behind the URL has changed")]
    Digest {
        /// What the Package says.
        expected: String,
        /// What came.
        found: String,
    },
    /// It took longer than the bound.
    #[error("the archive did not come within {} s", .0.as_secs())]
    Deadline(Duration),
}

impl FetchError {
    /// Whether trying again without a change of the Package can help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Deadline(_) => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429 || *status == 404,
            Self::Url(_) | Self::Address { .. } | Self::TooLarge { .. } | Self::Digest { .. } => false,
        }
    }
}

/// Fetches what `url` names; what comes back hashes to `digest`.
pub async fn fetch(url: &str, digest: &str, bounds: &Bounds) -> Result<Bytes, FetchError> {
    match tokio::time::timeout(bounds.deadline, fetch_unbounded(url, digest, bounds)).await {
        Ok(result) => result,
        Err(_) => Err(FetchError::Deadline(bounds.deadline)),
    }
}

async fn fetch_unbounded(url: &str, digest: &str, bounds: &Bounds) -> Result<Bytes, FetchError> {
    let bad_url = || FetchError::Url(url.to_owned());
    let parsed = Url::parse(url).map_err(|_| bad_url())?;
    let host = parsed.host_str().ok_or_else(bad_url)?.to_owned();
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(bad_url());
    }
    // A literal address is never resolved, so it is checked here; names are checked by the resolver.
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let allowed = bounds.allowed_hosts.iter().any(|name| name.eq_ignore_ascii_case(&host));
    if let Some(address) = literal.filter(|address| !allowed && !is_outside(*address)) {
        return Err(FetchError::Address { host, address });
    }

    let connection = |error: reqwest::Error| refusal(&host, &error);
    let client = client(&host, allowed).map_err(connection)?;
    let mut reply = client.get(parsed).send().await.map_err(connection)?;
    if reply.status() != reqwest::StatusCode::OK {
        let status = reply.status().as_u16();
        return Err(FetchError::Status { host: host.clone(), status, body: beginning(reply).await });
    }
    if reply.content_length().is_some_and(|length| length > bounds.max_bytes) {
        return Err(FetchError::TooLarge { max: bounds.max_bytes });
    }
    let mut hash = Sha256::new();
    let mut archive = BytesMut::new();
    while let Some(chunk) = reply.chunk().await.map_err(connection)? {
        if (archive.len() + chunk.len()) as u64 > bounds.max_bytes {
            return Err(FetchError::TooLarge { max: bounds.max_bytes });
        }
        hash.update(&chunk);
        archive.extend_from_slice(&chunk);
    }
    let found = format!("sha256:{}", hex::encode(hash.finalize()));
    match found == digest {
        true => Ok(archive.freeze()),
        false => Err(FetchError::Digest { expected: digest.to_owned(), found }),
    }
}

/// A client for one host: no proxy of the environment, no cookies, no decompression, redirects to the same host only.
fn client(host: &str, allowed: bool) -> reqwest::Result<reqwest::Client> {
    let host = host.to_owned();
    let same_host = reqwest::redirect::Policy::custom(move |attempt| {
        let stays = attempt.url().host_str() == Some(host.as_str());
        match stays && attempt.previous().len() <= MAX_REDIRECTS {
            true => attempt.follow(),
            false => attempt.error("a redirect to another host, or one too many"),
        }
    });
    reqwest::Client::builder()
        .no_proxy()
        .redirect(same_host)
        .connect_timeout(Duration::from_secs(10))
        .pool_max_idle_per_host(0)
        .dns_resolver(Arc::new(Guard { allowed }))
        .build()
}

/// Resolves names, and gives out only addresses that packages may come from.
struct Guard {
    allowed: bool,
}

/// Said by [`Guard`] through the HTTP client.
#[derive(thiserror::Error, Debug)]
#[error("{host} is at {address}")]
struct Inside {
    host: String,
    address: IpAddr,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.allowed;
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            match addresses.iter().find(|address| !allowed && !is_outside(address.ip())) {
                // One address inside is enough to refuse: which one would be dialled is not ours to say.
                Some(inside) => Err(Inside { host: name.as_str().to_owned(), address: inside.ip() }.into()),
                None => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}

/// Finds the guard's refusal in what the client says.
fn refusal(host: &str, error: &reqwest::Error) -> FetchError {
    let mut message = String::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(inside) = error.downcast_ref::<Inside>() {
            return FetchError::Address { host: inside.host.clone(), address: inside.address };
        }
        message = error.to_string();
        next = error.source();
    }
    FetchError::Connection { host: host.to_owned(), message }
}

/// Whether an address is on the open network: not the node, not the link, not a private network (the cluster's pods,
/// Services, API server and the cloud's metadata are all there), nothing reserved.
pub fn is_outside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (b & 0xc0) == 64;
            let benchmarking = a == 198 && (b & 0xfe) == 18;
            !(v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
                || shared
                || benchmarking
                || a == 0
                || a >= 240)
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4() {
                return is_outside(IpAddr::V4(v4));
            }
            // Global unicast, less the translations (6to4, NAT64) that lead to an IPv4 address we would have to
            // read out, and documentation.
            let [first, second, ..] = v6.segments();
            (first & 0xe000) == 0x2000 && first != 0x2002 && !(first == 0x2001 && (second == 0xdb8 || second == 0))
        }
    }
}

#[cfg(test)]
mod tests;

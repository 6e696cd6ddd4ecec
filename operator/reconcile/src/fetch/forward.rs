//! The forward proxy that sources are fetched through, where the operator reaches nothing outside by itself.
//!
//! Behind one, it is the proxy that resolves names, and so it, not we, decides which address is dialled. What remains ours is
//! which names may be asked: all of them have to be listed, one by one, and whoever lists a name trusts it. Hosts inside the
//! cluster's network are asked directly, as ever, and guarded as ever.

use reqwest::Url;

use super::Rules;
use super::guard::{host_of, is_named};

/// A forward proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward(Url);

/// Why there can be no forward proxy, as things are set.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
pub enum ForwardError {
    /// Not the URL of a proxy.
    #[error("--source-proxy {0} is not of the form http://host:port (without a user or a path in it)")]
    Url(String),
    /// Every host would be asked.
    #[error(
        "--source-proxy needs --source-hosts: behind a proxy nobody sees which address a name leads to, so the names have to be listed"
    )]
    NoHosts,
    /// Names that somebody else makes up.
    #[error(
        "--source-proxy cannot go with {0} in --source-hosts or --redirect-hosts: behind a proxy every name has to be listed by itself"
    )]
    Pattern(String),
    /// The proxy itself would be asked as a server.
    #[error(
        "--source-proxy {0} is named in --source-hosts, --redirect-hosts or --internal-hosts: nothing is fetched from the proxy itself"
    )]
    Listed(String),
}

impl Forward {
    /// The proxy at this URL, with rules that are strict enough for one.
    pub fn new(url: &str, rules: &Rules) -> Result<Self, ForwardError> {
        let bad = || ForwardError::Url(url.chars().take(200).collect());
        let parsed = Url::parse(url).map_err(|_| bad())?;
        let plain = parsed.username().is_empty()
            && parsed.password().is_none()
            && matches!(parsed.path(), "" | "/")
            && parsed.query().is_none()
            && parsed.fragment().is_none();
        let host = parsed.host_str().ok_or_else(bad)?;
        if parsed.scheme() != "http" || !plain {
            return Err(bad());
        }
        if rules.hosts.is_empty() {
            return Err(ForwardError::NoHosts);
        }
        let outside = || rules.hosts.iter().chain(&rules.redirects);
        if let Some(pattern) = outside().find(|pattern| pattern.starts_with("*.")) {
            return Err(ForwardError::Pattern(pattern.clone()));
        }
        if outside().chain(&rules.internal).any(|pattern| is_named(host_of(pattern), host)) {
            return Err(ForwardError::Listed(host.to_owned()));
        }
        Ok(Self(parsed))
    }

    /// Where it listens.
    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// Whether this name is the proxy's own: the installation says where it is, and it may well be inside.
    pub(super) fn is_at(&self, name: &str) -> bool {
        self.0.host_str().is_some_and(|host| host.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests;

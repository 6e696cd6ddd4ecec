//! Host names: as clients write them, and as the cluster's DNS names what is in it.

use std::borrow::Cow;

/// The host of a `Host` header: without port and final dot, in lower case.
pub fn host_name(host: &str) -> Cow<'_, str> {
    let end = match host.strip_prefix('[') {
        // An IPv6 literal; its port follows the bracket.
        Some(_) => host.find(']').map_or(host.len(), |end| end + 1),
        None => host.find(':').unwrap_or(host.len()),
    };
    let name = host.get(..end).unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

/// The suffix of the cluster's names, `cluster.local` unless the cluster says otherwise.
#[derive(Clone, Debug)]
pub struct ClusterName(Box<str>);

/// `name.namespace[.svc[.<domain>]]`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InCluster<'a> {
    /// `name.namespace`.
    pub key: &'a str,
    /// `name`.
    pub name: &'a str,
    /// `namespace`.
    pub namespace: &'a str,
}

impl ClusterName {
    /// With the cluster's domain.
    pub fn new(domain: &str) -> Self {
        Self(domain.trim_matches('.').to_ascii_lowercase().into())
    }

    /// Reads a host (as [`host_name`] gives it) as a name of the cluster's DNS.
    pub fn parse<'a>(&self, host: &'a str) -> Option<InCluster<'a>> {
        let (name, rest) = host.split_once('.')?;
        let (namespace, suffix) = match rest.split_once('.') {
            Some((namespace, suffix)) => (namespace, Some(suffix)),
            None => (rest, None),
        };
        let ours = match suffix {
            None | Some("svc") => true,
            Some(suffix) => suffix.strip_prefix("svc.").is_some_and(|domain| *domain == *self.0),
        };
        let key = host.get(..name.len() + 1 + namespace.len())?;
        (ours && !name.is_empty() && !namespace.is_empty()).then_some(InCluster { key, name, namespace })
    }
}

impl Default for ClusterName {
    fn default() -> Self {
        Self::new("cluster.local")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_port_final_dot_and_case() {
        for (host, expected) in [
            ("a.example", "a.example"),
            ("A.Example:80", "a.example"),
            ("a.example.", "a.example"),
            ("a.example.:8080", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1", "[::1"),
            ("", ""),
        ] {
            assert_eq!(host_name(host), expected);
        }
    }

    #[test]
    fn names_of_the_cluster_are_taken_apart() {
        let cluster = ClusterName::default();
        for host in ["hello.demo", "hello.demo.svc", "hello.demo.svc.cluster.local"] {
            let expected = InCluster { key: "hello.demo", name: "hello", namespace: "demo" };
            assert_eq!(cluster.parse(host), Some(expected), "{host}");
        }
        for host in ["hello", "hello.demo.example", "hello.demo.svc.example", ".demo", "hello.", "", "hello.demo.svc."]
        {
            assert_eq!(cluster.parse(host), None, "{host}");
        }
    }
}

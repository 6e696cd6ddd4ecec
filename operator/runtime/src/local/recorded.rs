//! Pure: a project's recorded requests, and what their replies should be.
//!
//! Two forms of files hold them, and both come to [`Step`]s: `.http`, which editors can send, with the expectations in
//! comments; and YAML, the form of the samples' checks.

pub(crate) mod expect;
pub(crate) mod http_file;
pub(crate) mod junit;
pub(crate) mod yaml_file;

use expect::Expect;

/// One request, and what may come of it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What it shows.
    pub(crate) name: String,
    /// Where it begins.
    pub(crate) line: Option<usize>,
    pub(crate) request: Request,
    /// How often it is sent.
    pub(crate) repeat: u32,
    /// Every reply must fit one of them, and each of them must be met.
    pub(crate) expect: Vec<Expect>,
}

/// A request, to whatever serves the project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// `Host`, where the request names one.
    pub(crate) host: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// What is sent with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Body {
    #[default]
    None,
    Text(String),
    /// What this file holds, named from the file of the request.
    File(String),
}

/// A reply, as far as expectations go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A file that cannot be read.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
#[error("{}{message}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub(crate) struct Unreadable {
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

impl Unreadable {
    fn at(line: usize, message: impl Into<String>) -> Self {
        Self { line: Some(line), message: message.into() }
    }
}

/// Path and host of a target: a whole URL names its host, unless that is only this machine's.
fn target(text: &str) -> (String, Option<String>) {
    let Some((_, rest)) = text.split_once("://") else {
        return (if text.starts_with('/') { text.to_owned() } else { format!("/{text}") }, None);
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
    let local = matches!(name, "" | "localhost" | "127.0.0.1" | "[::1]");
    (path, (!local).then(|| authority.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_url_names_its_host() {
        for (text, path, host) in [
            ("/a?b=c", "/a?b=c", None),
            ("a", "/a", None),
            ("http://localhost:8080/a", "/a", None),
            ("http:///a", "/a", None),
            ("https://shop.example.com/a?b", "/a?b", Some("shop.example.com")),
            ("http://shop.localhost:8080", "/", Some("shop.localhost:8080")),
            ("http://shop.example.com?x=1", "/?x=1", Some("shop.example.com")),
        ] {
            assert_eq!(target(text), (path.to_owned(), host.map(str::to_owned)), "{text}");
        }
    }
}

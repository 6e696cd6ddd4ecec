//! The API server's audit log: who wrote what.

use std::path::PathBuf;

use serde::Deserialize;

/// A log of one JSON event a line.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
}

/// A place in the log; the default is its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark(u64);

/// One answered request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `create`, `patch` …
    pub verb: String,
    user: User,
    impersonated_user: Option<User>,
    #[serde(rename = "requestURI")]
    uri: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
    stage_timestamp: String,
}

#[derive(Clone, Debug, Deserialize)]
struct User {
    username: String,
}

/// What was written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    /// Plural of the kind.
    pub resource: String,
    /// Namespace, empty for objects of the cluster.
    pub namespace: String,
    /// Name, empty where the server made one.
    pub name: String,
    /// `status`, `scale` …
    pub subresource: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct ResponseStatus {
    code: u16,
}

impl Audit {
    /// Reads the log at this path.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The end of the log as it is now.
    pub fn mark(&self) -> Mark {
        Mark(std::fs::metadata(&self.path).map_or(0, |meta| meta.len()))
    }

    /// Everything after the mark that was written in full.
    pub fn since(&self, mark: Mark) -> Vec<Entry> {
        let text = std::fs::read(&self.path).unwrap_or_default();
        let start = usize::try_from(mark.0).unwrap_or(usize::MAX).min(text.len());
        text[start..]
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| line.ends_with(b"\n"))
            .map(|line| serde_json::from_slice(line).expect("an audit event"))
            .collect()
    }

    /// Successful changes since the mark by users whose name starts with `user`.
    pub fn writes_by(&self, user: &str, mark: Mark) -> Vec<Entry> {
        self.since(mark).into_iter().filter(|entry| entry.is_write() && entry.user().starts_with(user)).collect()
    }
}

impl Entry {
    /// When it was answered, by the clock of the API server.
    pub fn answered(&self) -> jiff::Timestamp {
        self.stage_timestamp.parse().expect("an RFC 3339 time")
    }

    /// Who asked; the impersonated user where there is one.
    pub fn user(&self) -> &str {
        &self.impersonated_user.as_ref().unwrap_or(&self.user).username
    }

    /// Whether it named this field manager.
    pub fn is_by_manager(&self, manager: &str) -> bool {
        let query = self.uri.split_once('?').map_or("", |(_, query)| query);
        query.split('&').any(|pair| pair == format!("fieldManager={}", manager.replace('/', "%2F")))
    }

    /// The object, as far as the request named it.
    pub fn object(&self) -> ObjectRef {
        self.object_ref.clone().unwrap_or_default()
    }

    /// Whether it asked for a change and the server agreed. Leases and Events are no state: they are left out.
    pub fn is_write(&self) -> bool {
        let asked = matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection");
        let kept = !matches!(self.object().resource.as_str(), "leases" | "events");
        asked && kept && self.response_status.is_some_and(|status| (200..300).contains(&status.code))
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ObjectRef { resource, namespace, name, subresource } = self.object();
        write!(f, "{} {resource}/{subresource} {namespace}/{name} by {}", self.verb, self.user())
    }
}

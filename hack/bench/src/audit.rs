//! API writes, as the API server's audit log tells them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::Error;

/// A place in the audit log from which writes are read.
pub(crate) struct Audit {
    path: PathBuf,
    offset: u64,
    begun: String,
}

/// One successful write.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// Who wrote.
    pub(crate) account: String,
    /// When the API server had answered it, RFC 3339 in UTC with microseconds: such texts compare as times do.
    pub(crate) done: String,
}

impl Write {
    /// Whether it is Muon's own, and not a controller's of Kubernetes.
    pub(crate) fn is_ours(&self) -> bool {
        self.account.starts_with("system:serviceaccount:muon-system:")
    }
}

impl Audit {
    /// Begins now.
    pub(crate) fn begin(path: &Path) -> Result<Self, Error> {
        Ok(Self { path: path.to_owned(), offset: std::fs::metadata(path)?.len(), begun: now() })
    }

    /// Successful writes that the API server received since the beginning, in the given namespace or in Muon's own.
    /// Events and Leases are not counted: they are never on a request's path. The log is written behind the answers: ask
    /// for something else first.
    pub(crate) fn writes(&self, namespace: &str) -> Result<Vec<Write>, Error> {
        let mut file = File::open(&self.path)?;
        // A log that has been turned over meanwhile begins anew.
        let begin = if file.metadata()?.len() < self.offset { 0 } else { self.offset };
        file.seek(SeekFrom::Start(begin))?;
        let mut found = Vec::new();
        for line in BufReader::new(file).lines() {
            // The last line may still be being written.
            let Ok(event) = serde_json::from_str::<serde_json::Value>(&line?) else { continue };
            let text = |pointer: &str| event.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default();
            let counts = text("/stage") == "ResponseComplete"
                && matches!(text("/verb"), "create" | "update" | "patch" | "delete" | "deletecollection")
                && [namespace, "muon-system"].contains(&text("/objectRef/namespace"))
                && !matches!(text("/objectRef/resource"), "events" | "leases")
                && event.pointer("/responseStatus/code").and_then(|code| code.as_u64()).is_some_and(|code| code < 300)
                && text("/requestReceivedTimestamp") >= self.begun.as_str();
            if counts {
                found.push(Write { account: text("/user/username").into(), done: text("/stageTimestamp").into() });
            }
        }
        Ok(found)
    }
}

/// The time now as the audit log writes it.
pub(crate) fn now() -> String {
    let now = k8s_openapi::jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    format!("{now:.6}")
}

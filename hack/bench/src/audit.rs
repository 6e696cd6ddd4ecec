//! API writes by Muon's accounts, as the API server's audit log tells them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A place in the audit log from which writes are counted.
pub(crate) struct Audit {
    path: PathBuf,
    offset: u64,
}

impl Audit {
    /// Begins to count now.
    pub(crate) fn begin(path: &Path) -> Result<Self, Error> {
        Ok(Self { path: path.to_owned(), offset: std::fs::metadata(path)?.len() })
    }

    /// Successful mutating requests of service accounts of muon-system whose reply was sent before `until`
    /// (RFC 3339 with microseconds, UTC, as the log writes it), by account. Events and Leases are not counted: they
    /// are never on a request's path.
    pub(crate) fn writes(&self, until: &str) -> Result<Vec<String>, Error> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut found = Vec::new();
        for line in BufReader::new(file).lines() {
            // The last line may still be being written.
            let Ok(event) = serde_json::from_str::<serde_json::Value>(&line?) else { continue };
            let text = |pointer: &str| event.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default();
            let account = text("/user/username");
            let counts = text("/stage") == "ResponseComplete"
                && matches!(text("/verb"), "create" | "update" | "patch" | "delete" | "deletecollection")
                && account.starts_with("system:serviceaccount:muon-system:")
                && !matches!(text("/objectRef/resource"), "events" | "leases")
                && event.pointer("/responseStatus/code").and_then(|code| code.as_u64()).is_some_and(|code| code < 300)
                && text("/stageTimestamp") <= until;
            if counts {
                found.push(format!("{account} {} {}", text("/verb"), text("/objectRef/resource")));
            }
        }
        Ok(found)
    }
}

/// The time now as the audit log writes it.
pub(crate) fn now() -> String {
    let now = k8s_openapi::jiff::Timestamp::try_from(std::time::SystemTime::now()).unwrap_or_default();
    format!("{now:.6}")
}

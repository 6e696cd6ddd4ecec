//! API writes, as the API server's audit log tells them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::error::Error;

/// How often the log is looked at, and for how long at most.
const LOOK: Duration = Duration::from_millis(50);
const QUIET_WITHIN: Duration = Duration::from_secs(60);

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
    /// The kind of object, and what of it.
    pub(crate) what: String,
}

impl Write {
    /// Who wrote what, in short.
    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.account.rsplit(':').next().unwrap_or_default(), self.what)
    }

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
                let parts = ["/verb", "/objectRef/resource", "/objectRef/subresource"].map(text);
                found.push(Write {
                    account: text("/user/username").into(),
                    done: text("/stageTimestamp").into(),
                    what: parts.join(" ").trim_end().to_owned(),
                });
            }
        }
        Ok(found)
    }

    /// Waits until nothing has been written there for so long.
    pub(crate) async fn quiet(path: &Path, namespace: &str, time: Duration) -> Result<(), Error> {
        let (audit, begun) = (Self::begin(path)?, Instant::now());
        let (mut written, mut since) = (0, begun);
        while since.elapsed() < time {
            tokio::time::sleep(LOOK).await;
            let found = audit.writes(namespace)?.len();
            if found != written {
                (written, since) = (found, Instant::now());
            }
            if begun.elapsed() > QUIET_WITHIN {
                let state = format!("{written} writes until now");
                return Err(Error::Waited { what: "writes to cease".into(), seconds: QUIET_WITHIN.as_secs(), state });
            }
        }
        Ok(())
    }
}

/// The time now as the audit log writes it.
pub(crate) fn now() -> String {
    let now = k8s_openapi::jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    format!("{now:.6}")
}

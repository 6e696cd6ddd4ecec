//! Logs: one JSON object a line, on standard output.

use std::sync::Arc;

use muon_proxy::Appender;
use tracing_subscriber::EnvFilter;

/// Bytes of log that may wait for whoever reads standard output.
const WAITING: usize = 1 << 20;

/// Standard output behind a thread of its own. None where no thread can be started: lines are then written as they come.
pub(crate) fn appender() -> Option<Appender> {
    Appender::start(std::io::stdout(), WAITING).ok()
}

/// Starts structured logging. A filter that cannot be read is said and replaced by `info`.
pub(crate) fn logs(filter: &str, appender: Option<Appender>) {
    let (parsed, wrong) = match EnvFilter::try_new(filter) {
        Ok(parsed) => (parsed, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).with_env_filter(parsed);
    match appender {
        Some(appender) => lines.with_writer(Arc::new(appender)).init(),
        None => lines.init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, filter, "the log filter cannot be read, info is used");
    }
}

//! Logs: one JSON object a line, on standard output.

use std::sync::Arc;

use muon_proxy::Appender;
use tracing_subscriber::EnvFilter;

/// The filter where nobody names one.
pub(crate) const FILTER: &str = "info";
/// Bytes of log that may wait for whoever reads standard output.
const WAITING: usize = 1 << 20;

/// Standard output behind a thread of its own. None where no thread can be started: lines are then written as they come.
pub(crate) fn appender() -> Option<Appender> {
    Appender::start(std::io::stdout(), WAITING).ok()
}

/// Logs for a person at a terminal: on standard error, and only what went wrong, unless the filter says more.
pub(crate) fn terminal(filter: &str) {
    let filter = EnvFilter::try_new(if filter == FILTER { "error" } else { filter });
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
}

/// Starts structured logging. A filter that cannot be read is said and replaced by `info`.
pub(crate) fn logs(filter: &str, appender: Option<Appender>) {
    let (parsed, wrong) = match EnvFilter::try_new(filter) {
        Ok(parsed) => (parsed, None),
        Err(error) => (EnvFilter::new(FILTER), Some(error)),
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

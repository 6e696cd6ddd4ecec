//! Logs: one JSON object a line, on standard output.

use tracing_subscriber::EnvFilter;

/// Starts structured logging. A filter that cannot be read is said and replaced by `info`.
pub(crate) fn logs(filter: &str) {
    let (parsed, wrong) = match EnvFilter::try_new(filter) {
        Ok(parsed) => (parsed, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).with_env_filter(parsed).init();
    if let Some(error) = wrong {
        tracing::warn!(%error, filter, "the log filter cannot be read, info is used");
    }
}

//! One JSON object a line on stdout, with the id of the request that this thread answers.

use std::cell::RefCell;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::json;

thread_local! {
    static REQUEST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Says whose request this thread answers from now on.
pub(crate) fn answering(id: Option<String>) {
    REQUEST.with(|request| *request.borrow_mut() = id);
}

/// A record of the function's. The macros `info!`, `warn!` and `error!` are shorter.
pub fn function(level: &str, message: &str) {
    record(level, "function", message, &[]);
}

pub(crate) fn record(level: &str, target: &str, message: &str, more: &[(&str, &str)]) {
    let timestamp = now();
    let mut fields =
        vec![("timestamp", timestamp.as_str()), ("level", level), ("target", target), ("message", message)];
    let id = REQUEST.with(|request| request.borrow().clone());
    fields.extend(id.as_deref().map(|id| ("requestId", id)));
    fields.extend_from_slice(more);
    let line = json::object(&fields) + "\n";
    let mut out = std::io::stdout().lock();
    // Nobody reads the log any more? That is no reason to fail a request.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// RFC 3339, of a calendar of our own: the standard library has none.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, milliseconds) = (since.as_secs(), since.subsec_millis());
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// The date, so many days after the first of January 1970.
fn date(days: u64) -> (u64, u64, u64) {
    let mut left = days;
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    for (month, length) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
        if left < length {
            return (year, month, left + 1);
        }
        left -= length;
    }
    (year, 12, 31)
}

fn is_leap(year: u64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(59), (1970, 3, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(20_780), (2026, 11, 23));
    }
}

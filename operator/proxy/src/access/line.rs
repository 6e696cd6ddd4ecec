//! One line of the access log, in the shape of all other lines, written by hand: a line is made for every request, and
//! the general way through a logger and a serialiser costs several microseconds.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::jiff::Timestamp;

use super::Record;

/// Bytes of a path that are told.
const PATH: usize = 2048;

thread_local! {
    /// The last second that was written, and how.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// Adds the line of a request. What did not come about is left out: no pod, no failure, no cold start.
pub(super) fn write(out: &mut Vec<u8>, record: &Record) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    timestamp(out);
    out.extend_from_slice(b"\",\"level\":\"INFO\",\"target\":\"access\",\"request_id\":\"");
    text(out, record.id.to_str().unwrap_or("?"));
    field(out, b"\",\"trace_id\":\"", record.trace.id());
    field(out, b"\",\"listener\":\"", record.entry.as_str());
    out.extend_from_slice(b"\",\"method\":\"");
    text(out, record.method.as_str());
    out.extend_from_slice(b"\",\"path\":\"");
    text(out, cut(record.uri.path()));
    if let Some(function) = &record.function {
        field(out, b"\",\"namespace\":\"", function.namespace());
        field(out, b"\",\"function\":\"", function.name());
        field(out, b"\",\"revision\":\"", record.revision());
    }
    if let Some(pod) = &record.pod {
        field(out, b"\",\"pod\":\"", &pod.name);
    }
    if let Some((component, reason)) = record.failure() {
        field(out, b"\",\"component\":\"", component);
        field(out, b"\",\"reason\":\"", reason);
    }
    field(out, b"\",\"start\":\"", record.start.as_str());
    value(out, b"\",\"status\":", u64::from(record.status()));
    out.extend_from_slice(if record.complete { b",\"complete\":true" } else { b",\"complete\":false" });
    if record.repeated {
        out.extend_from_slice(b",\"attempt\":2");
    }
    value(out, b",\"bytes_in\":", record.bytes_in());
    value(out, b",\"bytes_out\":", record.bytes.1);
    let total = record.started.elapsed();
    value(out, b",\"head_us\":", micros(record.head));
    value(out, b",\"total_us\":", micros(total));
    phases(out, record, total);
    out.extend_from_slice(b"}\n");
}

/// Where the time went, in microseconds.
fn phases(out: &mut Vec<u8>, record: &Record, total: Duration) {
    value(out, b",\"phases_us\":{\"route\":", micros(record.routed));
    value(out, b",\"queue\":", micros(record.waited));
    if let Some(cold) = record.cold() {
        if let Some(claim) = cold.claim {
            value(out, b",\"claim\":", micros(claim.took));
        }
        value(out, b",\"load\":{\"total\":", micros(cold.load.took));
        if let Some(steps) = cold.steps {
            value(out, b",\"fetch\":", micros(steps.fetch.took));
            value(out, b",\"verify\":", micros(steps.verify.took));
            value(out, b",\"unpack\":", micros(steps.unpack.took));
            value(out, b",\"import\":", micros(steps.import.took));
        }
        out.push(b'}');
    }
    if record.pod.is_some() {
        value(out, b",\"forward\":", micros(record.forwarded()));
        value(out, b",\"answer\":", micros(total.saturating_sub(record.head)));
    }
    out.push(b'}');
}

/// A value of which every byte may stand in a JSON string: a name of Kubernetes', or a word of ours.
fn field(out: &mut Vec<u8>, before: &[u8], plain: &str) {
    out.extend_from_slice(before);
    out.extend_from_slice(plain.as_bytes());
}

fn value(out: &mut Vec<u8>, before: &[u8], count: u64) {
    out.extend_from_slice(before);
    number(out, count, 1);
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// `2026-11-23T10:50:10.123456Z`, the second from memory.
fn timestamp(out: &mut Vec<u8>) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, written)| {
        if *second != since.as_secs() || written.is_empty() {
            *second = since.as_secs();
            let whole = Timestamp::from_second(i64::try_from(*second).unwrap_or_default()).unwrap_or_default();
            *written = whole.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        }
        out.extend_from_slice(written.as_bytes());
    });
    out.push(b'.');
    number(out, u64::from(since.subsec_micros()), 6);
    out.push(b'Z');
}

/// A number with at least so many digits.
fn number(out: &mut Vec<u8>, mut value: u64, digits: usize) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    while value > 0 || text.len() - at < digits {
        at -= 1;
        if let Some(digit) = text.get_mut(at) {
            *digit = b'0' + (value % 10) as u8;
        }
        value /= 10;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
}

/// A path of which at most so much is told.
pub(super) fn cut(path: &str) -> &str {
    path.get(..path.floor_char_boundary(PATH)).unwrap_or_default()
}

/// The inside of a JSON string.
fn text(out: &mut Vec<u8>, text: &str) {
    let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let low = DIGITS.get(usize::from(byte & 15)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), low]);
            }
            plain => out.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_as_a_serialiser_has_them() {
        for word in ["", "plain", "a\"b\\c", "\u{1}\u{1f}\n", "grüße"] {
            let mut ours = b"\"".to_vec();
            text(&mut ours, word);
            ours.push(b'"');
            assert_eq!(serde_json::from_slice::<String>(&ours).unwrap(), word);
        }
    }

    #[test]
    fn numbers_have_their_digits() {
        for (value, digits, expected) in
            [(0, 1, "0"), (7, 6, "000007"), (123_456, 1, "123456"), (u64::MAX, 1, "18446744073709551615")]
        {
            let mut out = Vec::new();
            number(&mut out, value, digits);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn the_time_is_one() {
        let mut out = Vec::new();
        timestamp(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.parse::<Timestamp>().is_ok() && text.len() == 27, "{text}");
    }
}

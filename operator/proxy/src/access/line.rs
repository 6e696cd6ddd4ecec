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

/// Adds the line of a request.
pub(super) fn write(out: &mut Vec<u8>, record: &Record) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    timestamp(out);
    out.extend_from_slice(b"\",\"level\":\"INFO\",\"target\":\"access\",\"request_id\":\"");
    text(out, record.id.to_str().unwrap_or("?"));
    for (name, value) in [
        ("listener", record.entry.as_str()),
        ("method", record.method.as_str()),
        ("path", cut(record.uri.path())),
        ("function", record.function.as_ref().map_or("", |function| function.key())),
        ("reason", record.reason),
        ("start", record.start.as_str()),
    ] {
        out.extend_from_slice(b"\",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":\"");
        text(out, value);
    }
    out.extend_from_slice(b"\",\"status\":");
    number(out, u64::from(record.status()), 1);
    out.extend_from_slice(if record.complete { b",\"complete\":true" } else { b",\"complete\":false" });
    for (name, duration) in [
        ("route_us", record.routed),
        ("wait_us", record.waited),
        ("head_us", record.head),
        ("total_us", record.started.elapsed()),
    ] {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        number(out, micros(duration), 1);
    }
    out.extend_from_slice(b"}\n");
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
fn cut(path: &str) -> &str {
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

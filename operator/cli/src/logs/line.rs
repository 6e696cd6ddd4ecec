//! One line of a log: what our runtimes write is JSON, what user code writes may be anything.

use serde_json::Value;

use crate::output::{Terminal, Tone, plain};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) pod: String,
    /// When kubelet read it, as it wrote it: sorts by itself.
    pub(crate) time: String,
    /// As the pod wrote it.
    pub(crate) text: String,
    record: Option<Record>,
}

/// What a line in JSON says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    level: String,
    message: String,
    request: String,
}

/// Which lines are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) request: Option<String>,
    /// In lower case.
    pub(crate) search: Option<String>,
}

impl Wanted {
    pub(crate) fn takes(&self, line: &Line) -> bool {
        let of = match &self.request {
            None => true,
            Some(id) => line.record.as_ref().map_or_else(|| line.text.contains(id), |record| record.request == *id),
        };
        of && self.search.as_ref().is_none_or(|text| line.text.to_lowercase().contains(text))
    }
}

impl Line {
    /// Reads a line with kubelet's time before it.
    pub(crate) fn read(pod: &str, text: &str) -> Self {
        let (time, text) = match text.split_once(' ') {
            Some((time, text)) if time.parse::<jiff::Timestamp>().is_ok() => (time, text),
            _ => ("", text),
        };
        let record = serde_json::from_str::<Value>(text).ok().and_then(|value| {
            let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
            value["message"].as_str()?;
            Some(Record { level: field("level"), message: field("message"), request: field("requestId") })
        });
        Self { pod: pod.to_owned(), time: time.to_owned(), text: text.to_owned(), record }
    }

    /// A line whose parts are known already.
    pub(crate) fn of(pod: &str, time: &str, text: &str, level: &str, request: &str) -> Self {
        let known = !level.is_empty() || !request.is_empty();
        let record =
            known.then(|| Record { level: level.to_owned(), message: text.to_owned(), request: request.to_owned() });
        Self { pod: pod.to_owned(), time: time.to_owned(), text: text.to_owned(), record }
    }

    /// The line for people, or as it was written.
    pub(crate) fn show(&self, raw: bool, terminal: Terminal) -> String {
        if raw {
            // Whoever reads a terminal reads no control characters; a file gets what was written.
            return format!("{}\n", if terminal.colour { plain(&self.text) } else { self.text.clone() });
        }
        // The day is known to whoever follows; the milliseconds tell the order.
        let time = self.time.get(11..23).unwrap_or(&self.time);
        let time = terminal.paint(Tone::Quiet, time);
        let pod = terminal.paint(Tone::Quiet, self.pod.rsplit('-').next().unwrap_or_default());
        let Some(record) = &self.record else { return format!("{time} {pod} {}\n", plain(&self.text)) };
        let tone = match record.level.to_ascii_lowercase().as_str() {
            "error" | "critical" | "fatal" => Tone::Bad,
            "warn" | "warning" => Tone::Wait,
            _ => Tone::Plain,
        };
        let message = plain(record.message.trim_end()).replace('\n', "\n    ");
        let level = terminal.paint(tone, &format!("{:<5}", plain(&record.level).to_ascii_uppercase()));
        let request = match record.request.is_empty() {
            true => String::new(),
            false => format!("  {}", terminal.paint(Tone::Quiet, &plain(&record.request))),
        };
        format!("{time} {pod} {level} {message}{request}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: Terminal = Terminal { colour: false, moves: false };
    const RECORD: &str =
        r#"2026-11-23T12:00:00.123456789Z {"level":"error","message":"it broke\n  at line 3","requestId":"abc"}"#;

    #[test]
    fn records_are_shown_for_people_and_other_lines_as_they_are() {
        let show = |text: &str| Line::read("python-pool-1-xyz", text).show(false, PAPER);
        assert_eq!(show(RECORD), "12:00:00.123 xyz ERROR it broke\n      at line 3  abc\n");
        assert_eq!(show("2026-11-23T12:00:00.500000000Z printed\x1b[2J"), "12:00:00.500 xyz printed\u{fffd}[2J\n");
        assert_eq!(show("no time"), " xyz no time\n");
        assert_eq!(Line::read("p", RECORD).show(true, PAPER), format!("{}\n", RECORD.split_once(' ').unwrap().1));
    }

    #[test]
    fn lines_are_chosen_by_request_and_by_text() {
        let takes = |request: Option<&str>, search: Option<&str>, text: &str| {
            let wanted = Wanted { request: request.map(str::to_owned), search: search.map(str::to_owned) };
            wanted.takes(&Line::read("p", text))
        };
        assert!(takes(None, None, "x") && takes(Some("abc"), Some("broke"), RECORD));
        assert!(!takes(Some("ab"), None, RECORD) && !takes(None, Some("nothing"), RECORD));
        assert!(takes(Some("abc"), None, "printed for abc") && takes(None, Some("print"), "PRINTED"));
    }
}

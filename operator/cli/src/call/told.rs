//! What an answer tells of its way: its headers, and the clock.

use std::time::Duration;

use http::response::Parts;
use muon_crds::words::header;
use serde::Serialize;

/// What an answer tells.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    pub(super) status: u16,
    /// `cold` or `warm`; none where no function was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<String>,
    /// It was sent to a second pod.
    pub(super) repeated: bool,
    /// Milliseconds that the proxy spent, by phase.
    pub(super) phases: Vec<Phase>,
    /// Milliseconds until the connection stood.
    pub(super) connected_ms: f64,
    /// Milliseconds from the request to the first byte of the answer.
    pub(super) first_byte_ms: f64,
    /// Milliseconds from the request to the answer's end.
    pub(super) whole_ms: f64,
}

/// One phase.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Phase {
    pub(super) name: String,
    pub(super) ms: f64,
}

impl Told {
    pub(super) fn read(parts: &Parts, connected: Duration, first: Duration, whole: Duration) -> Self {
        let text = |name: &str| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
        let ms = |duration: Duration| (duration.as_secs_f64() * 1e5).round() / 100.0;
        let timings = parts.headers.get_all("server-timing").iter().filter_map(|value| value.to_str().ok());
        Self {
            status: parts.status.as_u16(),
            start: text(header::START),
            request_id: text(header::REQUEST_ID),
            repeated: parts.headers.contains_key(header::ATTEMPT),
            phases: timings.flat_map(|value| value.split(',')).filter_map(phase).collect(),
            connected_ms: ms(connected),
            first_byte_ms: ms(first),
            whole_ms: ms(whole),
        }
    }

    /// One line for people.
    pub(super) fn sentence(&self) -> String {
        let mut words = vec![self.status.to_string()];
        words.extend(self.start.clone());
        if self.repeated {
            words.push("second try".to_owned());
        }
        words.push(format!("{} ms", self.whole_ms));
        let phases: Vec<String> = self.phases.iter().map(|phase| format!("{} {}", phase.name, phase.ms)).collect();
        if !phases.is_empty() {
            words.push(format!("of it {} ms", phases.join(" + ")));
        }
        words.extend(self.request_id.as_ref().map(|id| format!("request {id}")));
        words.join(" · ")
    }
}

/// `name;dur=1.5`; what says no time is none.
fn phase(text: &str) -> Option<Phase> {
    let mut parts = text.trim().split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
    let ms = parts.find_map(|part| part.strip_prefix("dur=")?.parse::<f64>().ok())?;
    Some(Phase { name, ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_answer_tells_is_one_line() {
        let (parts, ()) = http::Response::builder()
            .status(200)
            .header("muon-start", "cold")
            .header("x-request-id", "abc")
            .header("server-timing", "app;desc=x, db;dur=1.5;desc=y")
            .header("server-timing", "route;dur=0.02, start;dur=5.1")
            .body(())
            .unwrap()
            .into_parts();
        let ms = Duration::from_micros;
        let told = Told::read(&parts, ms(1000), ms(7123), ms(7456));
        assert_eq!(told.sentence(), "200 · cold · 7.46 ms · of it db 1.5 + route 0.02 + start 5.1 ms · request abc");
        let (parts, ()) = http::Response::builder().status(404).body(()).unwrap().into_parts();
        assert_eq!(Told::read(&parts, ms(1), ms(1), ms(2000)).sentence(), "404 · 2 ms");
    }
}

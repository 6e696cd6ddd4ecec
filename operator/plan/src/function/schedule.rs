//! How many pods are kept though nobody calls, at a given time: by `spec.replicas`, `scaling.min`, or a window of
//! `scaling.schedule`.
//!
//! A window opens when its `start` comes, on the clocks of its time zone, and is open until its end. Where clocks jump
//! over the start, it opens when they have jumped; where they show it twice, it opens at the first. A `duration` is time
//! that passes, whatever the clocks do.

use chrono::{DateTime, SecondsFormat, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use muon_crds::FunctionSpec;
use muon_crds::scaling::{ScalingStatus, Window};

/// A window that cannot be read.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[error("scaling.schedule[{index}].{field}: {message}")]
pub struct BadWindow {
    /// Which one.
    pub index: usize,
    /// The field that is wrong.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// The reason of a number that `spec.replicas` holds.
const HELD: &str = "Held";
/// The reason of a number that an autoscaler of the user's says.
pub(super) const AUTOSCALED: &str = "Autoscaled";

const NONE: &str = "none is kept";

/// What is kept at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Pods that stay though nobody calls.
    pub pods: i32,
    /// When that may be another number, in seconds since 1970.
    pub until: Option<i64>,
    /// Who says so, in one word for machines.
    pub reason: &'static str,
    message: String,
}

/// Where a window stands.
enum Stands {
    Open { until: DateTime<Tz> },
    Closed { until: DateTime<Tz> },
}

/// What is kept at `now`, in seconds since 1970.
pub fn kept(spec: &FunctionSpec, now: i64) -> Result<Kept, BadWindow> {
    let scaling = &spec.scaling;
    let mut until: Option<i64> = None;
    let mut open: Option<(usize, i32, DateTime<Tz>)> = None;
    let mut next: Option<(usize, i32, DateTime<Tz>)> = None;
    for (index, window) in scaling.schedule.iter().enumerate() {
        let stands =
            stands(window, now).map_err(|(field, message)| BadWindow { index, field, message: message.to_string() })?;
        let (Stands::Open { until: end } | Stands::Closed { until: end }) = &stands;
        until = Some(until.unwrap_or(i64::MAX).min(end.timestamp()));
        match stands {
            Stands::Open { until: end } if open.as_ref().is_none_or(|(_, min, _)| window.min > *min) => {
                open = Some((index, window.min, end));
            }
            Stands::Closed { until: start } if next.as_ref().is_none_or(|(_, _, earliest)| start < *earliest) => {
                next = Some((index, window.min, start));
            }
            Stands::Open { .. } | Stands::Closed { .. } => {}
        }
    }
    if spec.replicas > 0 {
        let message = format!("spec.replicas holds {}", spec.replicas);
        return Ok(Kept::new(spec.replicas, HELD, message));
    }
    let (pods, reason, mut message) = match open {
        Some((index, min, end)) if min > scaling.min => {
            (min, "Scheduled", format!("scaling.schedule[{index}] keeps {min} until {}", text(&end)))
        }
        _ if scaling.min > 0 => (scaling.min, "Minimum", format!("scaling.min keeps {}", scaling.min)),
        _ => (0, "OnDemand", NONE.to_owned()),
    };
    if let Some((index, min, start)) = next.filter(|(_, min, _)| *min > pods) {
        message.push_str(&format!("; scaling.schedule[{index}] keeps {min} from {}", text(&start)));
    }
    Ok(Kept { pods: pods.min(scaling.max.max(scaling.min)), until, reason, message })
}

impl Kept {
    /// A number that no time changes.
    pub(super) fn new(pods: i32, reason: &'static str, message: String) -> Self {
        Self { pods, until: None, reason, message }
    }

    /// The same, with more to say.
    pub(super) fn and(mut self, more: &str) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    /// What is said of it, when the function has `there` pods; nothing when there is nothing to say.
    pub fn status(&self, there: i32) -> Option<ScalingStatus> {
        if self.pods == 0 && there == 0 && self.message == NONE {
            return None;
        }
        let more = match there - self.pods {
            more if more > 0 && [HELD, AUTOSCALED].contains(&self.reason) => {
                format!("; {more} more until nothing is in them")
            }
            more if more > 0 => format!("; {more} more for requests, until they have been idle for idleSeconds"),
            _ => String::new(),
        };
        let until = self.until.and_then(|until| DateTime::from_timestamp(until, 0));
        Some(ScalingStatus {
            kept: self.pods,
            reason: self.reason.to_owned(),
            until: until.map(|until| text(&until)),
            message: format!("{}{more}", self.message),
        })
    }
}

fn text<Zone: TimeZone>(time: &DateTime<Zone>) -> String {
    time.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Secs, true)
}

type Wrong = (&'static str, Box<dyn std::fmt::Display>);

fn stands(window: &Window, now: i64) -> Result<Stands, Wrong> {
    let zone: Tz = window.time_zone.parse().map_err(|_| {
        let message = format!("{:?} is no time zone of the IANA database, such as Europe/Berlin", window.time_zone);
        ("timeZone", Box::new(message) as Box<dyn std::fmt::Display>)
    })?;
    let now = DateTime::from_timestamp(now, 0).unwrap_or_default().with_timezone(&zone);
    let start = cron("start", &window.start)?;
    let end = window.end.as_deref().map(|end| cron("end", end)).transpose()?;
    let lasts = window.duration.as_deref().map(duration).transpose()?;
    let never = |field| move |error| -> Wrong { (field, Box::new(error)) };

    let next = start.find_next_occurrence(&now, false).map_err(never("start"))?;
    // Whether it is open is told by its last opening alone: no earlier one can end later.
    if let Ok(opened) = start.find_previous_occurrence(&now, true) {
        let closes = match (&end, lasts) {
            (Some(end), _) => end.find_next_occurrence(&opened, false).map_err(never("end"))?,
            (None, Some(lasts)) => opened + lasts,
            (None, None) => opened,
        };
        if closes > now {
            return Ok(Stands::Open { until: closes });
        }
    }
    Ok(Stands::Closed { until: next })
}

fn cron(field: &'static str, pattern: &str) -> Result<Cron, Wrong> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(pattern).map_err(|error| -> Wrong {
        (field, Box::new(format!("{pattern:?} is no cron pattern of five fields, such as `30 7 * * MON-FRI`: {error}")))
    })
}

/// `2h30m`, which the schema has checked the form of.
fn duration(text: &str) -> Result<TimeDelta, Wrong> {
    let wrong = || -> Wrong {
        ("duration", Box::new(format!("{text:?} is no time in hours and minutes above zero, such as 90m or 2h30m")))
    };
    let (hours, rest) = text.split_once('h').map_or(("0", text), |(hours, rest)| (hours, rest));
    let minutes = if rest.is_empty() { "0" } else { rest.strip_suffix('m').ok_or_else(wrong)? };
    let (hours, minutes) = (hours.parse::<u16>().map_err(|_| wrong())?, minutes.parse::<u16>().map_err(|_| wrong())?);
    let lasts = TimeDelta::minutes(i64::from(hours) * 60 + i64::from(minutes));
    if lasts.is_zero() { Err(wrong()) } else { Ok(lasts) }
}

#[cfg(test)]
mod tests;

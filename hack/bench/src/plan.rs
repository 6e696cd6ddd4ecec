//! How long a run takes: said before it begins, and kept to. A section whose rounds are slower than planned makes fewer
//! of them, and says so.

use std::time::{Duration, Instant, SystemTime};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use k8s_openapi::jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::section::Section;

/// Rounds that are made however slow they are: one alone has no smallest and no largest.
const LEAST: usize = 2;
/// A quick run takes this part of a whole one's time.
const QUICK: u32 = 4;

/// The sections of a run, each with its time.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    sections: Vec<(Section, Duration)>,
}

impl Plan {
    /// The time of these sections.
    pub(crate) fn new(sections: Vec<Section>, quick: bool) -> Self {
        let time = |section: Section| section.budget() / if quick { QUICK } else { 1 };
        Self { sections: sections.into_iter().map(|section| (section, time(section))).collect() }
    }

    /// The sections, in their order.
    pub(crate) fn sections(&self) -> &[(Section, Duration)] {
        &self.sections
    }

    /// Of all of them together.
    pub(crate) fn total(&self) -> Duration {
        self.sections.iter().map(|(_, time)| *time).sum()
    }

    /// For people, before it begins.
    pub(crate) fn text(&self) -> String {
        let each = self.sections.iter().map(|(section, time)| format!("{} {}", section.name(), minutes(*time)));
        let each = each.collect::<Vec<_>>().join(", ");
        format!("planned ≈ {} min, until about {}: {each}", minutes(self.total()), clock(self.total()))
    }
}

/// In minutes, to a tenth.
fn minutes(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() / 60.0)
}

/// The time of day after so long.
fn clock(after: Duration) -> String {
    let then = Timestamp::try_from(SystemTime::now() + after).unwrap_or_default();
    format!("{} UTC", then.strftime("%H:%M"))
}

/// The terminal: a bar for the whole run above that of what is being measured.
pub(crate) struct Display {
    bars: MultiProgress,
    total: ProgressBar,
    ticking: Option<JoinHandle<()>>,
}

impl Display {
    /// Shows the whole run.
    pub(crate) fn new(plan: &Plan) -> Self {
        let bars = MultiProgress::new();
        let total = bars.add(ProgressBar::new(plan.total().as_secs().max(1)));
        let style = ProgressStyle::with_template("{msg:34} {bar:40} {percent:>3} % {elapsed}");
        total.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bars, total, ticking: None }
    }

    /// A section begins: so much of the plan lies behind it, and so much is left with its own time.
    pub(crate) fn section(&mut self, name: &str, time: Duration, before: Duration, left: Duration) {
        self.say(&format!("{name}: ≈ {} min, all ≈ {} min until {}", minutes(time), minutes(left), clock(left)));
        self.total.set_message(format!("{name}, all until {}", clock(left)));
        self.stop();
        let (total, begun) = (self.total.clone(), Instant::now());
        self.ticking = Some(tokio::spawn(async move {
            loop {
                // One that takes longer does not eat into the others' part of the bar.
                total.set_position((before + begun.elapsed().min(time)).as_secs());
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }));
    }

    /// A line that stays, on a terminal or not.
    pub(crate) fn say(&self, line: &str) {
        self.bars.suspend(|| eprintln!("{line}"));
    }

    /// A bar of `length` steps below that of the run.
    pub(crate) fn bar(&self, length: usize, what: &'static str) -> ProgressBar {
        let style = ProgressStyle::with_template("{msg:34} {bar:40} {pos}/{len} {elapsed}");
        let bar = self.bars.add(ProgressBar::new(length as u64));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.with_message(what)
    }

    fn stop(&mut self) {
        if let Some(ticking) = self.ticking.take() {
            ticking.abort();
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.stop();
        self.total.finish_and_clear();
    }
}

/// The rounds of a measurement, by their numbers: as many as wanted, but none is begun that would end too late.
#[derive(Debug)]
pub(crate) struct Rounds {
    wanted: usize,
    done: usize,
    begun: Option<Instant>,
    end: Instant,
}

impl Rounds {
    /// So many, all before `end`.
    pub(crate) fn new(wanted: usize, end: Instant) -> Self {
        Self { wanted, done: 0, begun: None, end }
    }

    /// The next one's number at this moment, if there is to be one.
    fn at(&mut self, now: Instant) -> Option<usize> {
        let begun = *self.begun.get_or_insert(now);
        let each = now.saturating_duration_since(begun) / self.done.max(1) as u32;
        if self.done >= self.wanted || (self.done >= LEAST && now + each > self.end) {
            return None;
        }
        self.done += 1;
        Some(self.done - 1)
    }
}

impl Iterator for Rounds {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let next = self.at(Instant::now());
        if next.is_none() && self.done < self.wanted {
            eprintln!("  {} of {} rounds: there was time for no more", self.done, self.wanted);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(begun: Instant, seconds: u64) -> Instant {
        begun + Duration::from_secs(seconds)
    }

    #[test]
    fn rounds_in_time_are_all_made() {
        let begun = Instant::now();
        let mut rounds = Rounds::new(3, after(begun, 60));
        let made: Vec<_> = (0..).map_while(|turn| rounds.at(after(begun, turn * 20))).collect();
        assert_eq!(made, [0, 1, 2]);
    }

    #[test]
    fn none_is_begun_that_would_end_too_late() {
        let begun = Instant::now();
        let mut rounds = Rounds::new(5, after(begun, 60));
        // The third would end after 61 s.
        let made: Vec<_> = (0..).map_while(|turn| rounds.at(after(begun, turn * 21))).collect();
        assert_eq!(made, [0, 1]);
    }

    #[test]
    fn two_are_made_however_long_they_take() {
        let begun = Instant::now();
        let mut rounds = Rounds::new(5, begun);
        let made: Vec<_> = (0..).map_while(|turn| rounds.at(after(begun, turn * 100))).collect();
        assert_eq!(made, [0, 1]);
        assert_eq!(Rounds::new(1, begun).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn a_whole_run_is_over_within_22_minutes() {
        let plan = Plan::new(Section::all(), false);
        assert!(plan.total() <= Duration::from_secs(22 * 60), "{}", plan.text());
    }
}

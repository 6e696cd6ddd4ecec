//! What a run is told.

use std::path::PathBuf;

use clap::Parser;

use crate::section::Section;

/// Measures the node that hack/up brought up, and says what the figures are worth.
#[derive(Parser, Debug, Clone)]
#[command(name = "hack/bench/run")]
pub(crate) struct Flags {
    /// What to measure; everything when none is named.
    #[arg(value_enum)]
    pub(crate) sections: Vec<Section>,
    /// Rounds of every measurement; the arms take turns in each, in random order. Named, all are made, however long they
    /// take; otherwise 5, or as many as the section has time for.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of a single load at an even pace.
    #[arg(long)]
    seconds: Option<u64>,
    /// Everything small: to see that it works, not to quote.
    #[arg(long)]
    pub(crate) quick: bool,
    /// What the order of turns, the gaps of the load and the trace are drawn from.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print the names of the sections that would be measured, and nothing else.
    #[arg(long, hide = true)]
    pub(crate) list: bool,
    /// Be the load client of another process, and nothing else.
    #[arg(long, hide = true)]
    pub(crate) flood: Option<String>,
    /// Put the sections measured now into the results that are kept; otherwise only a run of all sections is kept.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Where the results that are kept lie.
    #[arg(long, default_value = "hack/bench/results")]
    pub(crate) results: PathBuf,
    /// Where the results of any other run go.
    #[arg(long, env = "MUON_BENCH_SCRATCH", default_value = "target/bench")]
    pub(crate) scratch: PathBuf,
}

impl Flags {
    /// How many rounds.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 2 } else { 5 }).max(1)
    }

    /// Whether all of them are made, whatever the time.
    pub(crate) fn insists(&self) -> bool {
        self.rounds.is_some()
    }

    /// How long one load lasts.
    pub(crate) fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(if self.quick { 1 } else { 2 }).max(1)
    }

    /// What is measured, in the order in which it is.
    pub(crate) fn chosen(&self) -> Vec<Section> {
        let all = Section::all();
        if self.sections.is_empty() {
            return all;
        }
        all.into_iter().filter(|section| self.sections.contains(section)).collect()
    }

    /// Whether the results are those of the whole benchmark, fit to be kept.
    pub(crate) fn whole(&self) -> bool {
        self.sections.is_empty() && !self.quick
    }

    /// The command that repeats this run.
    pub(crate) fn command(&self) -> String {
        let mut words = vec!["hack/bench/run".to_owned()];
        words.extend(self.sections.iter().map(Section::name));
        if self.quick {
            words.push("--quick".into());
        }
        for (flag, value) in [("--rounds", self.rounds.map(|rounds| rounds as u64)), ("--seconds", self.seconds)] {
            if let Some(value) = value {
                words.push(format!("{flag} {value}"));
            }
        }
        if self.seed != 1 {
            words.push(format!("--seed {}", self.seed));
        }
        words.join(" ")
    }
}

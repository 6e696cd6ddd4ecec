//! What the agent counts, and how it says it. A library for this would be larger than all that is counted.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use muon_crds::wire::LoadReport;

use crate::status::State;

/// How a request to load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The code was brought in.
    Loaded,
    /// It was inside.
    Already,
    /// Another caller's load was joined.
    Joined,
    /// The order or the pod forbids it.
    Refused,
    /// It may be tried again.
    Failed,
    /// It can never succeed here.
    FailedForGood,
}

const OUTCOMES: [(Outcome, &str); 6] = [
    (Outcome::Loaded, "loaded"),
    (Outcome::Already, "already"),
    (Outcome::Joined, "joined"),
    (Outcome::Refused, "refused"),
    (Outcome::Failed, "failed"),
    (Outcome::FailedForGood, "failed_for_good"),
];

/// A load's, in their order.
const PHASES: [&str; 4] = ["fetch", "verify", "unpack", "load"];

/// The agent's counters.
#[derive(Debug, Default)]
pub struct Metrics {
    loads: [AtomicU64; OUTCOMES.len()],
    micros: [AtomicU64; PHASES.len()],
    timed: AtomicU64,
}

impl Metrics {
    /// Counts the end of a request to load.
    pub fn count(&self, outcome: Outcome) {
        self.loads[outcome as usize].fetch_add(1, Relaxed);
    }

    /// Adds the times of a load.
    pub fn phases(&self, report: &LoadReport) {
        for (sum, micros) in
            self.micros.iter().zip([report.fetch_us, report.verify_us, report.unpack_us, report.load_us])
        {
            sum.fetch_add(micros, Relaxed);
        }
        self.timed.fetch_add(1, Relaxed);
    }

    /// All of it in Prometheus' text form.
    pub fn text(&self, state: &State<'_>) -> String {
        let mut text = String::from("# HELP muon_agent_loads_total Requests to load, by how they ended.\n");
        text += "# TYPE muon_agent_loads_total counter\n";
        for ((_, name), count) in OUTCOMES.iter().zip(&self.loads) {
            line(&mut text, format_args!("muon_agent_loads_total{{outcome=\"{name}\"}} {}", count.load(Relaxed)));
        }
        text += "# HELP muon_agent_load_phase_seconds Time of the phases of loads.\n";
        text += "# TYPE muon_agent_load_phase_seconds summary\n";
        for (phase, micros) in PHASES.iter().zip(&self.micros) {
            let (seconds, count) = (micros.load(Relaxed) as f64 / 1e6, self.timed.load(Relaxed));
            line(&mut text, format_args!("muon_agent_load_phase_seconds_sum{{phase=\"{phase}\"}} {seconds}"));
            line(&mut text, format_args!("muon_agent_load_phase_seconds_count{{phase=\"{phase}\"}} {count}"));
        }
        let gauges = [
            ("muon_agent_ready", "Whether the pod is ready.", u64::from(state.ready())),
            ("process_resident_memory_bytes", "Resident memory of the agent.", resident_bytes()),
        ];
        text += "# HELP muon_agent_runtime_restarts_total Times that the runtime ended.\n";
        text += "# TYPE muon_agent_runtime_restarts_total counter\n";
        line(&mut text, format_args!("muon_agent_runtime_restarts_total {}", state.runtime_restarts()));
        for (name, help, value) in gauges {
            line(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"));
        }
        text
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

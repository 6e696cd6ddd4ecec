//! The report as a file. Its rows are flat, for any program to read: `id`, `unit`, `value`, `min`, `max`, `ratio`, `bar`
//! and `pass`; what else is known of a row stands beside them.

use serde::{Deserialize, Serialize};

use super::{Machine, Part, Report};
use crate::row::{Against, Bar, Row, Verdict};

/// The whole file.
#[derive(Serialize, Deserialize)]
struct File {
    machine: Machine,
    command: String,
    rows: Vec<Line>,
    sections: Vec<Head>,
}

/// One figure.
#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    unit: String,
    /// The median of the rounds.
    value: f64,
    min: f64,
    max: f64,
    /// Of `value` to what it is held against, the median of the rounds' ratios; null where it is held against nothing.
    ratio: Option<f64>,
    /// What must be reached: by the ratio where the row is held against another, by the value otherwise.
    bar: Option<f64>,
    /// Whether every round reaches it; null without a bar. Rounds that disagree do not pass.
    pass: Option<bool>,
    /// What the rounds say of the bar: `met`, `missed`, or `none` where they disagree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stretch: Option<Bar>,
    section: String,
    rounds: Vec<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    against: Option<Other>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    more_is_better: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
}

/// What a figure is held against.
#[derive(Serialize, Deserialize)]
struct Other {
    id: String,
    rounds: Vec<f64>,
}

/// How a section was measured.
#[derive(Serialize, Deserialize)]
struct Head {
    section: String,
    command: String,
    at: String,
    seconds: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// The file's text.
pub(super) fn write(report: &Report) -> serde_json::Result<String> {
    let lines = |part: &Part| part.rows.iter().map(|row| line(&part.section, row)).collect::<Vec<_>>();
    let file = File {
        machine: report.machine.clone(),
        command: report.command.clone(),
        rows: report.sections.iter().flat_map(lines).collect(),
        sections: report.sections.iter().map(head).collect(),
    };
    Ok(serde_json::to_string_pretty(&file)? + "\n")
}

/// The report that such a text holds.
pub(super) fn read(text: &str) -> serde_json::Result<Report> {
    let file: File = serde_json::from_str(text)?;
    let mut report = Report { machine: file.machine, command: file.command, sections: Vec::new() };
    report.sections.extend(file.sections.into_iter().map(|head| Part {
        section: head.section,
        command: head.command,
        at: head.at,
        seconds: head.seconds,
        failed: head.failed,
        rows: Vec::new(),
    }));
    for line in file.rows {
        if let Some(part) = report.sections.iter_mut().find(|part| part.section == line.section) {
            part.rows.push(row(line));
        }
    }
    Ok(report)
}

fn head(part: &Part) -> Head {
    Head {
        section: part.section.clone(),
        command: part.command.clone(),
        at: part.at.clone(),
        seconds: part.seconds,
        failed: part.failed.clone(),
    }
}

fn line(section: &str, row: &Row) -> Line {
    let row = row.clone();
    Line {
        id: row.id,
        unit: row.unit,
        value: row.value,
        min: row.min,
        max: row.max,
        ratio: row.against.as_ref().and_then(|against| against.ratio),
        bar: row.bar.as_ref().map(|bar| bar.limit),
        pass: row.bar.as_ref().map(|bar| bar.verdict == Verdict::Met),
        verdict: row.bar.as_ref().map(|bar| bar.verdict),
        stretch: row.stretch,
        section: section.to_owned(),
        rounds: row.rounds,
        against: row.against.map(|against| Other { id: against.id, rounds: against.rounds }),
        more_is_better: row.more_is_better,
        note: row.note,
    }
}

fn row(line: Line) -> Row {
    let ratio = line.ratio;
    Row {
        id: line.id,
        unit: line.unit,
        value: line.value,
        min: line.min,
        max: line.max,
        rounds: line.rounds,
        more_is_better: line.more_is_better,
        against: line.against.map(|other| Against { id: other.id, ratio, rounds: other.rounds }),
        bar: line.bar.zip(line.verdict).map(|(limit, verdict)| Bar { limit, verdict }),
        stretch: line.stretch,
        note: line.note,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::samples::Samples;

    fn row(id: &str, rounds: &[f64]) -> Row {
        Row::new(id, "ms", &Samples::from(rounds.to_vec()))
    }

    fn report() -> Report {
        let claim = row("cold.claim", &[2.0, 4.0]);
        let rows = vec![
            row("cold.p50", &[2.0, 4.0]).against(&claim).bar(2.0).stretch(0.5).note("said"),
            claim,
            row("cold.p99", &[1.0, 9.0]).bar(5.0),
        ];
        let part = Part {
            section: "cold".into(),
            command: "hack/bench/run".into(),
            at: "then".into(),
            seconds: 3,
            failed: Some("in part".into()),
            rows,
        };
        Report { machine: Machine::read(), command: "hack/bench/run".into(), sections: vec![part] }
    }

    #[test]
    fn rows_are_flat_and_say_whether_they_pass() {
        let file: Value = serde_json::from_str(&write(&report()).unwrap()).unwrap();
        assert!(file["machine"]["cores"].is_u64());
        let wanted = |row: &Value| {
            let keys = ["id", "unit", "value", "min", "max", "ratio", "bar", "pass"];
            json!(keys.map(|key| row.get(key).unwrap_or_else(|| panic!("{key}")).clone()))
        };
        let rows = file["rows"].as_array().unwrap().iter().map(wanted).collect::<Vec<_>>();
        assert_eq!(rows[0], json!(["cold.p50", "ms", 2.0, 2.0, 4.0, 1.0, 2.0, true]));
        assert_eq!(rows[1], json!(["cold.claim", "ms", 2.0, 2.0, 4.0, null, null, null]));
        assert_eq!(rows[2], json!(["cold.p99", "ms", 1.0, 1.0, 9.0, null, 5.0, false]), "rounds that disagree");
    }

    #[test]
    fn what_was_written_is_read_again() {
        let text = write(&report()).unwrap();
        let read = read(&text).unwrap();
        assert_eq!(write(&read).unwrap(), text);
        assert_eq!(read.table(), report().table());
    }
}

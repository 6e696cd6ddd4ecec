//! The report as a table for the terminal.

use std::fmt::Write as _;

use super::Report;
use crate::row::{Bar, Row, Verdict};

/// Every figure on a line.
pub(super) fn table(report: &Report) -> String {
    let mut text = format!("{}\n", report.machine);
    for part in &report.sections {
        let _ = writeln!(text, "\n{} ({} s)", part.section, part.seconds);
        if let Some(failed) = &part.failed {
            let _ = writeln!(text, "  NOT MEASURED: {failed}");
        }
        if !part.rows.is_empty() {
            let _ = writeln!(
                text,
                "  {:<36} {:>10} {:>21}  {:<6} {:>7} {:<28} {:<18} {:<18}",
                "figure", "median", "min..max", "unit", "ratio", "against", "bar", "stretch"
            );
        }
        for row in &part.rows {
            let _ = writeln!(
                text,
                "  {:<36} {:>10} {:>21}  {:<6} {:>7} {:<28} {:<18} {:<18}",
                row.id,
                number(row.value),
                format!("{}..{}", number(row.min), number(row.max)),
                row.unit,
                row.against.as_ref().and_then(|against| against.ratio).map(number).unwrap_or_default(),
                row.against.as_ref().map_or("", |against| against.id.as_str()),
                bar(row, row.bar.as_ref(), " ", "MISSED"),
                bar(row, row.stretch.as_ref(), " ", "MISSED"),
            );
            if !row.note.is_empty() {
                let _ = writeln!(text, "    {}", row.note);
            }
        }
    }
    text
}

/// With as many digits as say something.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if value.is_nan() || size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// What a bar asks for, and what came of it; `missed` is the word for the worst.
pub(super) fn bar(row: &Row, bar: Option<&Bar>, separator: &str, missed: &str) -> String {
    bar.map(|bar| {
        let sign = if row.more_is_better { "≥" } else { "≤" };
        let verdict = match bar.verdict {
            Verdict::Met => "met",
            Verdict::Missed => missed,
            Verdict::None => "no verdict",
        };
        format!("{sign} {}{separator}{verdict}", number(bar.limit))
    })
    .unwrap_or_default()
}

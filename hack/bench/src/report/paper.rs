//! The report as the README shows it: made of the result that is kept, so that the two cannot differ.

use std::fmt::Write as _;
use std::path::Path;

use super::Report;
use super::table::{bar, number};
use crate::error::Error;
use crate::row::{Row, Verdict};

/// The README holds it between these lines.
const BEGIN: &str = "<!-- hack/bench writes from here -->";
const END: &str = "<!-- to here -->";

/// Puts the figures into the README's text.
pub(super) fn put(report: &Report, readme: &Path) -> Result<(), Error> {
    let text = std::fs::read_to_string(readme)?;
    std::fs::write(readme, replaced(report, &text)?)?;
    Ok(())
}

fn replaced(report: &Report, text: &str) -> Result<String, Error> {
    let lines = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) =
        lines.ok_or_else(|| Error::Request(format!("README.md has no place for figures: {BEGIN} … {END}")))?;
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", figures(report)))
}

/// Every figure that has a bar, and what was lost.
fn figures(report: &Report) -> String {
    let mut text = format!(
        "`{}` on {}; median (smallest to largest round):\n\n| figure | value | against | ratio | bar | stretch |\n| --- | --- | --- | --- | --- | --- |\n",
        report.command, report.machine
    );
    let judged: Vec<&Row> = report.rows().filter(|row| row.bar.is_some() || row.stretch.is_some()).collect();
    for row in &judged {
        let against = row.against.as_ref();
        let other = against.and_then(|against| report.rows().find(|other| other.id == against.id));
        let _ = writeln!(
            text,
            "| `{}` | {} ({} to {}) {} | {} | {} | {} | {} |",
            row.id,
            number(row.value),
            number(row.min),
            number(row.max),
            row.unit,
            other.map(|other| format!("`{}`, {}", other.id, number(other.value))).unwrap_or_default(),
            against.and_then(|against| against.ratio).map(number).unwrap_or_default(),
            bar(row, row.bar.as_ref(), ": ", "**missed**"),
            bar(row, row.stretch.as_ref(), ": ", "**missed**"),
        );
    }
    let named = |verdict: Verdict| {
        let names = judged.iter().filter(|row| row.bar.as_ref().is_some_and(|bar| bar.verdict == verdict));
        names.map(|row| format!("`{}`", row.id)).collect::<Vec<_>>().join(", ")
    };
    for (verdict, what) in [
        (Verdict::Missed, "**Where we lose** (bar missed in every round)"),
        (Verdict::None, "No verdict (the rounds do not agree)"),
    ] {
        let names = named(verdict);
        if !names.is_empty() {
            let _ = writeln!(text, "\n{what}: {names}.");
        }
    }
    for part in &report.sections {
        if let Some(failed) = &part.failed {
            let _ = writeln!(text, "\nNot measured: {}: {failed}.", part.section);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_readme_shows_the_result_that_is_kept() {
        let top = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let kept = Report::kept(&top.join("hack/bench/results")).expect("hack/bench/results/latest.json is a report");
        let readme = top.join("README.md");
        if std::env::var_os("BLESS").is_some() {
            put(&kept, &readme).unwrap();
        }
        let text = std::fs::read_to_string(readme).unwrap();
        assert_eq!(replaced(&kept, &text).unwrap(), text, "BLESS=1 cargo test -p muon-bench writes it");
    }
}

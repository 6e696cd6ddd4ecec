//! The report as a picture: what was measured beside what, and every bar.

use std::fmt::Write as _;

use super::Report;
use super::table::number;
use crate::row::{Row, Verdict};

const WIDTH: f64 = 980.0;
/// Where the labels end and the bars begin, and how long the longest bar is.
const LEFT: f64 = 250.0;
const LENGTH: f64 = 540.0;
const LINE: f64 = 20.0;
const PLAIN: &str = "#4a6fa5";
const OURS: &str = "#d2691e";

/// One line of a panel.
struct Line {
    label: String,
    value: f64,
    min: f64,
    max: f64,
    colour: &'static str,
    /// What stands behind the bar.
    text: String,
}

/// Lines under a common axis.
struct Panel {
    title: &'static str,
    lines: Vec<Line>,
    /// Where a line is drawn across: what 1 means.
    mark: Option<f64>,
}

/// The whole picture.
pub(super) fn plot(report: &Report) -> String {
    let panels = [
        beside(report, "Cold requests and what they are held against, ms", &["cold.", "own."], &["p50"]),
        beside(
            report,
            "Many first requests at once: the last reply, ms",
            &["burst."],
            &["last-reply", "bare-claims", "bare-scaling"],
        ),
        beside(report, "Warm requests at 1,000 a second: p50, ms", &["warm."], &["p50"]),
        beside(report, "Warm requests at 1,000 a second: p99, ms", &["warm."], &["p99"]),
        beside(report, "CPU of the proxy a request at 1,000 a second, µs", &["warm."], &["cpu"]),
        beside(report, "CPU of the proxy a request with 32 busy connections, µs", &["warm."], &["cpu-c32"]),
        bars(report),
    ];
    let mut body = String::new();
    let mut y = 50.0;
    for panel in panels.iter().filter(|panel| !panel.lines.is_empty()) {
        y = draw(&mut body, panel, y);
    }
    let legend =
        format!("{}. Bars: medians of rounds; thin lines: smallest to largest round; orange: Muon.", report.machine);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y:.0}\" font-family=\"DejaVu Sans, Arial, sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{y:.0}\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"20\" font-size=\"15\" font-weight=\"bold\">{}</text>\n<text x=\"12\" y=\"38\" fill=\"#555555\">{}</text>\n{body}</svg>\n",
        escaped(&report.command),
        escaped(&legend)
    )
}

/// The rows whose names begin and end so.
fn beside(report: &Report, title: &'static str, begins: &[&str], ends: &[&str]) -> Panel {
    let wanted = |row: &&Row| {
        let parts: Vec<&str> = row.id.split('.').collect();
        begins.iter().any(|begin| row.id.starts_with(begin))
            && parts.last().is_some_and(|last| ends.contains(last))
            && !parts.contains(&"added")
            && row.value > 0.0
    };
    let lines = report.rows().filter(wanted).map(|row| Line {
        label: row.id.clone(),
        value: row.value,
        min: row.min,
        max: row.max,
        colour: if ours(&row.id) { OURS } else { PLAIN },
        text: format!("{} {}", number(row.value), row.unit),
    });
    Panel { title, lines: lines.collect(), mark: None }
}

fn ours(id: &str) -> bool {
    let other = ["claim", "bare", "direct", "clusterip", "haproxy", "nginx", "traefik"];
    !id.split(['.', '-']).any(|word| other.contains(&word))
}

/// Every figure with a bar, in units of that bar.
fn bars(report: &Report) -> Panel {
    let mut lines = Vec::new();
    for row in report.rows() {
        let Some(bar) = row.bar.as_ref().or(row.stretch.as_ref()).filter(|bar| bar.limit > 0.0) else { continue };
        let ratios: Vec<f64> = match &row.against {
            Some(against) => row.rounds.iter().zip(&against.rounds).map(|(mine, theirs)| mine / theirs).collect(),
            None => row.rounds.clone(),
        };
        let mut shares: Vec<f64> = ratios
            .into_iter()
            .map(|ratio| ratio / bar.limit)
            .filter(|share| *share > 0.0 && share.is_finite())
            .collect();
        shares.sort_by(f64::total_cmp);
        let (Some(min), Some(max), Some(value)) =
            (shares.first().copied(), shares.last().copied(), shares.get((shares.len().max(1) - 1) / 2).copied())
        else {
            continue;
        };
        let (colour, word) = match bar.verdict {
            Verdict::Met => ("#2e7d32", "met"),
            Verdict::Missed => ("#c0392b", "missed"),
            Verdict::None => ("#b8860b", "no verdict"),
        };
        let kind = if row.bar.is_some() { "" } else { " (stretch)" };
        let sign = if row.more_is_better { "at least" } else { "at most" };
        let what = if row.against.is_some() { "×" } else { "" };
        let text = format!("{word}{kind}: {sign} {}{what}", number(bar.limit));
        lines.push(Line { label: row.id.clone(), value, min, max, colour, text });
    }
    Panel { title: "Figures in units of their bars (1 = the bar)", lines, mark: Some(1.0) }
}

/// Draws a panel at `y` and says where the next one begins. The axis is logarithmic: figures span a thousandfold.
fn draw(body: &mut String, panel: &Panel, y: f64) -> f64 {
    let all = || {
        panel
            .lines
            .iter()
            .flat_map(|line| [line.value, line.min, line.max])
            .filter(|value| *value > 0.0 && value.is_finite())
    };
    let low = all().chain(panel.mark).fold(f64::INFINITY, f64::min).log10().floor();
    let high = all().chain(panel.mark).fold(0.0, f64::max).log10().ceil().max(low + 1.0);
    let x = |value: f64| LEFT + (value.max(10f64.powf(low)).log10() - low) / (high - low) * LENGTH;
    let (top, bottom) = (y + 26.0, y + 30.0 + LINE * panel.lines.len() as f64);
    let _ = writeln!(body, "<text x=\"12\" y=\"{:.1}\" font-weight=\"bold\">{}</text>", y + 16.0, escaped(panel.title));
    // An integer range: whatever was measured, the axis ends.
    for power in low as i32..=(high as i32).min(low as i32 + 12) {
        let value = 10f64.powi(power);
        let _ = writeln!(
            body,
            "<line x1=\"{0:.1}\" y1=\"{top:.1}\" x2=\"{0:.1}\" y2=\"{bottom:.1}\" stroke=\"#dddddd\"/><text x=\"{0:.1}\" y=\"{1:.1}\" text-anchor=\"middle\" fill=\"#666666\">{value}</text>",
            x(value),
            bottom + 14.0
        );
    }
    for (at, line) in panel.lines.iter().enumerate() {
        let middle = top + 12.0 + LINE * at as f64;
        let _ = writeln!(
            body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\" fill=\"{}\"/>\
             <line x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\" stroke=\"#222222\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 8.0,
            middle + 4.0,
            escaped(&line.label),
            middle - 6.0,
            (x(line.value) - LEFT).max(1.0),
            line.colour,
            x(line.min),
            x(line.max),
            x(line.value.max(line.max)) + 8.0,
            middle + 4.0,
            escaped(&line.text)
        );
    }
    if let Some(mark) = panel.mark {
        let _ = writeln!(
            body,
            "<line x1=\"{0:.1}\" y1=\"{top:.1}\" x2=\"{0:.1}\" y2=\"{bottom:.1}\" stroke=\"#000000\" stroke-width=\"1.5\"/>",
            x(mark)
        );
    }
    bottom + 30.0
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::{Machine, Part};
    use super::*;
    use crate::samples::Samples;

    #[test]
    fn a_ratio_to_nothing_is_no_endless_axis() {
        let rows = |rounds: &[f64]| Row::new("kill.proxy.failed", "count", &Samples::from(rounds.to_vec()));
        let rows = vec![rows(&[1.0, 0.0]).against(&rows(&[0.0, 0.0])).bar(1.0), rows(&[0.0]).bar(2.0)];
        let part =
            Part { section: "kill".into(), command: String::new(), at: String::new(), seconds: 0, failed: None, rows };
        let report = Report { machine: Machine::read(), command: "a < b".into(), sections: vec![part] };
        let text = plot(&report);
        assert!(text.contains("a &lt; b") && text.ends_with("</svg>\n"));
    }
}

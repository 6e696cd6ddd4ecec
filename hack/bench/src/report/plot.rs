//! The report as a picture.

use std::fmt::Write as _;

use super::Report;
use super::table::number;
use crate::row::{Row, Verdict};

/// The figures in milliseconds as bars on a logarithmic scale: they span a thousandfold.
pub(super) fn plot(report: &Report) -> String {
    let shown: Vec<&Row> =
        report.rows().filter(|row| row.unit == "ms" && row.value.is_finite() && row.value > 0.0).collect();
    let low = shown.iter().map(|row| row.value).fold(f64::INFINITY, f64::min).log10().floor();
    let high = shown.iter().map(|row| row.value).fold(0.0, f64::max).log10().ceil();
    let (left, width, step) = (260.0, 560.0, 22.0);
    let height = 60.0 + step * shown.len() as f64;
    let x = |value: f64| left + (value.log10() - low) / (high - low).max(1.0) * width;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"900\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"18\" font-weight=\"bold\">Milliseconds, one interleaved run (logarithmic)</text>\n"
    );
    let mut power = low as i32;
    while f64::from(power) <= high {
        let at = x(10f64.powi(power));
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"30\" x2=\"{at:.1}\" y2=\"{:.1}\" stroke=\"#dddddd\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666666\">{}</text>",
            height - 24.0,
            height - 8.0,
            10f64.powi(power)
        );
        power += 1;
    }
    for (line, row) in shown.iter().enumerate() {
        let y = 34.0 + step * line as f64;
        let colour = match row.bar.as_ref().map(|bar| bar.verdict) {
            Some(Verdict::Missed) => "#c0392b",
            Some(Verdict::Met) => "#2e7d32",
            Some(Verdict::None) => "#b8860b",
            None => "#4a6fa5",
        };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><rect x=\"{left}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left - 8.0,
            y + 12.0,
            row.id,
            y,
            (x(row.value) - left).max(1.0),
            x(row.value) + 6.0,
            y + 12.0,
            number(row.value)
        );
    }
    svg + "</svg>\n"
}

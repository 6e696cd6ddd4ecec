//! The result: rows with ratios and bars, as a table, as JSON, as a plot.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::error::Error;
use crate::sample::Samples;

/// One figure.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Row {
    /// What was measured, e.g. `cold.proxy.p50`.
    pub(crate) id: String,
    /// Unit of value, min and max.
    pub(crate) unit: &'static str,
    /// The figure.
    pub(crate) value: f64,
    /// Smallest of the samples (or rounds) behind it.
    pub(crate) min: f64,
    /// Largest of them.
    pub(crate) max: f64,
    /// The figure divided by the one it is held against, where there is one.
    pub(crate) ratio: Option<f64>,
    /// What it is held against.
    pub(crate) against: Option<String>,
    /// What the ratio (or, without one, the value) may be at most.
    pub(crate) bar: Option<f64>,
    /// Whether it is within the bar.
    pub(crate) pass: Option<bool>,
}

impl Row {
    /// A quantile of samples.
    pub(crate) fn quantile(id: &str, unit: &'static str, samples: &Samples, q: f64) -> Self {
        Self {
            id: id.into(),
            unit,
            value: samples.quantile(q).unwrap_or(f64::NAN),
            min: samples.min().unwrap_or(f64::NAN),
            max: samples.max().unwrap_or(f64::NAN),
            ratio: None,
            against: None,
            bar: None,
            pass: None,
        }
    }

    /// The median of rounds.
    pub(crate) fn rounds(id: &str, unit: &'static str, samples: &Samples) -> Self {
        Self::quantile(id, unit, samples, 0.5)
    }

    /// Holds it against another figure of the same run. A difference that noise has made zero or negative is nothing to
    /// divide by: then there is no ratio and no verdict.
    pub(crate) fn against(mut self, other: &Self, bar: Option<f64>) -> Self {
        let ratio = (other.value > 0.0).then(|| self.value / other.value);
        self.ratio = ratio;
        self.against = Some(other.id.clone());
        self.bar = bar;
        self.pass = ratio.zip(bar).map(|(ratio, bar)| ratio <= bar);
        self
    }

    /// Holds the figure itself against a bar.
    pub(crate) fn at_most(mut self, bar: f64) -> Self {
        self.bar = Some(bar);
        self.pass = Some(self.value <= bar);
        self
    }
}

/// The machine the figures are of.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Machine {
    /// Processors.
    pub(crate) cores: usize,
    /// The processor's name.
    pub(crate) processor: String,
    /// Memory in GiB.
    pub(crate) memory_gib: f64,
    /// Kernel release.
    pub(crate) kernel: String,
}

impl Machine {
    /// Reads it from /proc.
    pub(crate) fn read() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            text.lines()
                .find(|line| line.starts_with(name))
                .and_then(|line| line.split(':').nth(1))
                .unwrap_or("?")
                .trim()
                .to_owned()
        };
        let cpuinfo = read("/proc/cpuinfo");
        let kib: f64 = field(&read("/proc/meminfo"), "MemTotal")
            .split_whitespace()
            .next()
            .and_then(|kib| kib.parse().ok())
            .unwrap_or(0.0);
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: field(&cpuinfo, "model name"),
            memory_gib: (kib / 1024.0 / 1024.0 * 10.0).round() / 10.0,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// A whole run.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Report {
    /// Where it ran.
    pub(crate) machine: Machine,
    /// How it was made, to be made again.
    pub(crate) command: String,
    /// The figures.
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// As a table for people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{} cores, {}, {} GiB, Linux {}\n\n",
            self.machine.cores, self.machine.processor, self.machine.memory_gib, self.machine.kernel
        );
        let _ = writeln!(
            text,
            "{:<28} {:>10} {:>10} {:>10}  {:<5} {:>7} {:<22} {:>6}  verdict",
            "figure", "value", "min", "max", "unit", "ratio", "against", "bar"
        );
        for row in &self.rows {
            let number = |value: Option<f64>| value.map(|value| format!("{value:.2}")).unwrap_or_default();
            let verdict = match row.pass {
                Some(true) => "within",
                Some(false) => "OVER",
                None => "",
            };
            let _ = writeln!(
                text,
                "{:<28} {:>10.3} {:>10.3} {:>10.3}  {:<5} {:>7} {:<22} {:>6}  {verdict}",
                row.id,
                row.value,
                row.min,
                row.max,
                row.unit,
                number(row.ratio),
                row.against.as_deref().unwrap_or(""),
                number(row.bar),
            );
        }
        text
    }

    /// Writes `latest.json` and `latest.svg` into `dir`.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(dir)?;
        let json = serde_json::to_string_pretty(self).map_err(|error| Error::Request(error.to_string()))?;
        std::fs::write(dir.join("latest.json"), json + "\n")?;
        std::fs::write(dir.join("latest.svg"), self.plot())?;
        Ok(())
    }

    /// The figures in milliseconds as bars on a logarithmic scale: they span a hundredfold.
    fn plot(&self) -> String {
        let shown: Vec<&Row> =
            self.rows.iter().filter(|row| row.unit == "ms" && row.value.is_finite() && row.value > 0.0).collect();
        let low = shown.iter().map(|row| row.value).fold(f64::INFINITY, f64::min).log10().floor();
        let high = shown.iter().map(|row| row.value).fold(0.0, f64::max).log10().ceil();
        let (left, width, step) = (190.0, 560.0, 22.0);
        let height = 60.0 + step * shown.len() as f64;
        let x = |value: f64| left + (value.log10() - low) / (high - low).max(1.0) * width;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 840 {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"840\" height=\"{height}\" fill=\"#ffffff\"/>\n\
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
        for (number, row) in shown.iter().enumerate() {
            let y = 34.0 + step * number as f64;
            let colour = match row.pass {
                Some(false) => "#c0392b",
                Some(true) => "#2e7d32",
                None => "#4a6fa5",
            };
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><rect x=\"{left}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\">{:.2}</text>",
                left - 8.0,
                y + 12.0,
                row.id,
                y,
                (x(row.value) - left).max(1.0),
                x(row.value) + 6.0,
                y + 12.0,
                row.value
            );
        }
        svg + "</svg>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: f64) -> Row {
        let mut samples = Samples::default();
        samples.push(value);
        Row::rounds("row", "ms", &samples)
    }

    #[test]
    fn noise_is_no_verdict() {
        assert_eq!(row(1.0).against(&row(-0.1), Some(1.1)).pass, None);
        assert_eq!(row(3.0).against(&row(1.0), Some(2.0)).pass, Some(false));
        assert_eq!(row(1.0).against(&row(1.0), Some(2.0)).pass, Some(true));
        // A figure that could not be computed is not within a bar.
        assert_eq!(row(f64::NAN).against(&row(1.0), Some(2.0)).pass, Some(false));
    }
}

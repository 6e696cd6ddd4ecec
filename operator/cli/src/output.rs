//! What is written: tables, JSON, YAML, names; colours on a terminal and nowhere else.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Failure;

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The objects, as JSON.
    Json,
    /// The objects, as YAML.
    Yaml,
    /// `kind/name`, one a line.
    Name,
    /// A table with more columns.
    Wide,
}

/// What is known of where output goes.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Standard output takes colours.
    pub colour: bool,
    /// Standard error is a terminal: progress may move.
    pub moves: bool,
}

impl Terminal {
    /// Looks at standard output, standard error, `NO_COLOR` and `TERM`.
    pub fn found() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colour: !plain && std::io::stdout().is_terminal(), moves: std::io::stderr().is_terminal() }
    }

    /// `text` as it is meant.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => "",
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Wait => "33",
            Tone::Bad => "31",
            Tone::Quiet => "2",
        };
        match self.colour && !code.is_empty() && !text.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// How a text is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// A heading.
    Strong,
    /// Well.
    Good,
    /// Not yet.
    Wait,
    /// Not well.
    Bad,
    /// Beside the point.
    Quiet,
}

/// One field of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

impl Cell {
    /// A text with a tone.
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

/// Rows under a header.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Names of the columns.
    pub header: Vec<&'static str>,
    /// As many cells as the header has.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Lines, each with its newline; the last column is not padded, and an empty cell is `-`.
    pub fn render(&self, terminal: Terminal) -> String {
        let shown = |cell: &Cell| match plain(&cell.text).trim() {
            "" => "-".to_owned(),
            text => text.replace('\n', " "),
        };
        let rows: Vec<Vec<(String, Tone)>> =
            self.rows.iter().map(|row| row.iter().map(|cell| (shown(cell), cell.tone)).collect()).collect();
        let header: Vec<(String, Tone)> = self.header.iter().map(|name| ((*name).to_owned(), Tone::Strong)).collect();
        let all: Vec<&Vec<(String, Tone)>> = std::iter::once(&header).chain(&rows).collect();
        let width = |column: usize| {
            all.iter().filter_map(|row| row.get(column)).map(|(text, _)| text.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let mut lines = String::new();
        for row in all {
            for (column, (text, tone)) in row.iter().enumerate() {
                lines.push_str(&terminal.paint(*tone, text));
                if column + 1 < row.len() {
                    let room = widths.get(column).copied().unwrap_or_default() - text.chars().count() + 3;
                    lines.extend(std::iter::repeat_n(' ', room));
                }
            }
            lines.push('\n');
        }
        lines
    }
}

/// `text` without what would move a terminal's cursor, change its colours or set its title: names, messages and logs
/// come from others.
pub fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && char != '\n' && char != '\t' { '\u{fffd}' } else { char }).collect()
}

/// An age as kubectl writes it: two units at most.
pub fn age(from: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(from.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 > 0 => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{minutes}m"),
        10_800..28_800 if minutes % 60 > 0 => format!("{hours}h{}m", minutes % 60),
        10_800..172_800 => format!("{hours}h"),
        _ if days < 8 && hours % 24 > 0 => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// Bytes for people.
pub fn bytes(count: i64) -> String {
    match count {
        ..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

/// A digest, cut to what tells it apart.
pub fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

/// Writes to standard output. Who reads may have gone, as `head` does; that is no failure.
///
/// # Errors
/// Standard output cannot be written.
pub fn write(text: &str) -> Result<(), Failure> {
    write_bytes(text.as_bytes())
}

/// Writes to standard output, as it is.
///
/// # Errors
/// Standard output cannot be written.
pub fn write_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line of what is going on to standard error.
pub fn note(text: &str) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(std::io::stderr().lock(), "{}", plain(text));
}

/// An object as JSON, with a newline.
///
/// # Errors
/// It has no form in JSON.
pub fn json(object: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(object).map_err(|error| Failure::Failed(format!("JSON: {error}")))?;
    Ok(format!("{text}\n"))
}

/// An object as YAML.
///
/// # Errors
/// It has no form in YAML.
pub fn yaml(object: &impl Serialize) -> Result<String, Failure> {
    serde_yaml::to_string(object).map_err(|error| Failure::Failed(format!("YAML: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: Terminal = Terminal { colour: false, moves: false };

    #[test]
    fn columns_stand_below_each_other_and_nothing_moves_the_cursor() {
        let table = Table {
            header: vec!["NAME", "SAYS", "AGE"],
            rows: vec![
                vec!["größe".into(), "a\nb\x1b[2J".into(), "1s".into()],
                vec!["x".into(), Cell::default(), "2m".into()],
            ],
        };
        assert_eq!(table.render(PAPER), "NAME    SAYS      AGE\ngröße   a b\u{fffd}[2J   1s\nx       -         2m\n");
        let coloured = Terminal { colour: true, moves: false };
        assert_eq!(coloured.paint(Tone::Good, "yes"), "\x1b[32myes\x1b[0m");
        assert_eq!(coloured.paint(Tone::Good, ""), "");
    }

    #[test]
    fn ages_have_two_units_at_most() {
        let now = jiff::Timestamp::from_second(1_000_000_000).unwrap();
        let ages = [0, 119, 125, 600, 7200, 10_860, 90_000, 180_000, 900_000]
            .map(|seconds| age(jiff::Timestamp::from_second(1_000_000_000 - seconds).unwrap(), now));
        assert_eq!(ages, ["0s", "119s", "2m5s", "10m", "120m", "3h1m", "25h", "2d2h", "10d"]);
    }
}

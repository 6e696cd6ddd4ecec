//! The result of a run: sections with their rows, kept as JSON, shown as a table and as a plot, compared with the
//! last.

mod compare;
mod file;
mod machine;
mod paper;
mod plot;
mod table;

use std::path::Path;

use crate::error::Error;
use crate::row::Row;

pub(crate) use machine::Machine;

/// A whole run.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Where it ran.
    pub(crate) machine: Machine,
    /// How it was made, to be made again.
    pub(crate) command: String,
    /// What was measured, in its order.
    pub(crate) sections: Vec<Part>,
}

/// What one section gave.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Its name on the command line.
    pub(crate) section: String,
    /// The command of the run that measured it.
    pub(crate) command: String,
    /// When it began, UTC.
    pub(crate) at: String,
    /// How long it took.
    pub(crate) seconds: u64,
    /// Why it could not be measured, if so.
    pub(crate) failed: Option<String>,
    /// The figures.
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// Begins one.
    pub(crate) fn new(command: String) -> Self {
        Self { machine: Machine::read(), command, sections: Vec::new() }
    }

    /// The one that is kept in `dir`, if there is one that this version can read.
    pub(crate) fn kept(dir: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(dir.join("latest.json")).ok()?;
        file::read(&text).ok()
    }

    /// This one's sections put in the place of an earlier one's.
    pub(crate) fn onto(&self, earlier: Self) -> Self {
        let mut merged = Self { machine: self.machine.clone(), ..earlier };
        for part in &self.sections {
            match merged.sections.iter_mut().find(|other| other.section == part.section) {
                Some(other) => *other = part.clone(),
                None => merged.sections.push(part.clone()),
            }
        }
        let mut commands: Vec<&str> = Vec::new();
        for part in &merged.sections {
            if !commands.contains(&part.command.as_str()) {
                commands.push(&part.command);
            }
        }
        merged.command = commands.join("; ");
        merged
    }

    /// Every figure.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.sections.iter().flat_map(|part| &part.rows)
    }

    /// As a table for people.
    pub(crate) fn table(&self) -> String {
        table::table(self)
    }

    /// What differs from an earlier one by more than the noise of both.
    pub(crate) fn compared(&self, earlier: &Self) -> String {
        compare::compared(self, earlier)
    }

    /// Shows the figures in the README.
    pub(crate) fn publish(&self, readme: &Path) -> Result<(), Error> {
        paper::put(self, readme)
    }

    /// Writes `latest.json` and `latest.svg` into `dir`.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(dir)?;
        let json = file::write(self).map_err(|error| Error::Request(error.to_string()))?;
        std::fs::write(dir.join("latest.json"), json)?;
        std::fs::write(dir.join("latest.svg"), plot::plot(self))?;
        Ok(())
    }
}

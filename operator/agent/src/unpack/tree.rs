//! The one place that writes: every file and directory is made through a handle of the package's own directory, which
//! the kernel confines, and never over something that is there.

use std::collections::HashSet;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};

use super::limits::Meter;
use super::name;
use super::refusal::{Refused, UnpackError};

/// Which of the two modes a file gets: an archive's own bits (set-uid above all) never pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 0644
    Plain,
    /// 0755
    Executable,
}

impl Mode {
    /// By the mode in an archive.
    pub fn of(bits: u32) -> Self {
        if bits & 0o111 == 0 { Self::Plain } else { Self::Executable }
    }
}

/// A package being unpacked.
pub struct Tree<'a> {
    dir: Dir,
    meter: &'a Meter,
    directories: HashSet<PathBuf>,
    files: u64,
}

impl<'a> Tree<'a> {
    /// Into an empty directory.
    pub fn new(dir: Dir, meter: &'a Meter) -> Self {
        Self { dir, meter, directories: HashSet::new(), files: 0 }
    }

    /// Whether no file was written yet.
    pub fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// The meter that every byte read from the archive must pass.
    pub fn meter(&self) -> &'a Meter {
        self.meter
    }

    /// Makes a directory, and those above it. One that is there already is fine.
    pub fn directory(&mut self, name: &[u8]) -> Result<(), UnpackError> {
        match name::path(name, self.meter.limits())? {
            Some(path) => self.make_directory(&path),
            None => Ok(()),
        }
    }

    /// Writes a file. Its bytes are counted where they are made, so that those of skipped entries count as well:
    /// `content` reads through the meter.
    pub fn file(
        &mut self,
        name: &[u8],
        mode: Mode,
        modified: Option<SystemTime>,
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let Some(path) = name::path(name, self.meter.limits())? else {
            return Err(Refused::Name { name: name::shown(name), why: "is no file's" }.into());
        };
        if name.ends_with(b"/") {
            return Err(Refused::Name { name: name::shown(name), why: "is a directory's, not a file's" }.into());
        }
        self.meter.entry()?;
        if let Some(parent) = path.parent() {
            self.make_directory(parent)?;
        }
        self.files += 1;
        write_file(&self.dir, &path, mode, modified, content, self.meter)
    }

    fn make_directory(&mut self, path: &Path) -> Result<(), UnpackError> {
        if path.as_os_str().is_empty() || self.directories.contains(path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_directory(parent)?;
        }
        self.meter.entry()?;
        self.dir.create_dir(path).map_err(|error| occupied(error, path))?;
        self.directories.insert(path.to_owned());
        Ok(())
    }
}

/// Writes one new file within `dir`, no larger than the bound of one file. `content` counts its own bytes.
pub fn write_file(
    dir: &Dir,
    path: &Path,
    mode: Mode,
    modified: Option<SystemTime>,
    content: &mut impl Read,
    meter: &Meter,
) -> Result<(), UnpackError> {
    let bits = match mode {
        Mode::Plain => 0o644,
        Mode::Executable => 0o755,
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(bits);
    let mut file = dir.open_with(path, &options).map_err(|error| occupied(error, path))?.into_std();
    let limit = meter.limits().file_bytes;
    let mut buffer = [0; 16 << 10];
    let mut written: u64 = 0;
    loop {
        let count = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(UnpackError::reading(error)),
        };
        written += count as u64;
        if written > limit {
            return Err(Refused::FileBytes(limit).into());
        }
        file.write_all(&buffer[..count])?;
    }
    if let Some(modified) = modified {
        // Compiled code in a package is often checked against its source's time; a file system without times is fine.
        let _ = file.set_modified(modified);
    }
    Ok(())
}

fn occupied(error: io::Error, path: &Path) -> UnpackError {
    use io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory};
    match error.kind() {
        AlreadyExists | IsADirectory | NotADirectory => Refused::Duplicate(path.display().to_string()).into(),
        _ => UnpackError::Disk(error),
    }
}

//! The files of a project: what is read, and what never is.

use std::collections::BTreeMap;
use std::path::Path;

use super::{FILE, ProjectError};

/// Files beside `muon.yaml` that list what is no code: one name, or one path from the project's top, a line.
const IGNORE: &str = ".muonignore";
/// Directories that tools fill, and what a project keeps for its tests.
const NEVER: &[&str] = &["node_modules", "__pycache__", "target", "vendor/bundle"];
/// Of the project, not of its code.
const OWN: &[&str] = &["tests", "test"];
/// Files read at most, so that a wrong directory is noticed and not loaded.
const FILES: usize = 2000;
/// Bytes of one file.
const BYTES: u64 = 4 << 20;
/// Directories inside of directories.
const DEPTH: usize = 24;

/// What a project's directory holds, paths with `/` from its top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The text of `muon.yaml`.
    pub manifests: String,
    /// All other files that may be code.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Tree {
    /// Reads a directory. Links are not followed: they may lead anywhere.
    ///
    /// # Errors
    /// It holds no `muon.yaml`, too much, or what cannot be read.
    pub fn read(directory: &Path) -> Result<Self, ProjectError> {
        let shown = directory.display().to_string();
        let manifests = match std::fs::read_to_string(directory.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(ProjectError::NoProject(shown)),
            Err(error) => return Err(unreadable(&directory.join(FILE), &error)),
        };
        let ignored = ignored(directory)?;
        let mut tree = Self { manifests, files: BTreeMap::new() };
        tree.walk(directory, "", &ignored, 0)?;
        Ok(tree)
    }

    fn walk(&mut self, directory: &Path, prefix: &str, ignored: &[String], depth: usize) -> Result<(), ProjectError> {
        let entries = std::fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(directory, &error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if left_out(&name, &path, ignored) {
                continue;
            }
            let kind = entry.file_type().map_err(|error| unreadable(&entry.path(), &error))?;
            if kind.is_dir() {
                if depth == DEPTH {
                    return Err(too_much(&path, format!("directories lie deeper than {DEPTH}")));
                }
                self.walk(&entry.path(), &format!("{path}/"), ignored, depth + 1)?;
            } else if kind.is_file() {
                if self.files.len() == FILES {
                    return Err(too_much(
                        &path,
                        format!(
                            "more than {FILES} files: is this the project's directory? {IGNORE} lists what is no code"
                        ),
                    ));
                }
                let size = entry.metadata().map_err(|error| unreadable(&entry.path(), &error))?.len();
                if size > BYTES {
                    return Err(too_much(
                        &path,
                        format!("{size} bytes are no code for a manifest; {IGNORE} lists what is left out"),
                    ));
                }
                let bytes = std::fs::read(entry.path()).map_err(|error| unreadable(&entry.path(), &error))?;
                self.files.insert(path, bytes);
            }
        }
        Ok(())
    }
}

/// What a project lists as no code.
///
/// # Errors
/// The list is there and cannot be read.
pub fn ignored(directory: &Path) -> Result<Vec<String>, ProjectError> {
    match std::fs::read_to_string(directory.join(IGNORE)) {
        Ok(text) => Ok(text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unreadable(&directory.join(IGNORE), &error)),
    }
}

/// Whether a file or directory, by its name and its path from the project's top, is no code: hidden, a tool's, the project's
/// own, or listed.
pub fn left_out(name: &str, path: &str, ignored: &[String]) -> bool {
    name.starts_with('.')
        || path == FILE
        || path == "README.md"
        || NEVER.iter().any(|never| name == *never || path == *never)
        || name.ends_with(".pyc")
        || OWN.contains(&path)
        || ignored.iter().any(|line| {
            let line = line.trim_end_matches('/');
            match line.strip_prefix('*') {
                Some(end) => name.ends_with(end),
                None => line == name || line.trim_start_matches('/') == path,
            }
        })
}

fn unreadable(path: &Path, error: &std::io::Error) -> ProjectError {
    ProjectError::Unreadable { path: path.display().to_string(), message: error.to_string() }
}

fn too_much(path: &str, message: String) -> ProjectError {
    ProjectError::Unreadable { path: path.to_owned(), message }
}

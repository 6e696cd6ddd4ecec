//! What a builder left, as an archive that is the same for the same content: by name, no times, no owners, two modes.
//!
//! It is held to the bounds of unpacking, so that what could never be loaded fails the build. Links are written as what they
//! lead to, for no link is ever unpacked; one that leads out of the result is refused.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use crate::unpack::Limits;

/// Why a result is no package.
#[derive(thiserror::Error, Debug)]
pub enum NotPacked {
    /// Nothing at `DEPLOY_PKG`.
    #[error("the builder left nothing at {0} (DEPLOY_PKG): it has to put its result there")]
    Nothing(String),
    /// A link to somewhere else, or to nothing.
    #[error("the result holds the link {0}, which leads out of it or to nothing: copy what is meant")]
    Link(String),
    /// Neither file nor directory nor link.
    #[error("the result holds {0}, which is neither a file nor a directory")]
    Special(String),
    /// More than an agent unpacks.
    #[error("the result has more than {what} ({bound}), which no pod would load")]
    Bound {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        bound: u64,
    },
    /// Packed it is too large.
    #[error("the result is larger than {0} bytes though compressed, which no pod would load")]
    TooLarge(u64),
    /// It cannot be read.
    #[error("{path}: {error}")]
    Disk {
        /// What.
        path: String,
        /// Why.
        error: io::Error,
    },
}

/// One file of the result.
struct Entry {
    /// Its name in the archive.
    name: PathBuf,
    /// Where it lies.
    path: PathBuf,
    size: u64,
    executable: bool,
}

/// The archive of what lies at `deploy`: a directory's content, or one file under its own name. It is compressed only where it
/// would be larger than `max` otherwise: it is unpacked far more often than it is packed.
pub fn pack(deploy: &Path, limits: Limits, max: u64) -> Result<Vec<u8>, NotPacked> {
    let root = deploy.canonicalize().map_err(|_| NotPacked::Nothing(deploy.display().to_string()))?;
    let mut walk = Walk { root: root.clone(), limits, entries: 0, bytes: 0, files: Vec::new() };
    if root.is_dir() {
        walk.directory(&root, Path::new(""), 1)?;
    } else {
        walk.entry(&root, Path::new(root.file_name().unwrap_or_default()), 1)?;
    }
    if walk.files.is_empty() {
        return Err(NotPacked::Nothing(deploy.display().to_string()));
    }
    walk.files.sort_by(|a, b| a.name.cmp(&b.name));
    // Header and padding of each file, and the end.
    let size: u64 = walk.files.iter().map(|file| file.size.next_multiple_of(512) + 512).sum::<u64>() + 1024;
    if size <= max {
        return write(&walk.files, Vec::new());
    }
    let packed = write(&walk.files, GzEncoder::new(Bounded { bytes: Vec::new(), max }, Compression::fast()));
    let packed = packed.and_then(|gzip| gzip.finish().map_err(|error| disk(&root, error)));
    match packed {
        Ok(bounded) => Ok(bounded.bytes),
        Err(NotPacked::Disk { error, .. }) if error.kind() == io::ErrorKind::FileTooLarge => {
            Err(NotPacked::TooLarge(max))
        }
        Err(other) => Err(other),
    }
}

fn disk(path: &Path, error: io::Error) -> NotPacked {
    NotPacked::Disk { path: path.display().to_string(), error }
}

struct Walk {
    root: PathBuf,
    limits: Limits,
    entries: u64,
    bytes: u64,
    files: Vec<Entry>,
}

impl Walk {
    fn directory(&mut self, path: &Path, name: &Path, depth: usize) -> Result<(), NotPacked> {
        if depth > self.limits.depth {
            return Err(NotPacked::Bound { what: "levels of directories", bound: self.limits.depth as u64 });
        }
        for found in std::fs::read_dir(path).map_err(|error| disk(path, error))? {
            let found = found.map_err(|error| disk(path, error))?;
            self.entry(&found.path(), &name.join(found.file_name()), depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &Path, depth: usize) -> Result<(), NotPacked> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(NotPacked::Bound { what: "files and directories", bound: self.limits.entries });
        }
        let mut path = path.to_owned();
        let mut metadata = path.symlink_metadata().map_err(|error| disk(&path, error))?;
        if metadata.is_symlink() {
            let shown = || NotPacked::Link(name.display().to_string());
            path = path.canonicalize().map_err(|_| shown())?;
            if !path.starts_with(&self.root) {
                return Err(shown());
            }
            metadata = path.metadata().map_err(|error| disk(&path, error))?;
        }
        if metadata.is_dir() {
            // A link to a directory above itself ends at the bound of the depth.
            return self.directory(&path, name, depth + 1);
        }
        if !metadata.is_file() {
            return Err(NotPacked::Special(name.display().to_string()));
        }
        self.bytes += metadata.len();
        if metadata.len() > self.limits.file_bytes {
            return Err(NotPacked::Bound { what: "bytes in one file", bound: self.limits.file_bytes });
        }
        if self.bytes > self.limits.bytes {
            return Err(NotPacked::Bound { what: "bytes", bound: self.limits.bytes });
        }
        let executable = metadata.permissions().mode() & 0o111 != 0;
        self.files.push(Entry { name: name.to_owned(), path, size: metadata.len(), executable });
        Ok(())
    }
}

fn write<W: io::Write>(files: &[Entry], into: W) -> Result<W, NotPacked> {
    let mut archive = Builder::new(into);
    for file in files {
        let failed = |error| disk(&file.path, error);
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(file.size);
        header.set_mode(if file.executable { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let content = File::open(&file.path).map_err(failed)?;
        archive.append_data(&mut header, &file.name, io::Read::take(content, file.size)).map_err(failed)?;
    }
    archive.into_inner().map_err(|error| disk(Path::new("the archive"), error))
}

/// Memory with an end.
struct Bounded {
    bytes: Vec<u8>,
    max: u64,
}

impl io::Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + data.len()) as u64 > self.max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

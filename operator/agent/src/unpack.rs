//! An archive becomes a directory: whole or not at all, inside the code directory or nowhere, within bounds.
//!
//! tar, tar.gz, tar.zst and zip are told by their bytes; anything else is a package of one plain file. Regular files
//! and directories are unpacked; links, devices and pipes are refused, since nothing that unpacks can tell a harmless
//! link from one that a later entry walks through. What is refused is refused whole, with the entry's name.

mod gzip;
mod limits;
mod name;
mod refusal;
mod tarball;
mod tree;
mod zipfile;
mod zstd;

use std::fs::File;
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::Dir;

pub use limits::{Limits, Meter};
pub use refusal::{Refused, UnpackError};
use tree::Tree;

/// The unpacked package's name inside the code directory.
pub const PACKAGE: &str = "deployarchive";
/// Where a runtime of the first contract looks for its code, beside the code directory.
pub const V1_NAME: &str = "user";
const STAGING: &str = ".staging";
/// What is read from a file, or from the network, at once.
const BUFFER: usize = 64 << 10;

/// A verified archive.
#[derive(Debug)]
pub enum Archive {
    /// Small: kept in memory.
    Memory(Bytes),
    /// Large: spilled to a file that has no name any more, or loses it when the load ends.
    File(File),
    /// Large, and still coming: a tar, compressed or not, that is read in one go.
    Coming(Coming),
}

/// An archive whose end is not there yet, nor verified.
pub struct Coming {
    /// How it begins, enough to tell what it is (see [`can_come`]).
    pub first: Bytes,
    /// What follows. It ends only once all of it is verified; what cannot be, ends with an error.
    pub rest: Box<dyn Read + Send>,
    /// Bytes of the whole.
    pub size: u64,
}

impl std::fmt::Debug for Coming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coming").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Whether an archive that begins so can be unpacked while it comes.
pub fn can_come(first: &[u8]) -> bool {
    matches!(Form::of(&mut Cursor::new(first)), Ok(Form::Tar | Form::TarGz | Form::TarZst))
}

/// Unpacks `archive` into `code_dir` and returns the package's path. Blocks; ends by itself at `until`.
pub fn unpack(archive: Archive, code_dir: &Path, limits: Limits, until: Instant) -> Result<PathBuf, UnpackError> {
    let root = Dir::open_ambient_dir(code_dir, ambient_authority())?;
    remove(&root, STAGING)?;
    remove(&root, PACKAGE)?;
    let unpacked = stage(archive, &root, limits, until);
    if let Err(error) = unpacked {
        // The error that matters is the first; what cannot be removed now is removed before the next load.
        let _ = remove(&root, STAGING);
        return Err(error);
    }
    root.rename(STAGING, &root, PACKAGE)?;
    Ok(code_dir.join(PACKAGE))
}

/// Makes the package reachable under the name that the first contract's runtimes read: the single file where the
/// package has one, the directory otherwise.
pub fn link_for_v1(code_dir: &Path) -> io::Result<()> {
    let (Some(parent), Some(code)) = (code_dir.parent(), code_dir.file_name()) else {
        return Err(io::Error::other(format!("{} has no directory around it", code_dir.display())));
    };
    let package = Path::new(code).join(PACKAGE);
    let target = match single_file(&Dir::open_ambient_dir(code_dir, ambient_authority())?)? {
        Some(name) => package.join(name),
        None => package,
    };
    let root = Dir::open_ambient_dir(parent, ambient_authority())?;
    remove(&root, V1_NAME)?;
    root.symlink(target, V1_NAME)
}

/// The name of the only file in the package's directory, when there is one file and nothing else.
fn single_file(root: &Dir) -> io::Result<Option<std::ffi::OsString>> {
    if !root.symlink_metadata(PACKAGE)?.is_dir() {
        return Ok(None);
    }
    let mut entries = root.read_dir(PACKAGE)?;
    let (Some(first), None) = (entries.next().transpose()?, entries.next()) else {
        return Ok(None);
    };
    Ok(first.file_type()?.is_file().then(|| first.file_name()))
}

fn remove(root: &Dir, name: &str) -> io::Result<()> {
    match root.symlink_metadata(name) {
        Ok(metadata) if metadata.is_dir() => root.remove_dir_all(name),
        Ok(_) => root.remove_file(name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn stage(archive: Archive, root: &Dir, limits: Limits, until: Instant) -> Result<(), UnpackError> {
    match archive {
        Archive::Memory(bytes) => {
            let size = bytes.len() as u64;
            stage_from(Cursor::new(bytes), root, Meter::new(limits, size, until))
        }
        Archive::File(file) => {
            let size = file.metadata()?.len();
            stage_from(io::BufReader::with_capacity(BUFFER, file), root, Meter::new(limits, size, until))
        }
        Archive::Coming(Coming { first, rest, size }) => {
            let form = Form::of(&mut Cursor::new(&first))?;
            let archive = io::BufReader::with_capacity(BUFFER, Cursor::new(first).chain(rest));
            stage_tar(form, archive, root, &Meter::new(limits, size, until))
        }
    }
}

fn stage_from<R: BufRead + Seek>(mut archive: R, root: &Dir, meter: Meter) -> Result<(), UnpackError> {
    match Form::of(&mut archive)? {
        form @ (Form::Tar | Form::TarGz | Form::TarZst) => stage_tar(form, archive, root, &meter),
        Form::Zip => in_directory(root, &meter, |tree| zipfile::unpack(archive, tree)),
        Form::Plain => {
            meter.entry()?;
            let mut content = limits::Metered::new(archive, &meter);
            tree::write_file(root, Path::new(STAGING), tree::Mode::Plain, None, &mut content, &meter)
        }
    }
}

/// A tar is read once, from its beginning to its end.
fn stage_tar(form: Form, mut archive: impl BufRead, root: &Dir, meter: &Meter) -> Result<(), UnpackError> {
    let source = &mut archive;
    match form {
        Form::TarGz => in_directory(root, meter, |tree| tarball::unpack(gzip::Decoder::new(source), tree)),
        Form::TarZst => in_directory(root, meter, |tree| tarball::unpack(zstd::Decoder::new(source), tree)),
        _ => in_directory(root, meter, |tree| tarball::unpack(source, tree)),
    }?;
    // Only at its very end is one that is still coming known to be what was ordered.
    io::copy(&mut archive, &mut io::sink()).map_err(UnpackError::reading)?;
    Ok(())
}

fn in_directory(
    root: &Dir,
    meter: &Meter,
    fill: impl FnOnce(&mut Tree<'_>) -> Result<(), UnpackError>,
) -> Result<(), UnpackError> {
    root.create_dir(STAGING)?;
    let mut tree = Tree::new(root.open_dir(STAGING)?, meter);
    fill(&mut tree)?;
    if tree.is_empty() {
        return Err(Refused::Empty.into());
    }
    Ok(())
}

/// How a package is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Tar,
    TarGz,
    TarZst,
    Zip,
    Plain,
}

impl Form {
    /// Looks at the first bytes and goes back to the start.
    fn of<R: BufRead + Seek>(archive: &mut R) -> Result<Self, UnpackError> {
        archive.seek(SeekFrom::Start(0))?;
        let first = first_block(archive)?;
        archive.seek(SeekFrom::Start(0))?;
        if first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06") {
            return Ok(Self::Zip);
        }
        if tarball::is_header(&first) {
            return Ok(Self::Tar);
        }
        let (inside, form) = if gzip::is_header(&first) {
            (first_block(&mut gzip::Decoder::new(&mut *archive)), Self::TarGz)
        } else if zstd::is_header(&first) {
            (first_block(&mut zstd::Decoder::new(&mut *archive)), Self::TarZst)
        } else {
            return Ok(Self::Plain);
        };
        archive.seek(SeekFrom::Start(0))?;
        // A compressed file that holds no tar is a file like any other. What cannot be read would be taken for one.
        let is_tar = tarball::is_header(&inside.map_err(UnpackError::reading)?);
        Ok(if is_tar { form } else { Self::Plain })
    }
}

fn first_block(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut block = Vec::with_capacity(512);
    reader.take(512).read_to_end(&mut block)?;
    Ok(block)
}

#[cfg(test)]
mod tests;

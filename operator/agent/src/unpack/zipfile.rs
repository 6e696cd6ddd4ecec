//! zip: two passes over the central directory, which is never held in memory. The first checks every entry and that
//! no two share bytes; the second unpacks.

use std::io::{BufReader, Read, Seek};

use zip::CompressionMethod;
use zip::ZipReadOptions;
use zip::read::{Config, ZipFileEntry};
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use super::limits::Metered;
use super::name;
use super::refusal::{Refused, UnpackError};
use super::tree::{Mode, Tree};

const KIND_MASK: u32 = 0o170_000;
const KIND_FILE: u32 = 0o100_000;
const KIND_DIRECTORY: u32 = 0o040_000;
const KIND_LINK: u32 = 0o120_000;
/// Bytes of a local header before the name.
const LOCAL_HEADER: u64 = 30;

/// Unpacks the zip in `archive`.
pub fn unpack(archive: impl Read + Seek, tree: &mut Tree<'_>) -> Result<(), UnpackError> {
    let archive = BufReader::with_capacity(16 << 10, archive);
    let archive = ZipIterable::try_new(archive, Config::default()).map_err(reading)?;
    let mut archive = archive.enforce_header_consistency(true);
    let limit = tree.meter().limits().entries;
    if archive.len() as u64 > limit {
        return Err(Refused::Entries(limit).into());
    }
    check(&mut archive)?;
    let files = archive.files().map_err(reading)?;
    while let Some(entry) = files.next() {
        let entry = entry.map_err(reading)?;
        if entry.is_dir() {
            tree.directory(entry.name_raw())?;
            continue;
        }
        let name = entry.name_raw().to_vec();
        let (size, mode) = (entry.size(), Mode::of(entry.unix_mode().unwrap_or(0)));
        let content = entry.with_reader(files.reader_mut(), ZipReadOptions::new()).map_err(reading)?;
        // One byte more than it says tells a header that lies; without it, such a file would be cut silently.
        let mut content = Metered::new(content, tree.meter()).take(size.saturating_add(1));
        tree.file(&name, mode, None, &mut content)?;
        if content.limit() != 1 {
            let name = name::shown(&name);
            return Err(Refused::Damaged(format!("{name:?} is not of the size that the archive says")).into());
        }
    }
    Ok(())
}

fn check(archive: &mut ZipIterable<impl Read + Seek>) -> Result<(), UnpackError> {
    let mut ranges = Vec::with_capacity(archive.len());
    for entry in archive.files().map_err(reading)? {
        let entry = entry.map_err(reading)?;
        check_entry(&entry)?;
        let start = entry.header_start();
        let end = LOCAL_HEADER
            .checked_add(entry.name_raw().len() as u64)
            .and_then(|length| length.checked_add(entry.compressed_size()))
            .and_then(|length| start.checked_add(length))
            .ok_or_else(|| Refused::Damaged("an entry ends beyond the end".into()))?;
        ranges.push((start, end));
    }
    ranges.sort_unstable();
    if ranges.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err(Refused::Damaged("two entries share bytes".into()).into());
    }
    Ok(())
}

fn check_entry(entry: &ZipFileEntry<'_>) -> Result<(), Refused> {
    let name = || name::shown(entry.name_raw());
    let kind = entry.unix_mode().unwrap_or(0) & KIND_MASK;
    match kind {
        0 | KIND_FILE => {}
        KIND_DIRECTORY if entry.is_dir() => {}
        KIND_LINK => return Err(Refused::Kind { name: name(), kind: "symbolic link" }),
        _ => return Err(Refused::Kind { name: name(), kind: "device, pipe or socket" }),
    }
    if entry.encrypted() {
        return Err(Refused::Unsupported { name: name(), what: "is encrypted" });
    }
    if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(Refused::Unsupported { name: name(), what: "is compressed by another method than deflate" });
    }
    Ok(())
}

fn reading(error: ZipError) -> UnpackError {
    match error {
        ZipError::Io(error) => UnpackError::reading(error),
        other => Refused::Damaged(other.to_string()).into(),
    }
}

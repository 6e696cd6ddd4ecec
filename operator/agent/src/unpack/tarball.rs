//! tar: headers are taken raw from the reader, and the few extensions that matter are read here, each bounded. A
//! library that reads them by itself holds a long name of any length in memory.

use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use tar::{Entry, EntryType, Header};

use super::limits::Metered;
use super::name;
use super::refusal::{Refused, UnpackError};
use super::tree::{Mode, Tree};

/// Bytes of one extension header (a long name, a PAX record set).
const MAX_EXTENSION: u64 = 64 << 10;

/// Whether these bytes are a tar header: the checksum is right, or nothing but zeros (the end, of an empty archive).
pub fn is_header(block: &[u8]) -> bool {
    let Ok(block) = <&[u8; 512]>::try_from(block) else {
        return false;
    };
    if block.iter().all(|byte| *byte == 0) {
        return true;
    }
    let mut header = Header::new_old();
    header.as_mut_bytes().copy_from_slice(block);
    let sum = block[..148].iter().chain(&block[156..]).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
    header.cksum().is_ok_and(|expected| expected == sum)
}

/// Unpacks the tar in `archive`.
pub fn unpack(archive: impl Read, tree: &mut Tree<'_>) -> Result<(), UnpackError> {
    let mut archive = tar::Archive::new(Metered::new(archive, tree.meter()));
    let mut extensions = Extensions::default();
    for entry in archive.entries().map_err(UnpackError::reading)?.raw(true) {
        let mut entry = entry.map_err(UnpackError::reading)?;
        // Each header costs: those of extensions, and of a directory that is there already.
        tree.meter().header()?;
        check_size(entry.header())?;
        match entry.header().entry_type() {
            EntryType::GNULongName => extensions.long_name(&mut entry)?,
            EntryType::XHeader => extensions.pax(&mut entry)?,
            EntryType::XGlobalHeader => refuse_global_names(&mut entry)?,
            _ => unpack_entry(&mut entry, std::mem::take(&mut extensions), tree)?,
        }
    }
    if !extensions.is_empty() {
        return Err(Refused::Damaged("it ends where an entry should follow".into()).into());
    }
    // A compressed stream says only at its end whether it is whole.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(UnpackError::reading)?;
    Ok(())
}

/// A size of more than 64 bits: readers that take the lower ones would go on somewhere inside the entry.
fn check_size(header: &Header) -> Result<(), Refused> {
    match header.as_old().size {
        [0x80, 0, 0, 0, ..] => Ok(()),
        [first, ..] if first & 0x80 != 0 => Err(Refused::Damaged("the size of an entry is out of all bounds".into())),
        _ => Ok(()),
    }
}

fn unpack_entry(
    entry: &mut Entry<'_, impl Read>,
    extensions: Extensions,
    tree: &mut Tree<'_>,
) -> Result<(), UnpackError> {
    let header_size = entry.header().entry_size().map_err(UnpackError::reading)?;
    let name = extensions.name.unwrap_or_else(|| entry.path_bytes().into_owned());
    let refuse_kind = |kind| Err(Refused::Kind { name: name::shown(&name), kind }.into());
    if extensions.size.is_some_and(|size| size != header_size) {
        // Readers that differ about where an entry ends see different archives.
        let what = "has two sizes, one in its header and one in its extension";
        return Err(Refused::Unsupported { name: name::shown(&name), what }.into());
    }
    let kind = entry.header().entry_type();
    let mode = Mode::of(entry.header().mode().unwrap_or(0));
    let modified = entry.header().mtime().ok().filter(|seconds| (1..1 << 40).contains(seconds));
    let modified = modified.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    match kind {
        EntryType::Directory => tree.directory(&name),
        // Archives older than the type field mark a directory by its name.
        EntryType::Regular if entry.header().as_old().linkflag[0] == 0 && name.ends_with(b"/") => tree.directory(&name),
        EntryType::Regular => write(tree, &name, mode, modified, header_size, entry),
        EntryType::Link => refuse_kind("hard link"),
        EntryType::Symlink => refuse_kind("symbolic link"),
        EntryType::Char => refuse_kind("character device"),
        EntryType::Block => refuse_kind("block device"),
        EntryType::Fifo => refuse_kind("named pipe"),
        EntryType::GNUSparse => refuse_kind("sparse file"),
        EntryType::GNULongLink => refuse_kind("link with a long target"),
        _ => refuse_kind("entry of an unknown type"),
    }
}

fn write(
    tree: &mut Tree<'_>,
    name: &[u8],
    mode: Mode,
    modified: Option<SystemTime>,
    size: u64,
    entry: &mut Entry<'_, impl Read>,
) -> Result<(), UnpackError> {
    let mut counted = Counted { inner: entry, count: 0 };
    tree.file(name, mode, modified, &mut counted)?;
    if counted.count != size {
        return Err(Refused::Damaged(format!("it ends inside {:?}", name::shown(name))).into());
    }
    Ok(())
}

struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

/// What extension headers say about the entry that follows them.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    seen: bool,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        !self.seen
    }

    fn long_name(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), UnpackError> {
        let mut name = read_bounded(entry)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        self.set_name(name)
    }

    fn pax(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), UnpackError> {
        self.seen = true;
        let records = read_bounded(entry)?;
        for record in Records(&records) {
            let (key, value) = record?;
            match key {
                b"path" => self.set_name(value.to_vec())?,
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    self.size = Some(size.ok_or_else(|| Refused::Damaged("a PAX size is no number".into()))?);
                }
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err(Refused::Kind { name: name::shown(key), kind: "record of a sparse file" }.into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn set_name(&mut self, name: Vec<u8>) -> Result<(), UnpackError> {
        self.seen = true;
        match self.name.replace(name) {
            None => Ok(()),
            Some(first) => Err(Refused::Unsupported { name: name::shown(&first), what: "has two long names" }.into()),
        }
    }
}

/// A global header may carry a comment (git writes one), but no name, size or target for all entries that follow.
fn refuse_global_names(entry: &mut Entry<'_, impl Read>) -> Result<(), UnpackError> {
    let records = read_bounded(entry)?;
    for record in Records(&records) {
        let (key, _) = record?;
        if matches!(key, b"path" | b"size" | b"linkpath") || key.starts_with(b"GNU.sparse.") {
            return Err(Refused::Unsupported { name: name::shown(key), what: "is set for all entries at once" }.into());
        }
    }
    Ok(())
}

fn read_bounded(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, UnpackError> {
    let size = entry.header().entry_size().map_err(UnpackError::reading)?;
    if size > MAX_EXTENSION {
        return Err(Refused::Name { name: "…".into(), why: "is too long" }.into());
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(UnpackError::reading)?;
    if bytes.len() as u64 != size {
        return Err(Refused::Damaged("it ends inside an extension header".into()).into());
    }
    Ok(bytes)
}

/// PAX records: `length SP key=value LF`, where the length counts the whole record.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = self.split();
        if record.is_none() {
            self.0 = &[];
        }
        Some(record.ok_or_else(|| Refused::Damaged("a PAX record is malformed".into())))
    }
}

impl<'a> Records<'a> {
    fn split(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let space = self.0.iter().take(8).position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&self.0[..space]).ok()?.parse().ok()?;
        let (record, rest) = self.0.split_at_checked(length)?;
        let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
        let equals = body.iter().position(|byte| *byte == b'=')?;
        self.0 = rest;
        Some((&body[..equals], &body[equals + 1..]))
    }
}

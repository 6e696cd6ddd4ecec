//! Inline files to a tar archive that is the same for the same files, always and everywhere.

use std::collections::BTreeMap;

/// Longest file name, in bytes.
pub const MAX_NAME: usize = 255;

/// A file name that cannot be packed.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
#[error("file {name:?}: {why}")]
pub struct BadName {
    /// The name, cut to a readable length.
    pub name: String,
    /// What is wrong with it and what is wanted.
    pub why: &'static str,
}

/// Whether a name is a plain relative path below the package's directory.
pub fn check_name(name: &str) -> Result<(), BadName> {
    let why = if name.is_empty() {
        "the name is empty"
    } else if name.len() > MAX_NAME {
        "the name is longer than 255 bytes"
    } else if name.starts_with('/') {
        "the name must be a relative path, without a leading '/'"
    } else if name.contains('\\') {
        "the name must not contain a backslash; directories are separated by '/'"
    } else if name.contains(char::is_control) {
        "the name must not contain control characters"
    } else if name.split('/').any(|part| part == "..") {
        "the name must not contain '..'"
    } else if name.split('/').any(|part| part.is_empty() || part == ".") {
        "the name must not contain empty parts or '.'"
    } else {
        return Ok(());
    };
    Err(BadName { name: name.chars().take(80).collect(), why })
}

/// Checks all names, and that no file stands where another one needs a directory.
pub fn check(files: &BTreeMap<String, String>) -> Result<(), BadName> {
    for name in files.keys() {
        check_name(name)?;
        let blocked = name.match_indices('/').any(|(end, _)| files.contains_key(&name[..end]));
        if blocked {
            let why = "one of the directories in the name is itself a file of this package";
            return Err(BadName { name: name.chars().take(80).collect(), why });
        }
    }
    Ok(())
}

/// The archive: files sorted by name, no times, no owners, mode 0644. Names must have been [`check`]ed.
pub fn tar(files: &BTreeMap<String, String>) -> Vec<u8> {
    archive(files.iter().map(|(name, text)| (name.as_str(), text.as_bytes(), false)))
}

/// The same of any content. The order is the caller's; a file that may be executed has mode 0755.
pub fn archive<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8], bool)>) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content, executable) in files {
        entry(&mut archive, name, content, if executable { 0o755 } else { 0o644 });
    }
    // Two empty blocks end an archive.
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

const BLOCK: usize = 512;
/// Longer names go into an entry of their own, in the way that GNU tar began and everybody reads.
const SHORT_NAME: usize = 100;

fn entry(archive: &mut Vec<u8>, name: &str, content: &[u8], mode: u32) {
    if name.len() > SHORT_NAME {
        let mut long = name.as_bytes().to_vec();
        long.push(0);
        block(archive, b"././@LongLink", tar::EntryType::GNULongName, &long, 0o644);
    }
    let short = &name.as_bytes()[..name.len().min(SHORT_NAME)];
    block(archive, short, tar::EntryType::Regular, content, mode);
}

fn block(archive: &mut Vec<u8>, name: &[u8], type_: tar::EntryType, content: &[u8], mode: u32) {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(type_);
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
}

#[cfg(test)]
mod tests;

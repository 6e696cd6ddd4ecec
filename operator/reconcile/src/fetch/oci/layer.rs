//! Layers over one another.

use std::io::{self, Cursor, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tar::EntryType;

use super::Descriptor;
use crate::fetch::FetchError;
use crate::fetch::tree::Tree;

/// The name of a file that is a layer by itself, as ORAS has it.
const TITLE: &str = "org.opencontainers.image.title";
/// A file of this name removes the one that follows the prefix.
const WHITEOUT: &str = ".wh.";
/// And this one what is in the directory.
const OPAQUE: &str = ".wh..wh..opq";
/// Headers and what they say of themselves, beside the files' own bytes.
const SLACK: u64 = 32 << 20;
/// Entries of one layer.
const MAX_ENTRIES: usize = 100_000;

/// Whether a layer of this type is an archive, by its name; the agent looks at its bytes.
pub(super) fn is_archive(media_type: &str) -> bool {
    let compressed =
        [".tar", "+tar", ".tar+gzip", ".tar.gzip", "+gzip", ".tar+zstd", "+zstd", "+zip", "/zip", "/gzip", "/x-tar"];
    compressed.iter().any(|end| media_type.ends_with(end))
}

/// Lays a layer over what there is.
pub(super) async fn lay(tree: Tree, descriptor: Descriptor, content: Bytes) -> Result<Tree, FetchError> {
    // Inflating is work, and not for the threads that everything else runs on.
    let laid = tokio::task::spawn_blocking(move || lay_now(tree, &descriptor, content)).await;
    laid.map_err(|error| FetchError::Content(format!("a layer cannot be read: {error}")))?
}

fn lay_now(mut tree: Tree, descriptor: &Descriptor, content: Bytes) -> Result<Tree, FetchError> {
    let gzip = content.starts_with(&[0x1f, 0x8b]);
    if !is_archive(&descriptor.media_type) {
        let title = descriptor.annotations.get(TITLE).ok_or_else(|| {
            let media_type = &descriptor.media_type;
            FetchError::Content(format!("a layer of type {media_type:?} is neither an archive nor a file with a title"))
        })?;
        tree.file(title, content, false)?;
        return Ok(tree);
    }
    let max = tree.max() + SLACK;
    let reader: Box<dyn Read> = match gzip {
        true => Box::new(MultiGzDecoder::new(Cursor::new(content))),
        false => Box::new(Cursor::new(content)),
    };
    let mut archive = tar::Archive::new(reader.take(max));
    for (number, entry) in archive.entries().map_err(unreadable)?.enumerate() {
        if number >= MAX_ENTRIES {
            return Err(FetchError::Content(format!("a layer has more than {MAX_ENTRIES} entries")));
        }
        take(&mut tree, entry.map_err(unreadable)?)?;
    }
    Ok(tree)
}

fn unreadable(error: io::Error) -> FetchError {
    FetchError::Content(format!("a layer is no tar or tar.gz that can be read: {error}"))
}

/// One entry of a layer.
fn take<R: Read>(tree: &mut Tree, mut entry: tar::Entry<'_, R>) -> Result<(), FetchError> {
    let name = plain(&entry.path_bytes())?;
    let (directory, file) = name.rsplit_once('/').unwrap_or(("", &name));
    if file == OPAQUE {
        tree.empty(directory);
        return Ok(());
    }
    if let Some(removed) = file.strip_prefix(WHITEOUT) {
        let removed = if directory.is_empty() { removed.to_owned() } else { format!("{directory}/{removed}") };
        tree.remove(&removed);
        return Ok(());
    }
    let target = match entry.link_name_bytes() {
        Some(target) => Some(String::from_utf8(target.into_owned()).map_err(|_| not_text())?),
        None => None,
    };
    match (entry.header().entry_type(), target) {
        (EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse, _) => {
            let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
            let mut content = Vec::new();
            let room = tree.room();
            entry.by_ref().take(room + 1).read_to_end(&mut content).map_err(unreadable)?;
            Ok(tree.file(&name, content.into(), executable)?)
        }
        (EntryType::Directory, _) => Ok(()),
        (EntryType::Symlink, Some(target)) => Ok(tree.link(&name, &target)?),
        (EntryType::Link, Some(target)) => Ok(tree.copy(&name, &plain(target.as_bytes())?)?),
        (other, _) => {
            Err(FetchError::Content(format!("a layer has {name:?}, which is no file, directory or link ({other:?})")))
        }
    }
}

/// A name as layers have them, without what leads nowhere: `./a/` is `a`.
fn plain(name: &[u8]) -> Result<String, FetchError> {
    let name = std::str::from_utf8(name).map_err(|_| not_text())?;
    let parts: Vec<_> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    Ok(parts.join("/"))
}

fn not_text() -> FetchError {
    FetchError::Content("a layer has a name that is not UTF-8".to_owned())
}

//! From a commit to its files.

use bytes::Bytes;

use super::pack::{Id, Kind, Objects};
use crate::fetch::FetchError;
use crate::fetch::tree::Tree;

/// Directories within directories.
const MAX_DEPTH: usize = 32;
/// Directories that are looked into: one and the same may be named from many places.
const MAX_DIRECTORIES: usize = 20_000;

/// The files of the commit, below a directory, as an archive.
pub(super) fn archive(objects: &Objects, commit: Id, path: &str, max: u64) -> Result<Bytes, FetchError> {
    let text = objects.get(&commit, Kind::Commit).ok_or_else(|| {
        FetchError::Missing(format!(
            "{commit} is no commit of the repository (tags have names of their own: give what they are tags of)"
        ))
    })?;
    let tree =
        text.strip_prefix(b"tree ").and_then(|rest| std::str::from_utf8(rest.get(..40)?).ok()).and_then(Id::parse);
    let mut root = tree.ok_or_else(damaged)?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let found = entries(objects, &root)?.into_iter().find(|entry| entry.name == part && entry.mode == DIRECTORY);
        root = found.ok_or_else(|| FetchError::Missing(format!("the commit has no directory {path:?}")))?.id;
    }
    let mut walk = Walk { objects, tree: Tree::new(max), directories: 0 };
    walk.directory(&root, "", 0)?;
    Ok(walk.tree.archive()?)
}

const DIRECTORY: &str = "40000";

struct Entry<'a> {
    mode: &'a str,
    name: &'a str,
    id: Id,
}

fn entries<'a>(objects: &'a Objects, tree: &Id) -> Result<Vec<Entry<'a>>, FetchError> {
    let mut rest: &[u8] = objects.get(tree, Kind::Tree).ok_or_else(damaged)?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, more) = entry(rest).ok_or_else(damaged)?;
        rest = more;
        entries.push(entry);
    }
    Ok(entries)
}

/// `mode name NUL id`.
fn entry(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let (mode, name) = std::str::from_utf8(&bytes[..end]).ok()?.split_once(' ')?;
    let (id, rest) = bytes.get(end + 1..)?.split_at_checked(20)?;
    Some((Entry { mode, name, id: Id::of_bytes(id)? }, rest))
}

struct Walk<'a> {
    objects: &'a Objects,
    tree: Tree,
    directories: usize,
}

impl Walk<'_> {
    fn directory(&mut self, id: &Id, path: &str, depth: usize) -> Result<(), FetchError> {
        self.directories += 1;
        if depth > MAX_DEPTH || self.directories > MAX_DIRECTORIES {
            return Err(FetchError::Content(format!(
                "the commit has more than {MAX_DIRECTORIES} directories, or more than {MAX_DEPTH} within one another"
            )));
        }
        for Entry { mode, name, id } in entries(self.objects, id)? {
            // Only a commit that was made by hand has such a one.
            if name.contains('/') || name.eq_ignore_ascii_case(".git") {
                return Err(FetchError::Content(format!("the commit has an entry named {name:?}")));
            }
            let name = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            let content = || self.objects.get(&id, Kind::Blob).ok_or_else(damaged).cloned();
            match mode {
                DIRECTORY => self.directory(&id, &name, depth + 1)?,
                "100755" => self.tree.file(&name, content()?, true)?,
                "100644" | "100664" => self.tree.file(&name, content()?, false)?,
                "120000" => {
                    let target = content()?;
                    let target = std::str::from_utf8(&target).map_err(|_| damaged())?;
                    self.tree.link(&name, target)?;
                }
                // A submodule is a commit of another repository, and left out.
                "160000" => {}
                _ => return Err(damaged()),
            }
        }
        Ok(())
    }
}

fn damaged() -> FetchError {
    FetchError::Content("the repository sent a commit that is not whole".to_owned())
}

//! Files that come one by one, from a commit or from the layers of an image, on their way to one archive that is the
//! same for the same files.

use std::collections::BTreeMap;

use bytes::Bytes;
use muon_plan::pack::{self, BadName};

/// Files at most: as many as an agent unpacks.
const MAX_FILES: usize = 20_000;
/// Links that lead to links.
const MAX_HOPS: usize = 8;
/// Longest target of a link.
const MAX_TARGET: usize = 1024;

/// Why no archive is made of the files.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
pub enum TreeError {
    /// A name that cannot be packed.
    #[error(transparent)]
    Name(#[from] BadName),
    /// Too many.
    #[error("there are more than {MAX_FILES} files in it")]
    Files,
    /// Too much.
    #[error(
        "its files have more than {max} bytes, the installation's bound for what has to be unpacked and packed again"
    )]
    Bytes {
        /// The bound.
        max: u64,
    },
    /// A link that leads nowhere good.
    #[error(
        "{name} is a link to {target:?}, which is no file of the package: links lead to files beside them, or are left out"
    )]
    Link {
        /// The link.
        name: String,
        /// Where it leads.
        target: String,
    },
}

#[derive(Clone, Debug)]
enum Node {
    File { content: Bytes, executable: bool },
    Link(String),
}

/// The files so far.
#[derive(Debug)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
    bytes: u64,
    max: u64,
}

impl Tree {
    /// None yet; of at most so many bytes.
    pub fn new(max: u64) -> Self {
        Self { nodes: BTreeMap::new(), bytes: 0, max }
    }

    /// A file; what stood in its way goes.
    pub fn file(&mut self, name: &str, content: Bytes, executable: bool) -> Result<(), TreeError> {
        self.count(content.len() as u64)?;
        self.insert(name, Node::File { content, executable })
    }

    /// A symbolic link, which becomes a copy of the file that it leads to.
    pub fn link(&mut self, name: &str, target: &str) -> Result<(), TreeError> {
        if target.len() > MAX_TARGET {
            return Err(TreeError::Link { name: name.to_owned(), target: target.chars().take(80).collect() });
        }
        self.insert(name, Node::Link(target.to_owned()))
    }

    /// A second name of a file that is there.
    pub fn copy(&mut self, name: &str, of: &str) -> Result<(), TreeError> {
        match self.nodes.get(of).cloned() {
            Some(node) => self.insert(name, node),
            None => Err(TreeError::Link { name: name.to_owned(), target: of.to_owned() }),
        }
    }

    /// Takes a file, or a directory with all that is in it, out.
    pub fn remove(&mut self, name: &str) {
        self.nodes.remove(name);
        self.empty(name);
    }

    /// Takes out all that is in a directory; of the empty name, everything.
    pub fn empty(&mut self, directory: &str) {
        let below = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let inside: Vec<_> = self
            .nodes
            .range(below.clone()..)
            .take_while(|(name, _)| name.starts_with(&below))
            .map(|(name, _)| name.clone())
            .collect();
        for name in inside {
            self.nodes.remove(&name);
        }
    }

    /// Bytes that may have been taken in, in all.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Bytes that may still come.
    pub fn room(&self) -> u64 {
        self.max - self.bytes
    }

    fn count(&mut self, bytes: u64) -> Result<(), TreeError> {
        if bytes > self.room() {
            return Err(TreeError::Bytes { max: self.max });
        }
        self.bytes += bytes;
        Ok(())
    }

    fn insert(&mut self, name: &str, node: Node) -> Result<(), TreeError> {
        pack::check_name(name)?;
        // A directory in the place of a file, or the other way round: the later one holds.
        for (end, _) in name.match_indices('/') {
            self.nodes.remove(&name[..end]);
        }
        self.remove(name);
        self.nodes.insert(name.to_owned(), node);
        if self.nodes.len() > MAX_FILES { Err(TreeError::Files) } else { Ok(()) }
    }

    /// The archive. Links are copies of what they lead to.
    pub fn archive(mut self) -> Result<Bytes, TreeError> {
        let mut files = Vec::with_capacity(self.nodes.len());
        let mut copied = 0;
        for (name, node) in &self.nodes {
            let (content, executable) = match node {
                Node::File { content, executable } => (content, *executable),
                Node::Link(target) => {
                    let found = self.lead(name, target);
                    let found = found.ok_or_else(|| TreeError::Link { name: name.clone(), target: target.clone() })?;
                    copied += found.0.len() as u64;
                    found
                }
            };
            files.push((name.as_str(), content, executable));
        }
        if self.bytes + copied > self.max {
            return Err(TreeError::Bytes { max: self.max });
        }
        let archive =
            pack::archive(files.iter().map(|(name, content, executable)| (*name, content.as_ref(), *executable)));
        self.nodes.clear();
        Ok(archive.into())
    }

    /// The file that a link leads to, within the package.
    fn lead(&self, name: &str, target: &str) -> Option<(&Bytes, bool)> {
        let (mut name, mut target) = (name.to_owned(), target);
        for _ in 0..MAX_HOPS {
            let mut path: Vec<&str> = name.split('/').collect();
            path.pop();
            if target.starts_with('/') {
                return None;
            }
            for part in target.split('/') {
                match part {
                    "" | "." => {}
                    ".." => drop(path.pop()?),
                    part => path.push(part),
                }
            }
            let next = path.join("/");
            match self.nodes.get(&next)? {
                Node::File { content, executable } => return Some((content, *executable)),
                Node::Link(further) => (name, target) = (next, further),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)], links: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new(1000);
        for (name, content) in files {
            tree.file(name, Bytes::from((*content).to_owned()), false).unwrap();
        }
        for (name, target) in links {
            tree.link(name, target).unwrap();
        }
        tree
    }

    fn same(one: Tree, other: Tree) -> bool {
        one.archive().unwrap() == other.archive().unwrap()
    }

    #[test]
    fn the_order_in_which_files_come_is_not_seen() {
        assert!(same(tree(&[("a", "1"), ("b/c", "2")], &[]), tree(&[("b/c", "2"), ("a", "1")], &[])));
    }

    #[test]
    fn a_link_is_a_copy_of_what_it_leads_to() {
        let links = [("b/x", "../a"), ("y", "b/x"), ("z", "./b//../a")];
        let copies = tree(&[("a", "1"), ("b/x", "1"), ("y", "1"), ("z", "1")], &[]);
        assert!(same(tree(&[("a", "1")], &links), copies));
    }

    #[test]
    fn a_link_that_leads_out_or_nowhere_is_refused() {
        for target in ["../../etc/passwd", "/etc/passwd", "..", "nothing", "self", "dir", ""] {
            let links = [("self", target)];
            let error = tree(&[("dir/a", "1")], &links).archive().unwrap_err();
            assert_eq!(error, TreeError::Link { name: "self".into(), target: target.into() });
        }
    }

    #[test]
    fn what_comes_later_stands_where_it_says() {
        assert!(same(tree(&[("a", "1"), ("a/b", "2")], &[]), tree(&[("a/b", "2")], &[])));
        assert!(same(tree(&[("a/b", "2"), ("a", "1")], &[]), tree(&[("a", "1")], &[])));
        let mut less = tree(&[("a/b", "2"), ("ab", "3"), ("c", "1")], &[]);
        less.remove("a");
        assert!(same(less, tree(&[("ab", "3"), ("c", "1")], &[])));
    }

    #[test]
    fn there_are_bounds() {
        let mut tree = Tree::new(10);
        tree.file("a", Bytes::from_static(b"12345678"), false).unwrap();
        assert_eq!(tree.file("b", Bytes::from_static(b"123"), false), Err(TreeError::Bytes { max: 10 }));
        let mut tree = Tree::new(10);
        tree.file("a", Bytes::from_static(b"12345678"), false).unwrap();
        tree.link("b", "a").unwrap();
        assert_eq!(tree.archive(), Err(TreeError::Bytes { max: 10 }), "copies count");
        assert!(matches!(Tree::new(10).file("../a", Bytes::new(), false), Err(TreeError::Name(_))));
    }
}

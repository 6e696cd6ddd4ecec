//! The bounds, each of them, made small. Hostile archives in large are in `tests/hostile`.

use super::tars::Tar;
use super::zips::{Entry, zip};
use super::*;

fn tar() -> Tar {
    Tar::default().file("main.py", b"ok")
}

#[test]
fn bombs() {
    let zeros = vec![0; 300 << 10];
    refused("ratio", gzip(&tar().file("zeros", &zeros).end()), "ArchiveRatio");
    let skipped = tar().with(b"g", b'g', b"", |header| header.set_size(1 << 40)).raw(&zeros);
    refused("a long extension", gzip(&skipped.end()), "ArchiveNameRefused");
    let names = tar().with(b"L", b'L', b"", |header| header.set_size(1 << 40)).raw(&zeros);
    refused("a long name", gzip(&names.end()), "ArchiveNameRefused");
    let twice = gzip(&gzip(&tar().file("zeros", &zeros).end()));
    assert!(Sandbox::new().unpack(twice, SMALL).is_ok(), "packed twice is one plain file, unpacked once");
    refused("one file too large", tar().file("large", &vec![7; 600 << 10]).end(), "ArchiveTooLarge");
    let mut many = tar();
    for name in ["a", "b", "c"] {
        many = many.file(name, &vec![7; 400 << 10]);
    }
    refused("too large together", many.end(), "ArchiveTooLarge");
    let after = gzip(&[tar().end(), vec![0; 2 << 20]].concat());
    refused("after the end", after, "ArchiveRatio");
}

#[test]
fn too_many_entries() {
    let files = (0..60).fold(tar(), |tar, index| tar.file(&format!("f{index}"), b""));
    refused("files", files.end(), "ArchiveTooManyEntries");
    let deep = (0..12).fold(tar(), |tar, index| tar.file(&format!("{index}/a/b/c/d/e"), b""));
    refused("directories in names", deep.end(), "ArchiveTooManyEntries");
    let extensions = (0..160).fold(tar(), |tar, _| tar.entry(b"x", b'x', b""));
    refused("extensions", extensions.file("x", b"").end(), "ArchiveTooManyEntries");
}

#[test]
fn zips() {
    refused("one file too large", zip(&[Entry::stored("large", &vec![7; 600 << 10])]), "ArchiveTooLarge");
    let many: Vec<_> = (0..3).map(|index| Entry::stored(&index.to_string(), &vec![7; 400 << 10])).collect();
    refused("too large together", zip(&many), "ArchiveTooLarge");
    let many: Vec<_> = (0..60).map(|index| Entry::stored(&index.to_string(), b"")).collect();
    refused("entries", zip(&many), "ArchiveTooManyEntries");
}

#[test]
fn what_is_refused_late_leaves_nothing() {
    refused("a link at the end", tar().directory("d/").link(b'2', "d/link", "..").end(), "ArchiveEntryRefused");
}

#[test]
fn a_plain_file() {
    refused("too large", vec![b'x'; 600 << 10], "ArchiveTooLarge");
}

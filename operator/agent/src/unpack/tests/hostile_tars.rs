//! tar archives that must not be unpacked.

use super::tars::{Tar, pax_records};
use super::*;

fn tar() -> Tar {
    Tar::default().file("main.py", b"ok")
}

#[test]
fn names_that_lead_outside() {
    for name in ["../evil", "a/../../evil", "/etc/evil", "//evil", "a/..", "..", "dir/../x", "..\\evil", "a\\b"] {
        refused(name, tar().file(name, b"x").end(), "ArchiveNameRefused");
        refused(name, gzip(&tar().file(name, b"x").end()), "ArchiveNameRefused");
        refused(name, tar().directory(name).end(), "ArchiveNameRefused");
    }
}

#[test]
fn names_that_lead_outside_in_extensions() {
    for name in ["../evil", "/etc/evil", "a/../../evil"] {
        let gnu = tar().entry(b"L", b'L', name.as_bytes()).file("harmless", b"x");
        refused("GNU", gnu.end(), "ArchiveNameRefused");
        refused("PAX", tar().pax(&[("path", name)]).file("harmless", b"x").end(), "ArchiveNameRefused");
    }
    let prefix = |header: &mut tar::Header| header.as_ustar_mut().unwrap().prefix[..5].copy_from_slice(b"../..");
    refused("ustar prefix", tar().with(b"evil", b'0', b"x", prefix).end(), "ArchiveNameRefused");
}

#[test]
fn names_that_are_none() {
    refused("empty", tar().entry(b"", b'0', b"x").end(), "ArchiveNameRefused");
    refused("only dots", tar().file("././", b"x").end(), "ArchiveNameRefused");
    refused("not UTF-8", tar().entry(b"a\xff", b'0', b"x").end(), "ArchiveNameRefused");
    refused("newline", tar().file("a\nb", b"x").end(), "ArchiveNameRefused");
    refused("NUL in PAX", tar().pax(&[("path", "a\0../b")]).file("x", b"x").end(), "ArchiveNameRefused");
    refused("NUL in GNU", tar().entry(b"L", b'L', b"a\0b\0").file("x", b"x").end(), "ArchiveNameRefused");
    refused("empty in PAX", tar().pax(&[("path", "")]).file("x", b"x").end(), "ArchiveNameRefused");
    refused("slash at the end", tar().pax(&[("path", "a/")]).entry(b"x", b'7', b"x").end(), "ArchiveEntryRefused");
    refused("too deep", tar().file(&"d/".repeat(20), b"").end(), "ArchiveNameRefused");
    refused("too long", tar().pax(&[("path", &"n".repeat(300))]).file("x", b"").end(), "ArchiveNameRefused");
    refused("a part too long", tar().pax(&[("path", &"n".repeat(256))]).file("x", b"").end(), "ArchiveNameRefused");
}

#[test]
fn links_of_every_kind() {
    for target in ["/etc/passwd", "../secret", "main.py", ".", "main.py/../../secret"] {
        refused(target, tar().link(b'2', "link", target).end(), "ArchiveEntryRefused");
        refused(target, tar().link(b'1', "link", target).end(), "ArchiveEntryRefused");
    }
    let through = tar().link(b'2', "dir", "..").file("dir/evil", b"x");
    refused("a file through a link", through.end(), "ArchiveEntryRefused");
    let twice = tar().link(b'2', "x", "../secret").file("x", b"over");
    refused("a file over a link", twice.end(), "ArchiveEntryRefused");
    let pax = tar().pax(&[("linkpath", "../../secret")]).link(b'2', "x", "harmless");
    refused("a PAX target", pax.end(), "ArchiveEntryRefused");
    refused("a long target", tar().entry(b"K", b'K', b"../secret").end(), "ArchiveEntryRefused");
    refused("a link with a directory's name", tar().link(b'2', "dir/", "..").end(), "ArchiveEntryRefused");
}

#[test]
fn what_is_neither_file_nor_directory() {
    for kind in [b'3', b'4', b'6', b'7', b'S', b'D', b'M', b'N', b'V', b'A', b'Z', 0xff] {
        refused(&format!("type {kind:#x}"), tar().entry(b"x", kind, b"").end(), "ArchiveEntryRefused");
    }
    let sparse = tar().pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9999999999")]).file("x", b"");
    refused("PAX sparse", sparse.end(), "ArchiveEntryRefused");
}

#[test]
fn extensions_that_readers_disagree_about() {
    let smuggled = Tar::default().file("../hidden", b"x").end();
    let two_sizes = tar().pax(&[("size", "0")]).file("outer", &smuggled);
    refused("two sizes", two_sizes.end(), "ArchiveUnsupported");
    refused("no size", tar().pax(&[("size", "many")]).file("x", b"").end(), "ArchiveDamaged");
    refused("negative size", tar().pax(&[("size", "-1")]).file("x", b"").end(), "ArchiveDamaged");
    let twice = tar().entry(b"L", b'L', b"a").pax(&[("path", "b")]).file("x", b"");
    refused("two names", twice.end(), "ArchiveUnsupported");
    let same = tar().pax(&[("path", "a"), ("path", "../b")]).file("x", b"");
    refused("two names in one", same.end(), "ArchiveUnsupported");
    for key in ["path", "size", "linkpath", "GNU.sparse.map"] {
        let global = tar().entry(b"g", b'g', &pax_records(&[(key, "1")])).file("x", b"x");
        refused(key, global.end(), "ArchiveUnsupported");
    }
    refused("no entry follows", tar().pax(&[("path", "a")]).end(), "ArchiveDamaged");
}

#[test]
fn malformed_records() {
    let records: [&[u8]; 7] = [
        b"nonsense",
        b"99999999999999999999 path=a\n",
        b"9 path=abcdef\n",
        b"5 a=b\n6 c",
        b"0 path=a\n",
        b"4 =\n\n",
        b"6 path",
    ];
    for record in records {
        refused("record", tar().entry(b"x", b'x', record).file("y", b"").end(), "ArchiveDamaged");
    }
}

#[test]
fn damaged_archives() {
    let whole = Tar::default().file("main.py", &[b'x'; 2000]).end();
    for length in [600, 1000, 512 + 1999] {
        refused("cut inside a file", Tar::default().raw(&whole).cut(length), "ArchiveDamaged");
    }
    refused("cut inside a header", tar().file("second", b"x").cut(1300), "ArchiveDamaged");
    let packed = gzip(&whole);
    refused("cut compressed", packed[..packed.len() - 10].to_vec(), "ArchiveDamaged");
    let mut flipped = packed.clone();
    let middle = packed.len() - 6;
    flipped[middle] ^= 0xff;
    refused("wrong checksum of the stream", flipped, "ArchiveDamaged");
    let mut bad = tar().file("second", b"x").end();
    bad[1024] ^= 1;
    refused("wrong checksum of a header", bad, "ArchiveDamaged");
    let huge = tar().with(b"x", b'0', b"", |header| header.set_size(u64::MAX >> 8));
    refused("a size beyond the end", huge.end(), "ArchiveDamaged");
    let base256 = tar().with(b"x", b'0', b"", |header| header.as_old_mut().size = [0xff; 12]);
    refused("a negative size", base256.end(), "ArchiveDamaged");
    refused("empty", vec![0; 10240], "ArchiveEmpty");
    refused("directories only", Tar::default().directory("a/").end(), "ArchiveEmpty");
    refused("extension only", tar().entry(b"x", b'x', b"").cut(2048), "ArchiveDamaged");
}

#[test]
fn one_name_twice() {
    refused("two files", tar().file("main.py", b"other").end(), "ArchiveNameTwice");
    refused("written differently", tar().file("./main.py", b"other").end(), "ArchiveNameTwice");
    refused("a file as a directory", tar().file("main.py/x", b"other").end(), "ArchiveNameTwice");
    refused("a directory over a file", tar().directory("main.py/").end(), "ArchiveNameTwice");
    refused("a file over a directory", tar().directory("d/").file("d", b"x").end(), "ArchiveNameTwice");
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
    let extensions = (0..60).fold(tar(), |tar, _| tar.entry(b"x", b'x', b""));
    refused("extensions", extensions.file("x", b"").end(), "ArchiveTooManyEntries");
}

//! Entries that are neither files nor directories: links first of all.

use crate::case::{Case, Family};
use crate::tars::Tar;
use crate::zips::{Entry, zip};

const REFUSED: &str = "ArchiveEntryRefused";

pub fn family() -> Vec<Case> {
    let mut family = Family::new("kinds");
    let targets =
        ["/etc/passwd", "../secret", "main.py", ".", "..", "/", "/proc/self/root", "main.py/../../secret", "a"];
    for target in targets {
        family.refused(format!("symbolic link to {target}"), tar().link(b'2', "link", target).end(), REFUSED);
        family.refused(format!("hard link to {target}"), tar().link(b'1', "link", target).end(), REFUSED);
        let entry = Entry::stored("link", target.as_bytes()).with(|entry| entry.mode = 0o120_777);
        family.refused(format!("link in a zip to {target}"), zip(&[Entry::stored("main.py", b"ok"), entry]), REFUSED);
    }
    links(&mut family);
    for (kind, what) in [
        (b'3', "character device"),
        (b'4', "block device"),
        (b'6', "pipe"),
        (b'7', "contiguous file"),
        (b'S', "sparse file"),
        (b'D', "directory dump"),
        (b'M', "part of another volume"),
        (b'N', "old long name"),
        (b'V', "volume label"),
        (b'A', "access list"),
        (b'E', "extended access list"),
        (b'I', "inode"),
        (b'Z', "no known letter"),
        (0xff, "no letter"),
        (b' ', "blank"),
    ] {
        family.refused(what, tar().entry(b"x", kind, b"").end(), REFUSED);
        family.refused(format!("{what} with content"), tar().entry(b"x", kind, b"content").end(), REFUSED);
    }
    let zero = tar().with(b"null", b'3', b"", |header| {
        header.set_device_major(1).unwrap();
        header.set_device_minor(5).unwrap();
    });
    family.refused("/dev/zero", zero.end(), REFUSED);
    for (what, mode) in [
        ("link", 0o120_777),
        ("character device", 0o020_644),
        ("block device", 0o060_644),
        ("pipe", 0o010_644),
        ("socket", 0o140_755),
        ("no known kind", 0o170_000),
        ("directory's mode on a file", 0o040_755),
    ] {
        let entry = Entry::deflated("x", b"content").with(|entry| entry.mode = mode);
        family.refused(format!("zip: {what}"), zip(&[Entry::stored("main.py", b"ok"), entry]), REFUSED);
    }
    sparse(&mut family);
    family.cases
}

fn links(family: &mut Family) {
    let cases = [
        ("a file through a link", tar().link(b'2', "dir", "..").file("dir/evil", b"x")),
        ("a file through two links", tar().link(b'2', "a", "b").link(b'2', "b", "..").file("a/evil", b"x")),
        ("a file over a link", tar().link(b'2', "x", "../secret").file("x", b"over")),
        ("a hard link, then its content", tar().link(b'1', "x", "../../secret").file("x", b"over")),
        ("a link over a file", tar().link(b'2', "main.py", "../secret")),
        ("a link over a directory", tar().directory("d/").link(b'2', "d", "..")),
        ("a PAX target", tar().pax(&[("linkpath", "../../secret")]).link(b'2', "x", "harmless")),
        ("a PAX name of a link", tar().pax(&[("path", "dir/")]).link(b'2', "x", "..")),
        ("a long target", tar().entry(b"K", b'K', b"../secret").link(b'2', "x", "")),
        ("a link with a directory's name", tar().link(b'2', "dir/", "..")),
        ("a link to itself", tar().link(b'2', "loop", "loop")),
        ("a hard link with content", tar().entry(b"x", b'1', b"content")),
    ];
    for (name, tar) in cases {
        family.refused(name, tar.end(), REFUSED);
    }
    let through = [Entry::stored("dir", b"..").with(|entry| entry.mode = 0o120_777), Entry::stored("dir/evil", b"x")];
    family.refused("a file through a link in a zip", zip(&through), REFUSED);
}

fn sparse(family: &mut Family) {
    let versions: [&[(&str, &str)]; 4] = [
        &[("GNU.sparse.size", "9999999999"), ("GNU.sparse.numblocks", "1")],
        &[("GNU.sparse.map", "0,1,9999999999,1"), ("GNU.sparse.name", "../evil")],
        &[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9999999999")],
        &[("GNU.sparse.name", "/tmp/muon-was-outside")],
    ];
    for (index, records) in versions.into_iter().enumerate() {
        let tar = tar().pax(records).file("x", b"1\n0\n1\n");
        family.refused(format!("sparse records {index}"), tar.end(), REFUSED);
    }
    let old = tar().with(b"x", b'S', b"x", |header| {
        // Where GNU's old form has its first run and the real size: 1 TiB of nothing.
        header.as_mut_bytes()[386..410].copy_from_slice(b"00000000000\x0000000000001\0");
        header.as_mut_bytes()[483..495].copy_from_slice(b"10000000000\0");
    });
    family.refused("sparse in GNU's old form", old.end(), REFUSED);
}

fn tar() -> Tar {
    Tar::default().file("main.py", b"ok")
}

//! Archives that are cut, changed or empty, and names that are there twice.

use crate::case::{Case, Family, gzip, noise};
use crate::tars::Tar;
use crate::zips::{Entry, zip};
use crate::zstds::zstd;

const DAMAGED: &str = "ArchiveDamaged";

pub fn family() -> Vec<Case> {
    let mut family = Family::new("damage");
    let noise = noise(2000);
    let whole = Tar::default().file("main.py", &noise).end();
    for length in [513, 600, 1000, 512 + 1999] {
        family.refused_in_each(&format!("cut at {length}"), &whole[..length], DAMAGED);
    }
    family.refused("cut inside a header", Tar::default().raw(&whole[..2560]).file("b", b"x").cut(2900), DAMAGED);
    let packed = gzip(&whole);
    for cut in [1, 4, 8, 9, 200] {
        family.refused(format!("gzip without its last {cut}"), packed[..packed.len() - cut].to_vec(), DAMAGED);
    }
    for (what, back) in [("checksum", 6), ("length", 2), ("content", 300)] {
        family.refused(format!("gzip with another {what}"), flipped(&packed, packed.len() - back), DAMAGED);
    }
    family.refused("rubbish after gzip", [&packed[..], b"rubbish"].concat(), DAMAGED);
    family.refused("gzip with a wrong second member", [&packed[..], &[0x1f, 0x8b, 8, 0xff]].concat(), DAMAGED);
    family.refused("gzip that cannot be read", [&[0x1f, 0x8b, 8], &[0xff; 40][..]].concat(), DAMAGED);
    for position in [0, 100, 124, 148, 200] {
        let mut second = Tar::default().raw(&whole[..2560]).file("second", b"x").end();
        second[2560 + position] ^= 1;
        family.refused(format!("a header with byte {position} changed"), second, DAMAGED);
    }
    for (what, size) in [("beyond the end", u64::MAX >> 8), ("of 8 EiB", 1 << 63), ("one byte too large", 1 << 20)] {
        let tar = Tar::default().file("main.py", b"ok").with(b"x", b'0', b"", |header| header.set_size(size));
        family.refused(format!("a size {what}"), tar.end(), DAMAGED);
    }
    for (what, size) in [
        ("negative", [0xff; 12]),
        ("no number", *b"not octal!!!"),
        ("base-256 and huge", *b"\x80\x7f\0\0\0\0\0\0\0\0\0\0"),
    ] {
        let tar = Tar::default().file("main.py", b"ok").with(b"x", b'0', b"", |header| header.as_old_mut().size = size);
        family.refused(format!("a size that is {what}"), tar.end(), DAMAGED);
    }
    zips(&mut family, &noise);
    empty(&mut family);
    twice(&mut family);
    family.cases
}

fn zips(family: &mut Family, noise: &[u8]) {
    let whole = zip(&[Entry::stored("main.py", b"ok"), Entry::deflated("x", noise)]);
    for cut in [1, 2, 21, 22, 23, 60, 100, 1000] {
        family.refused(format!("zip without its last {cut}"), whole[..whole.len() - cut].to_vec(), DAMAGED);
    }
    for length in [4, 30, 38] {
        family.refused(format!("zip cut at {length}"), whole[..length].to_vec(), DAMAGED);
    }
    family.refused("zip with a byte of its content changed", flipped(&whole, 200), DAMAGED);
    family.refused("zip with its second header gone", flipped(&whole, 39), DAMAGED);
}

fn empty(family: &mut Family) {
    let directories = Tar::default().directory("a/").directory("b/").end();
    family.refused_in_each("nothing but zeros", &[0; 10240], "ArchiveEmpty");
    family.refused_in_each("directories only", &directories, "ArchiveEmpty");
    family.refused("zip of nothing", zip(&[]), "ArchiveEmpty");
    family.refused("zip of directories", zip(&[Entry::stored("a/", b"")]), "ArchiveEmpty");
}

fn twice(family: &mut Family) {
    let tar = || Tar::default().file("main.py", b"ok");
    let pairs = [
        ("two files", tar().file("main.py", b"other")),
        ("written with a dot", tar().file("./main.py", b"other")),
        ("written with slashes", tar().file("d//x", b"").file("d/x", b"other")),
        ("a file as a directory", tar().file("main.py/x", b"other")),
        ("a directory over a file", tar().directory("main.py/")),
        ("a file over a directory", tar().directory("d/").file("d", b"x")),
        ("a file over a directory in a name", tar().file("d/x", b"").file("d", b"x")),
        ("by a PAX name", tar().pax(&[("path", "main.py")]).file("other.py", b"other")),
    ];
    for (name, tar) in pairs {
        family.refused(name, tar.end(), "ArchiveNameTwice");
    }
    let main = || Entry::stored("main.py", b"ok");
    let pairs = [
        ("zip: two files", Entry::stored("main.py", b"other")),
        ("zip: written with a dot", Entry::stored("./main.py", b"other")),
        ("zip: a file as a directory", Entry::stored("main.py/x", b"other")),
        ("zip: a directory over a file", Entry::stored("main.py/", b"")),
    ];
    for (name, second) in pairs {
        family.refused(name, zip(&[main(), second]), "ArchiveNameTwice");
    }
    let both = [&tar().cut(1024)[..], &tar().end()].concat();
    family.refused("one archive behind another", zstd(&both), "ArchiveNameTwice");
}

fn flipped(bytes: &[u8], position: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[position] ^= 0xff;
    bytes
}

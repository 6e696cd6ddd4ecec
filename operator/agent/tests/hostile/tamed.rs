//! Archives whose tricks mean nothing here: what they hold is unpacked, and what they hoped for does not happen.

use crate::case::{Case, Family, gzip};
use crate::tars::Tar;
use crate::zips::{Entry, zip};
use crate::zstds::{frame, skippable, zstd};

pub fn family() -> Vec<Case> {
    let mut family = Family::new("tamed");
    for mode in [0o4755, 0o2755, 0o6755, 0o1777, 0o7777, 0o000, 0o777, 0o4000] {
        let tar = Tar::default().with(b"run", b'0', b"#!", |header| header.set_mode(mode));
        family.tamed(format!("file of mode {mode:o}"), tar.end());
        let tar = Tar::default().with(b"d/", b'5', b"", |header| header.set_mode(mode)).file("d/x", b"x");
        family.tamed(format!("directory of mode {mode:o}"), tar.end());
        let entry = Entry::stored("run", b"#!").with(|entry| entry.mode = 0o100_000 | mode);
        family.tamed(format!("zip: file of mode {mode:o}"), zip(&[entry]));
    }
    let owner = Tar::default().with(b"x", b'0', b"x", |header| {
        header.set_uid(0);
        header.set_gid(0);
        header.as_ustar_mut().unwrap().set_username("root").unwrap();
    });
    family.tamed("root's file", owner.end());
    let records = [("uid", "0"), ("SCHILY.xattr.security.capability", "\u{1}"), ("LIBARCHIVE.creationtime", "x")];
    family.tamed("capabilities", Tar::default().pax(&records).file("x", b"x").end());
    let time = |seconds| Tar::default().with(b"x", b'0', b"x", |header| header.set_mtime(seconds)).end();
    for seconds in [0, 1 << 33, (1 << 40) - 1, u64::MAX >> 8] {
        family.tamed(format!("from second {seconds}"), time(seconds));
    }
    let pairs: [(&str, [&str; 2]); 5] = [
        ("names that differ in case", ["Main.py", "main.py"]),
        ("directories that differ in case", ["Lib/x", "lib/x"]),
        ("names that differ in their composition", ["\u{e9}.py", "e\u{301}.py"]),
        ("names that differ in a blank", ["x", "x "]),
        ("names that differ in a dot", ["x", "x."]),
    ];
    for (name, [first, second]) in pairs {
        family.tamed(name, Tar::default().file(first, b"1").file(second, b"2").end());
        family.tamed(format!("zip: {name}"), zip(&[Entry::stored(first, b"1"), Entry::stored(second, b"2")]));
    }
    for name in ["CON", "aux.py", "x:stream", "~root/x", "-rf", "$(reboot)", "`reboot`", "a;reboot", "%2e%2e/x", "..."]
    {
        family.tamed(format!("called {name}"), Tar::default().file(name, b"x").end());
    }
    for name in [".staging", "deployarchive", "accepted.json", "\u{202e}yp.niam", "\u{200b}"] {
        family.tamed(format!("called {name:?}"), zip(&[Entry::stored(name, b"x")]));
    }
    nested(&mut family);
    streams(&mut family);
    family.cases
}

fn nested(family: &mut Family) {
    let zeros = Tar::default().file("zeros", &vec![0; 1 << 20]).end();
    family.tamed("a bomb packed twice with gzip", gzip(&gzip(&zeros)));
    family.tamed("a bomb packed twice with zstd", zstd(&zstd(&zeros)));
    family.tamed("a zstd bomb in gzip", gzip(&zstd(&zeros)));
    let mut zipped = zip(&[Entry::deflated("zeros", &vec![0; 1 << 20])]);
    for depth in 1..6 {
        let copies: Vec<_> = (0..8).map(|index| Entry::deflated(&format!("{index}.zip"), &zipped)).collect();
        zipped = zip(&copies);
        family.tamed(format!("zips in zips, {depth} deep"), zipped.clone());
    }
    family.tamed("archives in a tar", Tar::default().file("a.zip", &zipped).file("b.tar.gz", &gzip(&zeros)).end());
}

fn streams(family: &mut Family) {
    let tar = Tar::default().file("main.py", b"ok").end();
    let halves = [zstd(&tar[..700]), zstd(&tar[700..])].concat();
    family.tamed("two zstd frames", halves);
    family.tamed("a skipped zstd frame, first", [skippable(3, b"abc"), zstd(&tar)].concat());
    family.tamed("a skipped zstd frame, last", [zstd(&tar), skippable(3, b"abc")].concat());
    family.tamed("the largest window", frame(&[0, 13 << 3], &tar));
    family.tamed("two gzip members", [gzip(&tar[..700]), gzip(&tar[700..])].concat());
    let global = crate::tars::pax_records(&[("comment", "0123456789abcdef"), ("mtime", "1")]);
    family.tamed("a global comment", Tar::default().entry(b"pax_global_header", b'g', &global).file("x", b"x").end());
    family.tamed("a tar without an end", Tar::default().file("main.py", b"ok").cut(usize::MAX));
}

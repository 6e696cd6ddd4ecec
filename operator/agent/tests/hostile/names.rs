//! Names that lead outside, or are no names.

use crate::agents::OUTSIDE;
use crate::case::{Case, Family};
use crate::tars::Tar;
use crate::zips::{Entry, zip};

const REFUSED: &str = "ArchiveNameRefused";

pub fn family() -> Vec<Case> {
    let mut family = Family::new("names");
    for name in leading_outside() {
        let tar = tar().file(&name, b"evil").end();
        family.refused_in_each(&format!("{name:?}"), &tar, REFUSED);
        family.refused(format!("directory {name:?}"), self::tar().directory(&format!("{name}/")).end(), REFUSED);
        let gnu = self::tar().entry(b"././@LongLink", b'L', name.as_bytes()).file("harmless", b"evil");
        family.refused(format!("GNU {name:?}"), gnu.end(), REFUSED);
        let pax = self::tar().pax(&[("path", &name)]).file("harmless", b"evil");
        family.refused(format!("PAX {name:?}"), pax.end(), REFUSED);
        family.refused(format!("zip {name:?}"), zip(&[main(), Entry::deflated(&name, b"evil")]), REFUSED);
    }
    for (what, name) in none() {
        let pax = tar().entry(b"x", b'x', &pax_path(&name)).file("harmless", b"x").end();
        family.refused(format!("PAX {what}"), pax, REFUSED);
        let entry = Entry::stored("x", b"x").with(|entry| entry.name = name);
        family.refused(format!("zip {what}"), zip(&[main(), entry]), REFUSED);
    }
    let prefix = |header: &mut tar::Header| header.as_ustar_mut().unwrap().prefix[..5].copy_from_slice(b"../..");
    family.refused("ustar prefix", tar().with(b"evil", b'0', b"x", prefix).end(), REFUSED);
    let split = |header: &mut tar::Header| header.as_ustar_mut().unwrap().prefix[..4].copy_from_slice(b"/tmp");
    family.refused("absolute ustar prefix", tar().with(b"muon-was-outside", b'0', b"x", split).end(), REFUSED);
    let unended = tar().with(b"", b'0', b"x", |header| header.as_old_mut().name = [b'/'; 100]);
    family.refused("a name without an end", unended.end(), REFUSED);
    family.refused("only dots", tar().file("././", b"x").end(), REFUSED);
    family.cases
}

fn leading_outside() -> Vec<String> {
    let names = [
        "../evil",
        "../../../../../../../../tmp/muon-was-outside",
        "a/../../evil",
        "a/b/../../../evil",
        "./../evil",
        "a/./../../evil",
        "..//evil",
        "a/..",
        "..",
        OUTSIDE,
        "//tmp/muon-was-outside",
        "/",
        "/../tmp/muon-was-outside",
        "..\\evil",
        "a\\..\\..\\evil",
        "C:\\evil",
        "\\\\host\\share\\evil",
        "a/..\\../evil",
        "../secret",
        "../code/deployarchive/main.py",
        ".staging/../../evil",
    ];
    names.map(str::to_owned).into()
}

fn none() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", vec![]),
        ("NUL in the middle", b"harmless.py\0../../evil".to_vec()),
        ("NUL at the end", b"evil\0".to_vec()),
        ("NUL only", b"\0".to_vec()),
        ("newline", b"a\nb".to_vec()),
        ("carriage return", b"a\rb".to_vec()),
        ("escape sequence", b"\x1b[2Ja".to_vec()),
        ("delete character", b"a\x7f".to_vec()),
        ("C1 control", "a\u{85}b".into()),
        ("not UTF-8", b"a\xff\xfe".to_vec()),
        ("overlong dots", b"\xc0\xae\xc0\xae/evil".to_vec()),
        ("overlong slash", b"..\xc0\xafevil".to_vec()),
        ("surrogate", b"\xed\xa0\x80".to_vec()),
        ("cut UTF-8", b"a\xe2\x82".to_vec()),
        ("too deep", "d/".repeat(33).into_bytes().into_iter().chain(*b"x").collect()),
        ("too long", ["n"; 6].map(|part| part.repeat(200)).join("/").into_bytes()),
        ("part too long", "n".repeat(256).into_bytes()),
        ("slash only", b"/".to_vec()),
        ("dots only", b"./.".to_vec()),
    ]
}

fn tar() -> Tar {
    Tar::default().file("main.py", b"ok")
}

fn main() -> Entry {
    Entry::stored("main.py", b"ok")
}

fn pax_path(name: &[u8]) -> Vec<u8> {
    let mut length = name.len() + 8;
    while length != name.len() + 7 + length.to_string().len() {
        length = name.len() + 7 + length.to_string().len();
    }
    [format!("{length} path=").as_bytes(), name, b"\n"].concat()
}

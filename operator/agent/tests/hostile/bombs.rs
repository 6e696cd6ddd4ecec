//! Archives that unpack to far more than they are: bytes, entries, names, memory.

use crate::case::{Case, Family, gzip, noise};
use crate::tars::Tar;
use crate::zips::{Entry, end, headers, zip};
use crate::zstds::{block, frame};

const RATIO: &str = "ArchiveRatio";
const CROWD: &str = "ArchiveTooManyEntries";
const MIB: usize = 1 << 20;

pub fn family() -> Vec<Case> {
    let mut family = Family::new("bombs");
    bytes(&mut family);
    entries(&mut family);
    memory(&mut family);
    family.cases
}

fn bytes(family: &mut Family) {
    let header = |size: u64| Tar::default().with(b"zeros", b'0', b"", |header| header.set_size(size)).cut(512);
    let zeros = gzip(&vec![0; MIB]);
    let members = |count: usize| zeros.repeat(count);
    family.refused("gzip: 64 MiB of zeros", [gzip(&header(64 << 20)), members(64)].concat(), RATIO);
    family.refused("gzip: zeros after the end", [gzip(&tar().end()), members(64)].concat(), RATIO);
    let skipped = Tar::default().with(b"g", b'g', b"", |header| header.set_size(1 << 40)).cut(512);
    family.refused("gzip: a comment of 1 TiB", [gzip(&skipped), members(4)].concat(), "ArchiveNameRefused");
    let many: Vec<u8> = (0..64).fold(tar(), |tar, index| tar.file(&format!("f{index}"), &vec![0; MIB / 4])).end();
    family.refused("gzip: many files of zeros", gzip(&many), RATIO);
    let huge = |size: u64| {
        let mut bytes = frame(&[0, 10 << 3], &header(size));
        let zeros = |last| block(last, 1, 128 << 10, &[0]);
        let blocks = (size as usize >> 17) - 1;
        bytes.extend([&frame(&[0, 10 << 3], b"")[..6], &zeros(false).repeat(blocks), &zeros(true)].concat());
        bytes
    };
    for gibibytes in [1, 16] {
        family.refused(format!("zstd: {gibibytes} GiB of zeros"), huge(gibibytes << 30), RATIO);
    }
    let deflated = Entry::deflated("zeros", &vec![0; 16 * MIB]);
    family.refused("zip: 16 MiB of zeros", zip(std::slice::from_ref(&deflated)), RATIO);
    let spread = Entry::deflated("0", &vec![0; MIB]);
    let spread: Vec<_> =
        (0..16).map(|index| spread.clone().with(|entry| entry.name = format!("{index}").into_bytes())).collect();
    family.refused("zip: 16 files of 1 MiB of zeros", zip(&spread), RATIO);
}

fn entries(family: &mut Family) {
    let files = |from: usize, count: usize| {
        (from..from + count).fold(Tar::default(), |tar, index| tar.file(&format!("f{index}"), b"")).cut(usize::MAX)
    };
    let same = gzip(&files(0, 1000));
    let million = [gzip(&files(0, 20_001)), same.repeat(980)].concat();
    family.refused("gzip: a million entries", million, CROWD);
    let many: Vec<_> = (0..20_001).map(|index| Entry::stored(&format!("f{index}"), b"")).collect();
    family.refused("zip: 20,001 files", zip(&many), CROWD);
    family.refused("zip: a million entries", million_in_zip(), CROWD);
}

/// A sound zip of a million directory entries for one file, with the wide end record that it needs.
fn million_in_zip() -> Vec<u8> {
    const COUNT: u64 = 1_000_000;
    let (mut bytes, start) = headers(&[Entry::stored("x", b"")]);
    let record = bytes[start as usize..].to_vec();
    bytes.extend(record.repeat(COUNT as usize - 1));
    let at = bytes.len() as u64;
    bytes.extend_from_slice(b"PK\x06\x06");
    bytes.extend_from_slice(&44u64.to_le_bytes());
    bytes.extend_from_slice(&[45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for value in [COUNT, COUNT, at - u64::from(start), u64::from(start)] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    bytes.extend_from_slice(&at.to_le_bytes());
    bytes.extend_from_slice(&1u32.to_le_bytes());
    end(&mut bytes, u16::MAX, u32::MAX, u32::MAX);
    bytes
}

/// What would have to be held in memory; each is refused only at its very end.
fn memory(family: &mut Family) {
    let above = ["n"; 4].map(|part| part.repeat(200)).join("/");
    let fat =
        (0..4_000).fold(tar(), |tar, index| tar.pax(&[("path", &format!("{above}/{index:0200}/"))]).directory("d"));
    let fat = fat.file("../evil", b"x").end();
    family.refused("gzip: 4,000 directories with names of 1 kB", gzip(&fat), "ArchiveNameRefused");
    let large = tar().file("noise", &noise(20 << 20)).file("../evil", b"x").end();
    family.refused("zstd: a window of 8 MiB, all of it used", frame(&[0, 13 << 3], &large), "ArchiveNameRefused");
    family.refused("tar: 20 MiB, bad at the end", large, "ArchiveNameRefused");
    let names =
        (0..1000).fold(tar(), |tar, index| tar.entry(b"L", b'L', &vec![b'n'; 60_000]).file(&format!("{index}"), b""));
    family.refused("gzip: 1,000 names of 60 kB", gzip(&names.end()), "ArchiveNameRefused");
    let extra = [&[0xfe, 0xca][..], &60_000u16.to_le_bytes(), &vec![0; 60_000]].concat();
    let fat: Vec<_> = (0..500)
        .map(|index| Entry::stored(&format!("f{index}"), b"").with(|entry| entry.extra = extra.clone()))
        .chain([Entry::stored("../evil", b"x")])
        .collect();
    family.refused("zip: 60 kB of extra fields, 500 times", zip(&fat), "ArchiveNameRefused");
}

fn tar() -> Tar {
    Tar::default().file("main.py", b"ok")
}

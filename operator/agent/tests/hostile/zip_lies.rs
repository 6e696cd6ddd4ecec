//! zip archives whose headers lie: about sizes, places, counts, names, and about how they are packed.

use crate::case::{Case, Family};
use crate::zips::{Entry, end, headers, zip, zip_saying};

const DAMAGED: &str = "ArchiveDamaged";
const UNSUPPORTED: &str = "ArchiveUnsupported";

pub fn family() -> Vec<Case> {
    let mut family = Family::new("zip_lies");
    let zeros = vec![0; 300 << 10];
    let lies: Vec<(&str, Entry)> = vec![
        ("a file larger than it says", Entry::deflated("x", &zeros).with(|entry| entry.size = 10)),
        ("a file that says it is empty", Entry::deflated("x", &zeros).with(|entry| entry.size = 0)),
        ("a file smaller than it says", Entry::deflated("x", b"tiny").with(|entry| entry.size = 100)),
        ("a file that says 4 GiB", Entry::deflated("x", b"tiny").with(|entry| entry.size = u32::MAX - 1)),
        ("another checksum", Entry::deflated("x", b"x").with(|entry| entry.crc ^= 1)),
        ("no checksum", Entry::stored("x", b"x").with(|entry| entry.crc = 0)),
        ("data beyond the end", sized(1 << 30, 1 << 30)),
        ("data over the directory", sized(60, 60)),
        ("stored in two sizes", sized(1, 2)),
        ("another local name", Entry::stored("ok", b"x").with(|entry| entry.local_name = Some(b"../evil".to_vec()))),
        ("no local name", Entry::stored("ok", b"x").with(|entry| entry.local_name = Some(vec![]))),
        ("a longer local name", Entry::stored("ok", b"x").with(|entry| entry.local_name = Some(b"okokok".to_vec()))),
        ("no deflate", Entry::deflated("x", b"hello").with(|entry| entry.data = vec![0xff; 7])),
        ("deflate that is cut", Entry::deflated("x", &[b'x'; 2000]).with(|entry| entry.data.truncate(5))),
        ("a header inside another's data", Entry::stored("x", b"x").with(|entry| entry.offset = Some(31))),
        ("a header before the beginning", Entry::stored("x", b"x").with(|entry| entry.offset = Some(u32::MAX - 1))),
        ("a header beyond the end", Entry::stored("x", b"x").with(|entry| entry.offset = Some(1 << 20))),
        ("a header in the directory", Entry::stored("x", b"x").with(|entry| entry.offset = Some(70))),
    ];
    for (name, entry) in lies {
        family.refused(name, with(entry), DAMAGED);
    }
    for (name, flags) in [("encrypted", 1), ("strongly encrypted", 0x41), ("masked", 0x2001)] {
        family.refused(name, with(Entry::stored("x", b"x").with(|entry| entry.flags = flags)), UNSUPPORTED);
    }
    for method in [1, 2, 6, 9, 10, 12, 14, 18, 19, 93, 95, 96, 97, 98, 99, 1000] {
        let entry = Entry::stored("x", b"x").with(|entry| entry.method = method);
        family.refused(format!("method {method}"), with(entry), UNSUPPORTED);
    }
    let renamed = Entry::stored("x", b"x").with(|entry| entry.extra = unicode_name(b"x", b"../evil"));
    family.refused("another name for readers of Unicode", with(renamed), DAMAGED);
    overlaps(&mut family);
    wide(&mut family);
    counts(&mut family);
    family.cases
}

/// The extra field that gives a name in UTF-8 beside the one in the header.
fn unicode_name(plain: &[u8], name: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(plain);
    let data = [&[1][..], &crc.sum().to_le_bytes(), name].concat();
    [&0x7075u16.to_le_bytes()[..], &(data.len() as u16).to_le_bytes(), &data].concat()
}

fn overlaps(family: &mut Family) {
    let zeros = vec![0; 20 << 10];
    for count in [2, 20, 1000] {
        let mut entries = vec![Entry::deflated("0", &zeros)];
        entries.extend((1..count).map(|_| Entry::deflated("0", &zeros).with(|entry| entry.shares = Some(0))));
        family.refused(format!("one header for {count} entries"), zip(&entries), DAMAGED);
    }
    let inner = zip(&[Entry::stored("inner", &[b'x'; 100])]);
    let mut outer = Entry::stored("outer", &inner);
    outer.compressed = inner.len() as u32 + 200;
    family.refused("one inside another", zip(&[outer, Entry::stored("next", &[b'y'; 300])]), DAMAGED);
    let (mut bytes, start) = headers(&[Entry::stored("a", b"x"), Entry::stored("b", b"y")]);
    let directory = bytes[start as usize..].to_vec();
    bytes.extend_from_slice(&directory);
    end(&mut bytes, 4, 2 * directory.len() as u32, start);
    family.refused("the directory twice", bytes, DAMAGED);
}

/// ZIP64 in extra fields: sizes and places of 64 bits where the plain ones say "look there".
fn wide(family: &mut Family) {
    let says = |values: &[u64]| {
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        [&1u16.to_le_bytes()[..], &(data.len() as u16).to_le_bytes(), &data].concat()
    };
    let look_there = |extra: Vec<u8>| {
        with(
            Entry::stored("x", b"x")
                .with(|entry| (entry.size, entry.compressed, entry.extra) = (u32::MAX, u32::MAX, extra)),
        )
    };
    for (name, values) in [
        ("of 1 TiB", [1 << 40, 1 << 40]),
        ("of all there is", [u64::MAX, u64::MAX]),
        ("negative", [1 << 63, 1 << 63]),
        ("small, of much data", [1, 1 << 40]),
        ("large, of little data", [1 << 40, 1]),
        ("that wraps around", [1, u64::MAX - 40]),
    ] {
        family.refused(format!("ZIP64 sizes: {name}"), look_there(says(&values)), DAMAGED);
    }
    family.refused("ZIP64 without its field", look_there(vec![]), DAMAGED);
    family.refused("ZIP64 with half a field", look_there(says(&[1])), DAMAGED);
    family.refused("ZIP64 with a cut field", look_there(vec![1, 0, 16, 0, 1]), DAMAGED);
    let elsewhere = |offset: u64| {
        with(Entry::stored("x", b"x").with(|entry| (entry.offset, entry.extra) = (Some(u32::MAX), says(&[offset]))))
    };
    family.refused("ZIP64 place: beyond the end", elsewhere(1 << 40), DAMAGED);
    family.refused("ZIP64 place: the end of all", elsewhere(u64::MAX), DAMAGED);
    family.refused("ZIP64 place: another's header", elsewhere(0), DAMAGED);
    for (name, count, size, start) in [
        ("directory beyond the end", 1u64, 47u64, 1u64 << 40),
        ("directory at the end of all", 1, 47, u64::MAX),
        ("2^63 entries", 1 << 63, 47, 32),
        ("2^64 - 1 entries", u64::MAX, 47, 32),
    ] {
        family.refused(format!("ZIP64 end: {name}"), wide_end(count, size, start), DAMAGED);
    }
    family.tamed("ZIP64 end: directory larger than all", wide_end(1, u64::MAX, 32));
    let mut missing = wide_end(1, 47, 32);
    let locator = missing.len() - 22 - 20;
    missing[locator + 8..locator + 16].copy_from_slice(&u64::MAX.to_le_bytes());
    family.refused("ZIP64 end: its own place is wrong", missing, DAMAGED);
}

/// A sound entry with an end record of 64 bits that says this.
fn wide_end(count: u64, size: u64, start: u64) -> Vec<u8> {
    let (mut bytes, _) = headers(&[Entry::stored("x", b"x")]);
    let at = bytes.len() as u64;
    bytes.extend_from_slice(b"PK\x06\x06");
    bytes.extend_from_slice(&44u64.to_le_bytes());
    bytes.extend_from_slice(&[45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for value in [count, count, size, start] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    bytes.extend_from_slice(&at.to_le_bytes());
    bytes.extend_from_slice(&1u32.to_le_bytes());
    end(&mut bytes, u16::MAX, u32::MAX, u32::MAX);
    bytes
}

fn counts(family: &mut Family) {
    let one = || [Entry::stored("x", b"x")];
    let (mut bytes, start) = headers(&one());
    end(&mut bytes, 1, 1 << 30, start);
    family.tamed("a directory that says it is larger", bytes);
    for count in [2, 40, 0x7fff, 0xfffe] {
        family.refused(format!("one entry that says it is {count}"), zip_saying(&one(), count), DAMAGED);
    }
    family.refused("one entry that says it is none", zip_saying(&one(), 0), "ArchiveEmpty");
    for (name, size, start) in [("beyond the end", 47, 1 << 30), ("at the beginning", 47, 0), ("in a header", 47, 3)] {
        let (mut bytes, _) = headers(&one());
        end(&mut bytes, 1, size, start);
        family.refused(format!("a directory {name}"), bytes, DAMAGED);
    }
}

fn sized(compressed: u32, size: u32) -> Entry {
    Entry::stored("x", b"x").with(|entry| (entry.compressed, entry.size) = (compressed, size))
}

fn with(entry: Entry) -> Vec<u8> {
    zip(&[Entry::stored("main.py", b"ok"), entry])
}

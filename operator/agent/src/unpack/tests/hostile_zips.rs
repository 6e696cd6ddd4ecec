//! zip archives that must not be unpacked.

use super::zips::{Entry, zip, zip_saying};
use super::*;

fn with(entry: Entry) -> Vec<u8> {
    zip(&[Entry::stored("main.py", b"ok"), entry])
}

#[test]
fn names_that_lead_outside_or_are_none() {
    let long = "n".repeat(300);
    let deep = "d/".repeat(20);
    let names =
        ["../evil", "a/../../evil", "/etc/evil", "a\\..\\..\\evil", "..", "", "a\0b", "a\nb", &long, &deep, "/"];
    for name in names {
        refused(&format!("{name:?}"), with(Entry::stored(name, b"x")), "ArchiveNameRefused");
    }
    let entry = Entry::stored("x", b"").with(|entry| entry.name = b"a\xff\xfe".to_vec());
    refused("not UTF-8", with(entry), "ArchiveNameRefused");
}

#[test]
fn links_and_devices() {
    for (what, mode) in
        [("link", 0o120_777), ("device", 0o020_644), ("block", 0o060_644), ("pipe", 0o010_644), ("socket", 0o140_755)]
    {
        let entry = Entry::stored("x", b"../secret").with(|entry| entry.mode = mode);
        refused(what, with(entry), "ArchiveEntryRefused");
    }
    let entry = Entry::stored("x", b"not a directory's name").with(|entry| entry.mode = 0o040_755);
    refused("a directory that is a file", with(entry), "ArchiveEntryRefused");
}

#[test]
fn what_is_not_read() {
    refused("encrypted", with(Entry::stored("x", b"x").with(|entry| entry.flags = 1)), "ArchiveUnsupported");
    for method in [1, 6, 9, 12, 14, 93, 95, 99] {
        let entry = Entry::stored("x", b"x").with(|entry| entry.method = method);
        let sandbox = Sandbox::new();
        assert!(sandbox.unpack(with(entry), SMALL).is_err(), "method {method}");
        sandbox.assert_confined();
    }
}

#[test]
fn headers_that_lie() {
    let zeros = vec![0; 300 << 10];
    let small = Entry::deflated("x", &zeros).with(|entry| entry.size = 10);
    refused("more than it says", with(small), "ArchiveDamaged");
    let large = Entry::deflated("x", b"tiny").with(|entry| entry.size = 100);
    refused("less than it says", with(large), "ArchiveDamaged");
    let crc = Entry::stored("x", b"x").with(|entry| entry.crc ^= 1);
    refused("another checksum", with(crc), "ArchiveDamaged");
    let beyond = Entry::stored("x", b"x").with(|entry| (entry.compressed, entry.size) = (1 << 30, 1 << 30));
    refused("data beyond the end", with(beyond), "ArchiveDamaged");
    let cloaked = Entry::stored("harmless", b"x").with(|entry| entry.local_name = Some(b"../evil".to_vec()));
    refused("two names", with(cloaked), "ArchiveDamaged");
    refused("more entries than there are", zip_saying(&[Entry::stored("x", b"x")], 40), "ArchiveDamaged");
    refused("65535 entries", zip_saying(&[Entry::stored("x", b"x")], 0xfffe), "ArchiveDamaged");
    let garbage = Entry::deflated("x", b"hello").with(|entry| entry.data = vec![0xff; 7]);
    refused("no deflate", with(garbage), "ArchiveDamaged");
}

#[test]
fn entries_that_share_bytes() {
    let zeros = vec![0; 20 << 10];
    let mut entries = vec![Entry::deflated("0", &zeros)];
    entries.extend((1..20).map(|_| Entry::deflated("0", &zeros).with(|entry| entry.shares = Some(0))));
    refused("one header for all", zip(&entries), "ArchiveDamaged");
    let inner = zip(&[Entry::stored("inner", &[b'x'; 100])]);
    let mut outer = Entry::stored("outer", &inner);
    outer.compressed = inner.len() as u32 + 200;
    refused("one inside another", zip(&[outer, Entry::stored("next", &[b'y'; 300])]), "ArchiveDamaged");
}

#[test]
fn bombs_and_crowds() {
    refused("ratio", with(Entry::deflated("zeros", &vec![0; 300 << 10])), "ArchiveRatio");
    let spread: Vec<_> = (0..20).map(|index| Entry::deflated(&index.to_string(), &vec![0; 60 << 10])).collect();
    refused("ratio over many files", zip(&spread), "ArchiveRatio");
    refused("one file too large", with(Entry::stored("large", &vec![7; 600 << 10])), "ArchiveTooLarge");
    let many: Vec<_> = (0..60).map(|index| Entry::stored(&index.to_string(), b"")).collect();
    refused("entries", zip(&many), "ArchiveTooManyEntries");
    let deep: Vec<_> = (0..12).map(|index| Entry::stored(&format!("{index}/a/b/c/d/e"), b"")).collect();
    refused("directories in names", zip(&deep), "ArchiveTooManyEntries");
}

#[test]
fn damaged_archives() {
    let whole = with(Entry::deflated("x", &[b'x'; 2000]));
    for length in [30, 60, whole.len() - 23, whole.len() - 1] {
        refused(&format!("cut at {length}"), whole[..length].to_vec(), "ArchiveDamaged");
    }
    refused("no entries", zip(&[]), "ArchiveEmpty");
    refused("directories only", zip(&[Entry::stored("a/", b"")]), "ArchiveEmpty");
    let mut far = whole.clone();
    let end = far.len();
    far[end - 6..end - 2].copy_from_slice(&u32::MAX.to_le_bytes());
    refused("a directory beyond the end", far, "ArchiveDamaged");
}

#[test]
fn one_name_twice() {
    refused("two files", with(Entry::stored("main.py", b"other")), "ArchiveNameTwice");
    refused("a file as a directory", with(Entry::stored("main.py/x", b"other")), "ArchiveNameTwice");
}

proptest::proptest! {
    /// Whatever bytes are changed: no panic, nothing outside, and nothing left when it is refused.
    #[test]
    fn changed_bytes_never_do_harm(changes in proptest::collection::vec((0usize..4000, proptest::num::u8::ANY), 1..6), tar in proptest::bool::ANY) {
        let mut archive = if tar {
            super::tars::Tar::default().file("a/main.py", b"ok").pax(&[("path", "a/b")]).file("b", b"x").end()
        } else {
            with(Entry::deflated("a/b", b"hello hello hello"))
        };
        for (position, byte) in changes {
            let length = archive.len();
            archive[position % length] = byte;
        }
        let sandbox = Sandbox::new();
        let result = sandbox.unpack(archive, SMALL);
        sandbox.assert_confined();
        proptest::prop_assert_eq!(result.is_ok(), sandbox.code().join(PACKAGE).exists());
        proptest::prop_assert!(!sandbox.code().join(STAGING).exists());
    }
}

//! Extensions of tar by which two readers see two archives, or one reads for ever.

use crate::case::{Case, Family};
use crate::tars::{Tar, pax_records};

pub fn family() -> Vec<Case> {
    let mut family = Family::new("tricks");
    let smuggled = Tar::default().file("../hidden", b"x").end();
    for size in ["0", "512", "1", "99999999999999999999", "18446744073709551615"] {
        let reason = if size.len() == 20 && size.starts_with('9') { "ArchiveDamaged" } else { "ArchiveUnsupported" };
        family.refused(
            format!("PAX size {size}, another in the header"),
            tar().pax(&[("size", size)]).file("outer", &smuggled).end(),
            reason,
        );
    }
    for size in ["many", "-1", "", " 3", "3.0", "0x3", "3\0"] {
        let tar = tar().pax(&[("size", size)]).file("x", b"abc");
        family.refused(format!("PAX size {size:?}"), tar.end(), "ArchiveDamaged");
    }
    let two = [
        ("GNU and PAX name", tar().entry(b"L", b'L', b"a").pax(&[("path", "b")]).file("x", b"")),
        ("PAX and GNU name", tar().pax(&[("path", "b")]).entry(b"L", b'L', b"a").file("x", b"")),
        ("two GNU names", tar().entry(b"L", b'L', b"a").entry(b"L", b'L', b"../b").file("x", b"")),
        ("two names in one record set", tar().pax(&[("path", "a"), ("path", "../b")]).file("x", b"")),
        ("two record sets with names", tar().pax(&[("path", "a")]).pax(&[("path", "../b")]).file("x", b"")),
    ];
    for (name, tar) in two {
        family.refused(name, tar.end(), "ArchiveUnsupported");
    }
    for (key, value) in
        [("path", "../evil"), ("size", "0"), ("linkpath", "/etc"), ("GNU.sparse.map", "0,1"), ("GNU.sparse.major", "1")]
    {
        let global = tar().entry(b"g", b'g', &pax_records(&[(key, value)])).file("x", b"x");
        family.refused(format!("global {key}"), global.end(), "ArchiveUnsupported");
    }
    records(&mut family);
    for (name, kind) in
        [("a record set", b'x'), ("a long name", b'L'), ("a long target", b'K'), ("global records", b'g')]
    {
        let reason = if kind == b'K' { "ArchiveEntryRefused" } else { "ArchiveNameRefused" };
        let huge = tar().with(b"x", kind, b"", |header| header.set_size(1 << 40)).raw(&[b'a'; 4096]);
        family.refused(format!("{name} of 1 TiB"), huge.end(), reason);
        let large = tar().entry(b"x", kind, &vec![b'a'; 70_000]).file("x", b"");
        family.refused(format!("{name} of 70 kB"), large.end(), reason);
        let reason = if kind == b'K' { "ArchiveEntryRefused" } else { "ArchiveDamaged" };
        let cut = tar().with(b"x", kind, b"", |header| header.set_size(4096)).raw(b"10 path=a\n");
        family.refused(format!("{name} cut off"), cut.cut(1024 + 512 + 10), reason);
    }
    for (name, kind) in [("record set", b'x'), ("long name", b'L')] {
        let last = tar().entry(b"x", kind, b"10 path=a\n");
        family.refused(format!("a {name} and nothing after it"), last.end(), "ArchiveDamaged");
    }
    let many = (0..61_000).fold(tar(), |tar, _| tar.entry(b"x", b'x', b""));
    family.refused("61,000 empty record sets", crate::case::gzip(&many.file("x", b"").end()), "ArchiveTooManyEntries");
    let same = (0..61_000).fold(tar(), |tar, _| tar.directory("same/"));
    family.refused("61,000 times the same directory", crate::case::gzip(&same.end()), "ArchiveTooManyEntries");
    family.cases
}

fn records(family: &mut Family) {
    let records: [&[u8]; 13] = [
        b"nonsense",
        b"99999999999999999999 path=a\n",
        b"9 path=abcdef\n",
        b"5 a=b\n6 c",
        b"0 path=a\n",
        b"4 =\n\n",
        b"6 path",
        b"-9 path=a\n",
        b"+9 path=a\n\n\n",
        b"10 path=a ",
        b"10 path:a\n",
        b"1",
        b"\0\0\0\0\0\0\0\0",
    ];
    for record in records {
        let shown = String::from_utf8_lossy(record).into_owned();
        let tar = tar().entry(b"x", b'x', record).file("y", b"");
        family.refused(format!("record {shown:?}"), tar.end(), "ArchiveDamaged");
    }
}

fn tar() -> Tar {
    Tar::default().file("main.py", b"ok")
}

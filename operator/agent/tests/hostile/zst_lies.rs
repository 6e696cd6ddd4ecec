//! Zstandard streams that lie, ask for too much, or are cut.

use crate::case::{Case, Family};
use crate::tars::Tar;
use crate::zstds::{block, frame, skippable, zstd};

const DAMAGED: &str = "ArchiveDamaged";
/// A window of 1 MiB, and no other field.
const PLAIN: [u8; 2] = [0, 10 << 3];

pub fn family() -> Vec<Case> {
    let mut family = Family::new("zst_lies");
    let tar = Tar::default().file("main.py", b"ok").end();
    for (what, log) in [("16 MiB", 14u8), ("128 MiB", 17), ("2 GiB", 21), ("1 TiB", 30), ("more than there is", 31)] {
        family.refused(format!("a window of {what}"), frame(&[0, log << 3], &tar), "ArchiveWindow");
        family.refused(format!("a window of a little over {what}"), frame(&[0, log << 3 | 1], &tar), "ArchiveWindow");
    }
    family.refused("a window of 9 MiB", frame(&[0, 13 << 3 | 1], &tar), "ArchiveWindow");
    for size in [9u64 << 20, 1 << 32, 1 << 62, u64::MAX] {
        // One segment: the content's size is the window's.
        let header = [&[0xe0][..], &size.to_le_bytes()].concat();
        family.refused(format!("one segment of {size}"), frame(&header, &tar), "ArchiveWindow");
    }
    for (what, flag, id) in [("of one byte", 1u8, &[7u8][..]), ("of two", 2, &[7, 7]), ("of four", 3, &[7, 7, 7, 7])] {
        let header = [&[flag, 10 << 3][..], id].concat();
        family.refused(format!("a dictionary's number {what}"), frame(&header, &tar), "ArchiveUnsupported");
    }
    for size in [1u32, 100, tar.len() as u32 - 1, tar.len() as u32 + 1, u32::MAX] {
        let header = [&[0x80, 10 << 3][..], &size.to_le_bytes()].concat();
        family.refused(format!("a content of {size}, it says"), frame(&header, &tar), DAMAGED);
    }
    let summed = [&frame(&[4, 10 << 3], &tar)[..], &[1, 2, 3, 4]].concat();
    family.refused("another checksum", summed, DAMAGED);
    family.refused("no checksum where one is announced", frame(&[4, 10 << 3], &tar), DAMAGED);
    let whole = zstd(&tar);
    for cut in [1, 2, 10, 1000, whole.len() - 7, whole.len() - 4] {
        family.refused(format!("without its last {cut}"), whole[..whole.len() - cut].to_vec(), DAMAGED);
    }
    let begun = |rest: &[Vec<u8>]| [&frame(&PLAIN, &[])[..6], &rest.concat()].concat();
    let first = || block(false, 0, 1024, &tar[..1024]);
    for (what, bad) in [
        ("of no type", block(true, 3, 10, &[0; 10])),
        ("larger than a block may be", block(true, 0, 200 << 10, &vec![0; 200 << 10])),
        ("of one byte, too often", block(true, 1, (1 << 21) - 1, &[0])),
        ("compressed and empty", block(true, 2, 0, &[])),
        ("compressed and rubbish", block(true, 2, 40, &[0xff; 40])),
        ("compressed, with trees that are missing", block(true, 2, 8, &[3, 0, 0, 0, 1, 0xff, 1, 1])),
        ("that refers before the beginning", block(true, 2, 7, &[0, 1, 0x54, 0xff, 0xff, 0xff, 1])),
    ] {
        family.refused(format!("a block {what}"), begun(&[first(), bad.clone()]), DAMAGED);
        family.refused(format!("a first block {what}"), begun(&[bad]), DAMAGED);
    }
    family.refused("a window smaller than its blocks", frame(&[0, 0], &vec![7; 2000]), DAMAGED);
    family.refused("rubbish after it", [&whole[..], b"rubbish"].concat(), DAMAGED);
    family.refused("two bytes after it", [&whole[..], &[0, 0]].concat(), DAMAGED);
    family.refused("a skipped frame that is cut", [&whole[..], &skippable(4_000_000_000, b"x")].concat(), DAMAGED);
    family.refused("a skipped frame that is cut, first", skippable(4_000_000_000, &whole), DAMAGED);
    let crowd: Vec<u8> = (0..20_000).flat_map(|_| skippable(0, b"")).chain(whole.clone()).collect();
    family.refused("20,000 skipped frames", crowd, DAMAGED);
    let crowd: Vec<u8> = (0..20_000).flat_map(|_| frame(&PLAIN, b"")).chain(whole).collect();
    family.refused("20,000 empty frames", crowd, DAMAGED);
    family.cases
}

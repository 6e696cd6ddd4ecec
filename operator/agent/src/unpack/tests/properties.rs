//! What holds for every archive, whatever is in it.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::tars::Tar;
use super::zips::{Entry, zip};
use super::*;

/// A file's path → its content; some with names of several parts.
type Files = BTreeMap<String, Vec<u8>>;

fn files() -> impl Strategy<Value = Files> {
    // Directories and files have names of their own, so that no file is in another's way.
    let name =
        prop_oneof!["[A-Z]{1,3}\\.py", "[a-z]{1,3}/[A-Z]{1,3}", "[a-z]{1,2}/[a-z]{1,2}/[\u{e0}-\u{ff}A-Z ]{1,40}"];
    btree_map(name, vec(any::<u8>(), 0..3000), 1..8)
}

/// The same files in each form.
fn packed(files: &Files) -> [Vec<u8>; 5] {
    let tar = files.iter().fold(Tar::default(), |tar, (name, content)| tar.file(name, content)).end();
    let entries: Vec<_> = files.iter().map(|(name, content)| Entry::deflated(name, content)).collect();
    let zstd = ruzstd::encoding::compress_to_vec(&tar[..], ruzstd::encoding::CompressionLevel::Fastest);
    [gzip(&tar), zstds::zstd(&tar), zstd, zip(&entries), tar]
}

/// A few bytes of an archive become others, are taken out or put in.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<proptest::sample::Index>().prop_map(|index| index.index(8000));
    prop_oneof![
        4 => (place.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => (place.clone(), 1usize..600).prop_map(|(at, length)| Change::Cut(at, length)),
        1 => (place, 1usize..600).prop_map(|(at, length)| Change::Repeat(at, length)),
    ]
}

fn changed(mut archive: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if archive.is_empty() {
            break;
        }
        let part = |at: usize, length: usize| {
            let from = at % archive.len();
            from..archive.len().min(from + length)
        };
        match *change {
            Change::Set(at, byte) => {
                let at = part(at, 1).start;
                archive[at] = byte;
            }
            Change::Cut(at, length) => drop(archive.drain(part(at, length))),
            Change::Repeat(at, length) => {
                let range = part(at, length);
                let again = archive[range.clone()].to_vec();
                archive.splice(range.end..range.end, again);
            }
        }
    }
    archive
}

/// Bytes that begin like an archive.
fn rubbish() -> impl Strategy<Value = Vec<u8>> {
    let begin = prop_oneof![
        Just(b"PK\x03\x04".to_vec()),
        Just(b"PK\x05\x06".to_vec()),
        Just(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]),
        Just(vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x50]),
        Just(vec![0x50, 0x2a, 0x4d, 0x18]),
        Just(vec![]),
    ];
    (begin, vec(any::<u8>(), 0..2000)).prop_map(|(begin, rest)| [begin, rest].concat())
}

/// Whatever becomes of it: all of it or nothing, nothing outside, within the bounds, and nothing but files and directories.
fn assert_harmless(archive: Vec<u8>) -> Result<(), TestCaseError> {
    let sandbox = Sandbox::new();
    let result = sandbox.unpack(archive, SMALL);
    sandbox.assert_confined();
    let package = sandbox.code().join(PACKAGE);
    prop_assert_eq!(result.is_ok(), package.exists());
    prop_assert!(!sandbox.code().join(STAGING).exists());
    if let Err(error) = result {
        prop_assert!(matches!(error, UnpackError::Refused(_)), "{}", error);
        return Ok(());
    }
    let mut found = BTreeMap::new();
    if package.is_dir() {
        walk(&package, &package, &mut found);
    }
    prop_assert!(found.len() as u64 <= SMALL.entries);
    prop_assert!(found.values().map(|(_, content)| content.len() as u64).sum::<u64>() <= SMALL.bytes);
    prop_assert!(found.values().all(|(mode, _)| [0o644, 0o755].contains(mode)));
    Ok(())
}

/// What the fuzzer (`operator/agent/fuzz`) has found to be worth a look, kept small.
#[test]
fn what_a_fuzzer_found_does_no_harm() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/unpack");
    let found: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!found.is_empty());
    for path in found {
        let outcome = assert_harmless(std::fs::read(&path).unwrap());
        assert!(outcome.is_ok(), "{path:?}: {outcome:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_is_unpacked(files in files()) {
        for archive in packed(&files) {
            let found: Files = unpacked(archive).into_iter().map(|(name, (_, content))| (name, content)).collect();
            prop_assert_eq!(&found, &files);
        }
    }

    #[test]
    fn changed_archives_do_no_harm(files in files(), changes in vec(change(), 1..6)) {
        for archive in packed(&files) {
            assert_harmless(changed(archive, &changes))?;
        }
    }

    #[test]
    fn changes_inside_a_compressed_tar_do_no_harm(files in files(), changes in vec(change(), 1..6)) {
        let [.., tar] = packed(&files);
        let tar = changed(tar, &changes);
        assert_harmless(gzip(&tar))?;
        assert_harmless(zstds::zstd(&tar))?;
    }

    #[test]
    fn rubbish_does_no_harm(bytes in rubbish()) {
        assert_harmless(bytes)?;
    }
}

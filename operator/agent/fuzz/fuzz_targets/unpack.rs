//! Any bytes at all are unpacked: whole or not at all, inside or nowhere, files and directories only.
#![no_main]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use muon_agent::unpack::{Archive, Limits, PACKAGE, UnpackError, unpack};

const SMALL: Limits =
    Limits { entries: 50, bytes: 1 << 20, file_bytes: 512 << 10, ratio: 200, ratio_from: 64 << 10, depth: 8, name: 256 };

fuzz_target!(|archive: &[u8]| {
    let around = tempfile::tempdir().expect("a directory");
    let code = around.path().join("code");
    fs::create_dir(&code).expect("a directory");
    let until = Instant::now() + Duration::from_secs(60);
    let result = unpack(Archive::Memory(archive.to_vec().into()), &code, SMALL, until);
    assert_eq!(fs::read_dir(around.path()).expect("it is there").count(), 1, "something was written outside");
    let left: Vec<_> = fs::read_dir(&code).expect("it is there").map(|entry| entry.expect("it is there").path()).collect();
    match result {
        Ok(package) => {
            assert_eq!(left, [code.join(PACKAGE)]);
            assert_plain(&package);
        }
        Err(UnpackError::Refused(_)) => assert!(left.is_empty(), "{left:?} is left"),
        Err(error) => panic!("{error}"),
    }
});

fn assert_plain(path: &Path) {
    let metadata = path.symlink_metadata().expect("it is there");
    if metadata.is_dir() {
        fs::read_dir(path).expect("it is there").for_each(|entry| assert_plain(&entry.expect("it is there").path()));
    } else {
        assert!(metadata.is_file(), "{path:?}");
        assert!([0o644, 0o755].contains(&(metadata.permissions().mode() & 0o7777)), "{path:?}");
    }
}

//! Archives that should be unpacked, the bounds, and properties of all there are. Hostile archives, one by one, are in
//! `tests/hostile`, where they meet a real agent.

mod bounds;
mod friendly;
mod properties;
mod tars;
mod zips;
mod zstds;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;

/// Bounds small enough that breaking them is quick.
const SMALL: Limits = Limits {
    entries: 50,
    bytes: 1 << 20,
    file_bytes: 512 << 10,
    ratio: 200,
    ratio_from: 64 << 10,
    depth: 8,
    name: 256,
};

/// A code directory with something around it that must not change.
struct Sandbox {
    outer: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir(outer.path().join("userfunc")).unwrap();
        std::fs::write(outer.path().join("secret"), "untouched").unwrap();
        Self { outer }
    }

    fn code(&self) -> PathBuf {
        self.outer.path().join("userfunc")
    }

    fn unpack(&self, archive: Vec<u8>, limits: Limits) -> Result<PathBuf, UnpackError> {
        let until = Instant::now() + Duration::from_secs(60);
        unpack(Archive::Memory(archive.into()), &self.code(), limits, until)
    }

    /// Everything outside of the code directory is as it was.
    #[track_caller]
    fn assert_confined(&self) {
        let names: Vec<_> = std::fs::read_dir(self.outer.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "something was written outside: {names:?}");
        assert_eq!(std::fs::read_to_string(self.outer.path().join("secret")).unwrap(), "untouched");
    }
}

/// Unpacks and returns what is there: path → (mode, content).
#[track_caller]
fn unpacked(archive: Vec<u8>) -> BTreeMap<String, (u32, Vec<u8>)> {
    let sandbox = Sandbox::new();
    let root = sandbox.unpack(archive, Limits::default()).unwrap();
    sandbox.assert_confined();
    let mut found = BTreeMap::new();
    walk(&root, &root, &mut found);
    found
}

fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        assert!(metadata.is_dir() || metadata.is_file(), "{path:?} is neither a file nor a directory");
        if metadata.is_dir() {
            walk(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert(name, (metadata.permissions().mode() & 0o7777, std::fs::read(&path).unwrap()));
        }
    }
}

/// The archive is refused for this reason, with a message that says why, and nothing of it is left anywhere.
#[track_caller]
fn refused(what: &str, archive: Vec<u8>, reason: &str) {
    let sandbox = Sandbox::new();
    match sandbox.unpack(archive, SMALL) {
        Err(UnpackError::Refused(refused)) => {
            assert_eq!(refused.reason(), reason, "{what}: {refused}");
            assert!(refused.to_string().len() > 15, "{what}: {refused}");
        }
        Err(error) => panic!("{what}: {error}"),
        Ok(_) => panic!("{what}: was unpacked"),
    }
    sandbox.assert_confined();
    let left: Vec<_> = std::fs::read_dir(sandbox.code()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{what}: left {left:?}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

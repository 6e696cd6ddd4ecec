//! What people really pack.

use super::tars::Tar;
use super::zips::{Entry, zip};
use super::*;

fn hello() -> Tar {
    Tar::default().directory("lib/").file("main.py", b"def main(): ...").file("lib/a.py", b"a")
}

#[test]
fn every_form_gives_the_same() {
    let zipped = zip(&[
        Entry::deflated("main.py", b"def main(): ..."),
        Entry::stored("lib/", b"").with(|entry| entry.mode = 0o040_755),
        Entry::stored("lib/a.py", b"a"),
    ]);
    let expected = unpacked(hello().end());
    assert_eq!(expected.keys().collect::<Vec<_>>(), ["lib/a.py", "main.py"]);
    assert_eq!(expected["main.py"], (0o644, b"def main(): ...".to_vec()));
    assert_eq!(unpacked(gzip(&hello().end())), expected);
    assert_eq!(unpacked(zipped), expected);
    assert_eq!(unpacked(zstds::zstd(&hello().end())), expected);
    // As `zstd -19` makes it: with trees, and matches that refer far back.
    let packed = ruzstd::encoding::compress_to_vec(&hello().end()[..], ruzstd::encoding::CompressionLevel::Fastest);
    assert_eq!(unpacked(packed), expected);
}

#[test]
fn zstandard_frames_are_one_stream_and_those_of_others_are_skipped() {
    let tar = hello().end();
    let frames = [zstds::skippable(3, b"abc"), zstds::zstd(&tar[..700]), zstds::zstd(&tar[700..])].concat();
    assert_eq!(unpacked(frames), unpacked(tar));
}

#[test]
fn a_file_that_is_no_archive_is_a_package_of_one_file() {
    for content in
        [&b"print('hello')"[..], b"", b"PK", &gzip(b"text"), &zstds::zstd(b"text"), b"\x1f\x8bnot gzip", &[0; 100]]
    {
        let sandbox = Sandbox::new();
        let path = sandbox.unpack(content.to_vec(), Limits::default()).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), content);
    }
}

#[test]
fn modes_are_two_and_never_set_uid() {
    let tar = Tar::default().with(b"run", b'0', b"#!", |header| header.set_mode(0o6_4711)).with(
        b"closed",
        b'0',
        b"",
        |header| header.set_mode(0o000),
    );
    let found = unpacked(tar.end());
    assert_eq!((found["run"].0, found["closed"].0), (0o755, 0o644));
    let found = unpacked(zip(&[Entry::stored("run", b"").with(|entry| entry.mode = 0o104_755)]));
    assert_eq!(found["run"].0, 0o755);
}

#[test]
fn times_of_a_tar_are_kept() {
    let sandbox = Sandbox::new();
    let root = sandbox.unpack(hello().end(), Limits::default()).unwrap();
    let modified = root.join("main.py").metadata().unwrap().modified().unwrap();
    assert_eq!(modified, std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
}

#[test]
fn long_names_in_both_forms_are_read() {
    let long = format!("{}/{}.py", "d".repeat(120), "f".repeat(120));
    let gnu = Tar::default().entry(b"././@LongLink", b'L', format!("{long}\0").as_bytes()).file("cut", b"gnu");
    assert_eq!(unpacked(gnu.end())[&long].1, b"gnu");
    let pax = Tar::default().pax(&[("path", &long), ("mtime", "1.5"), ("size", "3")]).file("cut", b"pax");
    assert_eq!(unpacked(pax.end())[&long].1, b"pax");
}

#[test]
fn what_git_and_old_tars_write_is_read() {
    let comment = tars::pax_records(&[("comment", "0123456789abcdef")]);
    let tar = Tar::default().entry(b"pax_global_header", b'g', &comment).entry(b"old/", 0, b"").entry(
        b"./old/./file",
        0,
        b"x",
    );
    assert_eq!(unpacked(tar.end()).keys().collect::<Vec<_>>(), ["old/file"]);
    let without_end = hello().cut(usize::MAX);
    assert_eq!(unpacked(without_end).len(), 2);
}

#[test]
fn names_that_differ_in_case_are_two_files() {
    assert_eq!(unpacked(Tar::default().file("A", b"1").file("a", b"2").end()).len(), 2);
}

#[test]
fn a_zip_written_as_a_stream_is_read() {
    use zip::write::SimpleFileOptions;
    let mut writer = zip::ZipWriter::new_stream(Vec::new());
    writer.start_file("main.js", SimpleFileOptions::default().large_file(true)).unwrap();
    writer.write_all(b"module.exports").unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    assert_eq!(unpacked(bytes)["main.js"].1, b"module.exports");
}

#[test]
fn a_package_replaces_what_an_interrupted_load_left() {
    let sandbox = Sandbox::new();
    for left in [STAGING, PACKAGE] {
        std::fs::create_dir_all(sandbox.code().join(left).join("deep")).unwrap();
    }
    let root = sandbox.unpack(hello().end(), SMALL).unwrap();
    assert!(!root.join("deep").exists() && root.join("main.py").exists());
    assert!(!sandbox.code().join(STAGING).exists());
}

#[test]
fn the_time_ends_it() {
    let sandbox = Sandbox::new();
    let archive = Archive::Memory(hello().end().into());
    let error = unpack(archive, &sandbox.code(), SMALL, Instant::now() - Duration::from_millis(1)).unwrap_err();
    assert!(matches!(error, UnpackError::Refused(Refused::Time)), "{error}");
}

#[test]
fn a_spilled_archive_is_read_from_its_file() {
    let sandbox = Sandbox::new();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&gzip(&hello().end())).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let root = unpack(Archive::File(file), &sandbox.code(), SMALL, until).unwrap();
    assert!(root.join("main.py").exists());
}

#[test]
fn v1_runtimes_find_the_only_file_or_the_directory() {
    let sandbox = Sandbox::new();
    let user = sandbox.outer.path().join(V1_NAME);
    for (archive, expected) in [
        (b"plain".to_vec(), Some("plain")),
        (Tar::default().file("hello.py", b"only").end(), Some("only")),
        (hello().end(), None),
    ] {
        sandbox.unpack(archive, SMALL).unwrap();
        link_for_v1(&sandbox.code()).unwrap();
        match expected {
            Some(content) => assert_eq!(std::fs::read_to_string(&user).unwrap(), content),
            None => assert!(user.join("main.py").exists()),
        }
    }
}

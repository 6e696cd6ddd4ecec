use std::io::Read as _;
use std::os::unix::fs::symlink;

use super::*;

const MAX: u64 = 1 << 20;

fn result(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn entries(archive: &[u8]) -> Vec<(String, u32, String)> {
    let mut archive = tar::Archive::new(archive);
    let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap(), text)
    };
    archive.entries().unwrap().map(read).collect()
}

#[test]
fn the_same_content_is_the_same_archive() {
    let long = format!("deep/{}/b.py", "d".repeat(120));
    let (one, other) = (result(&[("a.py", "a"), (&long, "b")]), result(&[(&long, "b"), ("a.py", "a")]));
    File::open(one.path().join("a.py")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    std::fs::set_permissions(one.path().join("a.py"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let packed = pack(one.path(), Limits::default(), MAX).unwrap();
    assert_eq!(packed, pack(other.path(), Limits::default(), MAX).unwrap());
    assert_eq!(entries(&packed), [("a.py".into(), 0o644, "a".into()), (long, 0o644, "b".into())]);
}

#[test]
fn a_program_stays_executable_and_one_file_is_a_package() {
    let dir = result(&[("program", "x")]);
    let program = dir.path().join("program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    for deploy in [dir.path(), &program] {
        let packed = pack(deploy, Limits::default(), MAX).unwrap();
        assert_eq!(entries(&packed), [("program".into(), 0o755, "x".into())]);
    }
}

#[test]
fn links_are_what_they_lead_to_within_the_result() {
    let dir = result(&[("lib/real.js", "x")]);
    symlink("../lib/real.js", dir.path().join("lib/link.js")).unwrap();
    symlink("lib", dir.path().join("again")).unwrap();
    let packed = pack(dir.path(), Limits::default(), MAX).unwrap();
    let names: Vec<String> = entries(&packed).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["again/link.js", "again/real.js", "lib/link.js", "lib/real.js"]);
}

#[test]
fn what_no_pod_would_load_is_refused_in_plain_words() {
    let out = result(&[("a", "x")]);
    symlink("/etc/passwd", out.path().join("out")).unwrap();
    let dangling = result(&[("a", "x")]);
    symlink("nowhere", dangling.path().join("gone")).unwrap();
    let endless = result(&[("a", "x")]);
    symlink(".", endless.path().join("self")).unwrap();
    let many = result(&[("a", "x"), ("b", "x"), ("c", "x")]);
    let large = result(&[("a", &"x".repeat(600))]);
    let limits = Limits { entries: 1000, bytes: 500, file_bytes: 400, ..Limits::default() };
    let few = Limits { entries: 2, ..limits };
    let small = Limits { file_bytes: 1000, ..limits };
    for (dir, limits, expected) in [
        (&out, limits, "link out"),
        (&dangling, limits, "link gone"),
        (&endless, limits, "levels of directories"),
        (&many, few, "files and directories (2)"),
        (&large, limits, "bytes in one file (400)"),
        (&large, small, "bytes (500)"),
        (&result(&[]), limits, "left nothing"),
    ] {
        let refused = pack(dir.path(), limits, MAX).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    let nothing = pack(&out.path().join("nothing"), limits, MAX).unwrap_err();
    assert!(matches!(nothing, NotPacked::Nothing(_)), "{nothing}");
}

#[test]
fn only_what_is_too_large_is_compressed() {
    let dir = result(&[("text", &"line\n".repeat(10_000))]);
    assert!(pack(dir.path(), Limits::default(), MAX).unwrap().len() > 50_000);
    let packed = pack(dir.path(), Limits::default(), 20_000).unwrap();
    assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() < 20_000);
    assert_eq!(packed, pack(dir.path(), Limits::default(), 20_000).unwrap());
    assert!(matches!(pack(dir.path(), Limits::default(), 50), Err(NotPacked::TooLarge(50))));
}

use std::io::Read as _;

use proptest::prelude::*;

use super::*;

fn files(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// What another reader of archives finds: name, mode, time, content.
fn read(archive: &[u8]) -> Vec<(String, u32, u64, String)> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let (mode, time) = (entry.header().mode().unwrap(), entry.header().mtime().unwrap());
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (name, mode, time, text)
        })
        .collect()
}

#[test]
fn an_archive_is_what_was_put_in() {
    let long = format!("{}/main.py", "directory/".repeat(14).trim_end_matches('/'));
    let content = "x".repeat(512);
    let packed = tar(&files(&[("main.py", "print()\n"), (long.as_str(), content.as_str()), ("empty", "")]));
    assert_eq!(packed.len() % 512, 0);
    assert_eq!(
        read(&packed),
        [
            (long, 0o644, 0, content),
            ("empty".to_owned(), 0o644, 0, String::new()),
            ("main.py".to_owned(), 0o644, 0, "print()\n".to_owned()),
        ]
    );
}

#[test]
fn the_bytes_never_change() {
    // A changed digest would be a new revision of every function with inline files.
    let packed = tar(&files(&[("main.py", "def main():\n    return 'hi'\n"), ("lib/a.py", "A = 1\n")]));
    assert_eq!(
        muon_crds::names::digest(&packed),
        "sha256:62f36106885884809080a33336815a117be473c55b9b39c91157ab1820b4bdcd"
    );
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    for bad in [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../a",
        "a/../../b",
        "a/..",
        "a//b",
        "a/",
        "./a",
        "a/.",
        "a\\b",
        "a\0b",
        "a\nb",
        &"a".repeat(256),
    ] {
        let error = check_name(bad).unwrap_err();
        assert!(error.to_string().len() < 200, "{error}");
        assert!(check(&files(&[(bad, "")])).is_err(), "{bad:?}");
    }
    for good in ["a", "main.py", "..a", "a..", "a/b/c.txt", ".hidden", "ü.py", "a b", &"a".repeat(255)] {
        assert_eq!(check_name(good), Ok(()), "{good:?}");
    }
}

#[test]
fn a_file_is_not_a_directory_too() {
    assert!(check(&files(&[("a", ""), ("a/b", "")])).is_err());
    assert!(check(&files(&[("a/b", ""), ("a/b/c/d", "")])).is_err());
    assert!(check(&files(&[("a", ""), ("ab/c", "")])).is_ok());
}

proptest! {
    #[test]
    fn packing_is_a_function_of_the_files(
        files in proptest::collection::btree_map("[a-z]{1,8}\\.[a-z]{2}", "\\PC{0,600}", 1..8)
    ) {
        prop_assume!(check(&files).is_ok());
        let packed = tar(&files);
        prop_assert_eq!(&packed, &tar(&files.clone()));
        let found: BTreeMap<String, String> = read(&packed).into_iter().map(|(name, _, _, text)| (name, text)).collect();
        prop_assert_eq!(found, files);
    }

    #[test]
    fn any_name_that_is_taken_stays_inside(name in "[a./\\\\\\x00 ]{0,12}") {
        if check_name(&name).is_ok() {
            let path = std::path::Path::new(&name);
            prop_assert!(path.is_relative());
            prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
        }
    }
}

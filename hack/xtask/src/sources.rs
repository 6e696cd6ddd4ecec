//! Names and lengths of source files.

use crate::{files, text};

/// A file that one cannot hold in one's head is two files.
const MAX_LINES: usize = 500;

/// Made by programs, or data of tests.
fn exempt(path: &str) -> bool {
    ["/generated/", "/testdata/", "/golden/", "/snapshots/"].iter().any(|part| path.contains(part))
}

fn is_source(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((_, extension)) => ["rs", "py", "sh", "js", "mjs", "ts", "go"].contains(&extension),
        // hack/up and its like.
        None => path.starts_with("hack/") && text(path).starts_with("#!"),
    }
}

#[test]
fn files_are_short() {
    let long: Vec<String> = files()
        .into_iter()
        .filter(|path| is_source(path) && !exempt(path))
        .map(|path| (text(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "over {MAX_LINES} lines: {long:#?}");
}

#[test]
fn one_module_style_and_telling_names() {
    let found: Vec<String> = files()
        .into_iter()
        .filter(|path| {
            let name = path.rsplit('/').next().unwrap_or(path);
            name == "mod.rs"
                || ["utils", "util", "helpers", "common", "misc"].iter().any(|word| {
                    name.strip_prefix(word).is_some_and(|rest| [".rs", ".py", ".js", ".go", ".sh"].contains(&rest))
                })
        })
        .collect();
    assert!(found.is_empty(), "foo.rs beside foo/, and names that say what a file is about: {found:#?}");
}

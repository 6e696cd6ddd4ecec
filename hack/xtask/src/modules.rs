//! Every `.rs` file is part of some target: the compiler never looks at one that no `mod` names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::{files, packages, root};

#[test]
fn every_source_file_is_reached_by_a_mod() {
    let mut reached = BTreeSet::new();
    for package in packages() {
        for target in package["targets"].as_array().unwrap() {
            let file = PathBuf::from(target["src_path"].as_str().unwrap());
            let directory = file.parent().unwrap().to_path_buf();
            reach(&file, &directory, &mut reached);
        }
    }
    // What functions are made with is compiled where functions are, and in its own tests; a fuzz target by its fuzzer.
    let elsewhere = ["config/environments/", "hack/cluster/conformance/code/"];
    let ours = |path: &String| {
        path.ends_with(".rs")
            && !elsewhere.iter().any(|folder| path.starts_with(folder))
            && !path.contains("/fuzz_targets/")
    };
    let orphans: Vec<String> =
        files().into_iter().filter(|path| ours(path) && !reached.contains(&root().join(path))).collect();
    assert!(orphans.is_empty(), "no `mod` names these files, so nothing compiles them: {orphans:#?}");
}

/// Marks a file and, recursively, the modules it declares, whose files lie in `directory`.
fn reach(file: &Path, directory: &Path, reached: &mut BTreeSet<PathBuf>) {
    if !reached.insert(file.to_path_buf()) {
        return;
    }
    let text = std::fs::read_to_string(file).unwrap_or_default();
    for Declared { name, path } in declared(&text) {
        let child = match path {
            // `#[path]` counts from the directory of the file that says it.
            Some(path) => file.parent().unwrap().join(path),
            None => directory.join(format!("{name}.rs")),
        };
        if child.is_file() {
            let below = child.parent().unwrap().join(child.file_stem().unwrap());
            reach(&child, &below, reached);
        }
    }
}

#[derive(Debug, PartialEq)]
struct Declared<'a> {
    name: &'a str,
    path: Option<&'a str>,
}

/// The modules that a file declares without a body (`mod name;`).
fn declared(text: &str) -> Vec<Declared<'_>> {
    let mut found = Vec::new();
    let mut path = None;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[path = \"") {
            path = rest.split('"').next();
        } else if let Some(name) = module_name(line) {
            found.push(Declared { name, path: path.take() });
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            path = None;
        }
    }
    found
}

fn module_name(line: &str) -> Option<&str> {
    let line = match line.strip_prefix("pub") {
        Some(rest) => {
            rest.trim_start().strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest)
        }
        None => line,
    };
    let name = line.trim_start().strip_prefix("mod ")?.split(';').next()?.trim();
    (line.contains(';') && !name.contains(['{', ' '])).then_some(name)
}

#[test]
fn declarations_are_read() {
    let text = "mod a;\npub mod b;\n#[cfg(test)]\npub(crate) mod c;\nmod d {\n}\n#[path = \"x/y.rs\"]\nmod e; // why\n";
    let names: Vec<_> = declared(text).iter().map(|module| (module.name, module.path)).collect();
    assert_eq!(names, [("a", None), ("b", None), ("c", None), ("e", Some("x/y.rs"))]);
}

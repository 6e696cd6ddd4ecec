//! Puts the sources of the runtimes that `muon run` starts into the program: those that an interpreter reads, and the
//! Go files of the runtime `binary`; with each the Environment, which says what its variables mean.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const LANGUAGES: [&str; 5] = ["binary", "node", "php", "python", "ruby"];

fn main() {
    let environments = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/environments");
    let mut out = String::from("pub(super) static FILES: &[(&str, &str, &[u8])] = &[\n");
    for language in LANGUAGES {
        let folder = environments.join(language);
        // What Go compiles lies as in the repository, beside the module that it shares with others.
        let (root, folders) = match language {
            "binary" => (environments.clone(), vec![folder.join("runtime"), environments.join("contract")]),
            _ => (folder.join("runtime"), vec![folder.join("runtime")]),
        };
        let mut files = vec![(folder.join("environment.yaml"), "environment.yaml".to_owned())];
        for folder in folders {
            gather(&root, &folder, &mut files);
            println!("cargo::rerun-if-changed={}", folder.display());
        }
        files.sort();
        for (file, name) in files {
            let file = file.canonicalize().expect("a file that was just seen");
            writeln!(out, "    ({language:?}, {name:?}, include_bytes!({file:?})),").expect("a string has room");
        }
        println!("cargo::rerun-if-changed={}", folder.join("environment.yaml").display());
    }
    out.push_str("];\n");
    let place = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names it")).join("runtimes.rs");
    std::fs::write(place, out).expect("OUT_DIR can be written");
}

/// Everything below a folder but tests and what their runs leave behind.
fn gather(root: &Path, folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry of it").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name that is text");
        if ["tests", "__pycache__"].contains(&name) || name.starts_with('.') || name.ends_with("_test.go") {
            continue;
        }
        if path.is_dir() {
            gather(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("it lies below").to_str().expect("text").to_owned();
            files.push((path, name));
        }
    }
}

//! Rules of the structure, as tests: `cargo test -p xtask`.
//!
//! | module | holds |
//! | --- | --- |
//! | `crates` | which crate may depend on which, which may do IO, one cryptography provider |
//! | `modules` | every `.rs` file is part of a target |
//! | `sources` | names and lengths of files |
//! | `papers` | top level, README, links, samples |
//! | `packages` | what people install is made from the kustomize bases of today |
//!
//! They look at the files that Git has or would take (`git ls-files`), never at build products.

use std::path::{Path, PathBuf};
use std::process::Command;

#[cfg(test)]
mod crates;
#[cfg(test)]
mod modules;
#[cfg(test)]
mod packages;
#[cfg(test)]
mod papers;
#[cfg(test)]
mod sources;

/// The top of the project.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Paths, relative to the top, of all files that Git has or would take.
pub fn files() -> Vec<String> {
    let mut files: Vec<String> = output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])
        .lines()
        .filter(|path| root().join(path).is_file())
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    files
}

/// The text of a file, by its path relative to the top; what is not UTF-8 is replaced.
pub fn text(path: &str) -> String {
    std::fs::read(root().join(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// What a command, run at the top, prints.
///
/// # Panics
/// When it cannot be run or fails: a rule that cannot be checked does not hold.
#[allow(clippy::panic)]
pub fn output(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).current_dir(root()).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => panic!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("{program}: {error}"),
    }
}

/// What Cargo knows of the workspace's packages, without their dependencies' own.
///
/// # Panics
/// When Cargo does not answer with JSON.
#[allow(clippy::panic)]
pub fn packages() -> Vec<serde_json::Value> {
    let text = output(&cargo(), &["metadata", "--no-deps", "--format-version", "1", "--locked"]);
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(metadata) => metadata["packages"].as_array().cloned().unwrap_or_default(),
        Err(error) => panic!("cargo metadata: {error}"),
    }
}

/// The Cargo that runs the tests.
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

//! Copies of directory trees: plain files alone; what begins with a dot, and links, stay behind.

use std::path::Path;
use std::{fs, io};

pub fn copy(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let text = name.to_string_lossy();
        if text.starts_with('.') || text == "target" || !wanted(&text) {
            continue;
        }
        if kind.is_dir() {
            copy(&entry.path(), &to.join(&name), wanted)?;
        } else if kind.is_file() {
            fs::create_dir_all(to)?;
            fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

/// Whether the function may want to read it when it runs.
pub fn is_data(name: &str) -> bool {
    !name.ends_with(".rs") && !["Cargo.toml", "Cargo.lock", "vendor", "tests", "benches", "program"].contains(&name)
}

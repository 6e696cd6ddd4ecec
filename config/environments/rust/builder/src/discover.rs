//! Which functions a crate has: `pub fn name(request: &mut Request)` of its top, and of its public modules.

use std::fs;
use std::path::Path;

use crate::Failure;

/// The paths of all handlers in the crate, as `api::list`.
pub fn functions(root: &Path, library: &Path) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    module(&root.join(library), "", &mut found)?;
    if found.is_empty() {
        let message = format!(
            "{} has no handler: a function is `pub fn handle(request: &mut Request) -> …`, with `use muon::Request`",
            library.display()
        );
        return Err(Failure::Told(message));
    }
    Ok(found)
}

fn module(file: &Path, prefix: &str, found: &mut Vec<String>) -> Result<(), Failure> {
    let text = fs::read_to_string(file)?;
    for line in text.lines() {
        if let Some(name) = handler(line) {
            found.push(format!("{prefix}{name}"));
        }
        let child =
            line.strip_prefix("pub mod ").and_then(|rest| rest.split(';').next().filter(|_| rest.contains(';')));
        let Some(name) = child.map(str::trim) else { continue };
        let is_top = ["lib.rs", "main.rs", "mod.rs"].iter().any(|top| file.ends_with(top));
        let folder = if is_top { file.with_file_name("") } else { file.with_extension("") };
        let places = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
        if let Some(place) = places.iter().find(|place| place.is_file()) {
            module(place, &format!("{prefix}{name}::"), found)?;
        }
    }
    Ok(())
}

/// The name of the handler that a line begins, if it begins one.
fn handler(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix("pub fn ")?.split_once('(')?;
    let parameter = rest.split(')').next()?.split_once(':')?.1.trim();
    let kind = parameter.strip_prefix("&mut ")?.trim();
    let is_request = kind.rsplit("::").next() == Some("Request") && !name.contains('<');
    is_request.then_some(name)
}

//! The code of a project's objects: which files are whose.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::{Mapping, Value};

use super::manifest::{self, Manifest, Sort};
use super::{CODE, FILE, ProjectError, Tree};
use crate::kinds::Kind;

/// What `source.files` may hold.
const FILES: usize = 256;
/// One object has about 1 MiB in the API server, and its own fields need some of that.
const BYTES: usize = 900 * 1024;

/// Puts the files into the objects that leave their code out.
pub(super) fn fill(objects: &mut [Manifest], tree: &Tree) -> Result<(), ProjectError> {
    let directories: BTreeSet<String> = objects
        .iter()
        .filter(|object| is_open(object))
        .map(|object| directory(object, tree))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .collect();
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for object in objects.iter_mut() {
        let shown = object.to_string();
        let wrong = |message: String| ProjectError::Code { object: shown.clone(), message };
        if is_open(object) {
            let own = directory(object, tree)?;
            if let Some(other) = owners.insert(own.clone(), shown.clone()) {
                let place = if own.is_empty() { "the project's directory".to_owned() } else { own };
                return Err(wrong(format!(
                    "its code and that of {other} would both be {place}: give each a directory of its name, or say one with the annotation {CODE}"
                )));
            }
            let files = files(&own, &directories, tree).map_err(&wrong)?;
            let mut source = Mapping::new();
            source.insert("files".into(), Value::Mapping(files));
            if let Some(spec) = object.spec() {
                spec.insert("source".into(), Value::Mapping(source));
            }
        } else if object.code().is_some() {
            return Err(wrong(format!(
                "it says where its code is, and with the annotation {CODE} that it is somewhere else"
            )));
        }
        object.without_code();
        manifest::check(object).map_err(&wrong)?;
    }
    Ok(())
}

/// Whether the manifest leaves its code to the directory.
fn is_open(object: &Manifest) -> bool {
    let has = |key: &str| object.value.get("spec").is_some_and(|spec| spec.get(key).is_some());
    let spec = object.value.get("spec").is_some_and(Value::is_mapping);
    match object.sort {
        Sort::Muon(Kind::Function) => spec && !has("source") && !has("package"),
        Sort::Muon(Kind::Package) => spec && !has("source"),
        _ => false,
    }
}

/// The directory of an object's code, with `/` at its end, or nothing for the project's own.
fn directory(object: &Manifest, tree: &Tree) -> Result<String, ProjectError> {
    let wrong = |message: String| ProjectError::Code { object: object.to_string(), message };
    let below = |directory: &str| tree.files.keys().any(|path| path.starts_with(directory));
    match object.code() {
        Some(".") => Ok(String::new()),
        Some(named) => {
            let directory = format!("{}/", named.trim_start_matches("./").trim_end_matches('/'));
            if named.starts_with('/') || directory.split('/').any(|part| part == "..") {
                return Err(wrong(format!("{CODE}: {named:?} leaves the project")));
            }
            match below(&directory) {
                true => Ok(directory),
                false => Err(wrong(format!("{CODE}: there is no code in {named:?}"))),
            }
        }
        None => {
            let directory = format!("{}/", object.name);
            Ok(if below(&directory) { directory } else { String::new() })
        }
    }
}

/// The files of one object; those of the directories of others, inside of its own, are theirs.
fn files(own: &str, directories: &BTreeSet<String>, tree: &Tree) -> Result<Mapping, String> {
    let others: Vec<&String> =
        directories.iter().filter(|other| other.as_str() != own && other.starts_with(own)).collect();
    let mut files = Mapping::new();
    let mut bytes = 0;
    for (path, content) in &tree.files {
        let Some(name) =
            path.strip_prefix(own).filter(|_| !others.iter().any(|other| path.starts_with(other.as_str())))
        else {
            continue;
        };
        let text = std::str::from_utf8(content).map_err(|_| {
            format!("{path} is not text: .muonignore leaves it out; code with such files comes as an archive, an OCI artifact or a commit (spec.source)")
        })?;
        bytes += name.len() + text.len();
        files.insert(name.into(), text.into());
    }
    match files.len() {
        0 => Err(format!("there is no code beside {FILE}")),
        count if count > FILES => Err(format!(
            "{count} files; a manifest takes {FILES}: see .muonignore, or spec.source.git and spec.source.oci"
        )),
        _ if bytes > BYTES => Err(format!(
            "{bytes} bytes of code; a manifest takes {BYTES}: see .muonignore, or spec.source.git and spec.source.oci"
        )),
        _ => Ok(files),
    }
}

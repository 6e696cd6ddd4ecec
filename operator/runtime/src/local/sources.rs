//! The runtimes' sources, which are inside this program, as files in the user's cache.
//!
//! A folder is named by what it holds, and gets its name only once it is whole: several processes, of several
//! versions, may use the cache at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use muon_crds::{Environment, names};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/runtimes.rs"));
}

/// The file that is the Environment, beside those of the runtime.
const ENVIRONMENT: &str = "environment.yaml";

/// Why the sources cannot be used.
#[derive(thiserror::Error, Debug)]
pub(crate) enum SourcesError {
    #[error("cannot write the runtime to {place}: {source}; XDG_CACHE_HOME says where the cache is to be")]
    Cache { place: PathBuf, source: io::Error },
    #[error("neither XDG_CACHE_HOME nor HOME is set: there is no place for the cache")]
    NoCache,
}

/// The runtime's folder, written now if it was not there.
pub(crate) fn unpacked(language: &str) -> Result<PathBuf, SourcesError> {
    unpacked_below(&cached("runtimes")?, language)
}

/// What the language's Environment says.
pub(crate) fn environment(language: &str) -> Option<Environment> {
    let (_, _, text) = embedded::FILES.iter().find(|(of, name, _)| *of == language && *name == ENVIRONMENT)?;
    serde_yaml::from_slice(text).ok()
}

/// A folder of the cache.
pub(crate) fn cached(name: &str) -> Result<PathBuf, SourcesError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))).ok_or(SourcesError::NoCache)?;
    Ok(home.join("muon").join(name))
}

fn unpacked_below(cache: &Path, language: &str) -> Result<PathBuf, SourcesError> {
    let files = embedded::FILES.iter().filter(|(of, name, _)| *of == language && *name != ENVIRONMENT);
    let mut content = Vec::new();
    for (_, name, bytes) in files.clone() {
        content.extend_from_slice(name.as_bytes());
        content.push(0);
        content.extend_from_slice(&bytes.len().to_le_bytes());
        content.extend_from_slice(bytes);
    }
    let place = cache.join(format!("{language}-{}", names::short_hash(&content)));
    if place.is_dir() {
        return Ok(place);
    }
    let failed = |source| SourcesError::Cache { place: place.clone(), source };
    fs::create_dir_all(cache).map_err(failed)?;
    let unfinished = tempfile::tempdir_in(cache).map_err(failed)?;
    for (_, name, bytes) in files {
        let file = unfinished.path().join(name);
        let folder = file.parent().unwrap_or(unfinished.path());
        fs::create_dir_all(folder).and_then(|()| fs::write(&file, bytes)).map_err(failed)?;
    }
    match fs::rename(unfinished.path(), &place) {
        Ok(()) => {
            // It has another name now: there is nothing to be removed.
            let _ = unfinished.keep();
            Ok(place)
        }
        // Another process was first.
        Err(_) if place.is_dir() => Ok(place),
        Err(source) => Err(failed(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_unpacked_once_and_whole() {
        let cache = tempfile::tempdir().unwrap();
        let place = unpacked_below(cache.path(), "python").unwrap();
        assert!(place.join("__main__.py").is_file() && place.join("muon_runtime/server.py").is_file());
        assert!(!place.join("tests").exists());
        assert_eq!(unpacked_below(cache.path(), "python").unwrap(), place);
        assert_ne!(unpacked_below(cache.path(), "node").unwrap(), place);
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = unpacked_below(file.path(), "ruby").unwrap_err().to_string();
        assert!(error.contains("XDG_CACHE_HOME") && error.contains("ruby-"), "{error}");
    }

    #[test]
    fn every_language_has_its_environment() {
        for language in ["binary", "node", "php", "python", "ruby"] {
            assert!(environment(language).unwrap().spec.runtime.env_at_load, "{language}");
        }
        assert!(environment("cobol").is_none());
    }
}

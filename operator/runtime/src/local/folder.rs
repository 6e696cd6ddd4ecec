//! A project's files, read from disk: its manifests, and the code of a function as one archive.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use muon_cli::project;
use muon_crds::names;
use muon_plan::pack;

use super::project::{Code, Folder};

/// Files of one function, and their bytes.
const MAX_FILES: usize = 10_000;
const MAX_BYTES: u64 = 64 << 20;
/// A manifest is written by hand.
const MAX_MANIFEST: u64 = 4 << 20;
/// Folders that are watched for saves.
const MAX_FOLDERS: usize = 4_096;

/// Folders of dependencies that lie where their runtime finds them.
const DEPENDENCIES: [&str; 1] = ["venv"];

/// Why a project's files cannot be taken.
#[derive(thiserror::Error, Debug)]
pub(crate) enum FolderError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} is neither a folder nor a manifest (.yaml, .yml)")]
    Neither(PathBuf),
    #[error("{path}: {what}; a function's code has at most {MAX_FILES} files and 64 MiB")]
    TooLarge { path: PathBuf, what: &'static str },
    #[error(transparent)]
    Name(#[from] pack::BadName),
    #[error(transparent)]
    Project(#[from] project::ProjectError),
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { path, source }
}

/// A project's place: a folder, or one manifest in it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    manifest: Option<String>,
}

/// A function's code.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    pub(crate) digest: String,
    pub(crate) bytes: Bytes,
    /// Names of its files, for messages.
    pub(crate) files: Vec<String>,
}

impl Place {
    pub(crate) fn of(path: &Path) -> Result<Self, FolderError> {
        let path = path.canonicalize().map_err(failed(path))?;
        if path.is_dir() {
            return Ok(Self { folder: path, manifest: None });
        }
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_manifest(name));
        match (name, path.parent()) {
            (Some(name), Some(folder)) => Ok(Self { folder: folder.to_owned(), manifest: Some(name.to_owned()) }),
            _ => Err(FolderError::Neither(path)),
        }
    }

    /// The manifests, and what lies beside them.
    pub(crate) fn read(&self) -> Result<Folder, FolderError> {
        let name = self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let entries = listed(&self.folder)?.into_iter().collect();
        let mut folder = Folder { name: name.to_owned(), manifests: Vec::new(), entries };
        for name in self.manifests()? {
            let path = self.folder.join(&name);
            let size = fs::metadata(&path).map_err(failed(&path))?.len();
            if size > MAX_MANIFEST {
                return Err(FolderError::TooLarge { path, what: "a manifest of more than 4 MiB" });
            }
            folder.manifests.push((name, fs::read_to_string(&path).map_err(failed(&path))?));
        }
        Ok(folder)
    }

    /// The manifest that was named; `muon.yaml` where there is one, and other YAML is code then; else all at the top.
    fn manifests(&self) -> Result<Vec<String>, FolderError> {
        if let Some(only) = &self.manifest {
            return Ok(vec![only.clone()]);
        }
        let mut all = listed(&self.folder)?;
        all.retain(|name| is_manifest(name) && self.folder.join(name).is_file());
        if all.iter().any(|name| name == project::FILE) {
            all.retain(|name| name == project::FILE);
        }
        Ok(all)
    }

    /// The code as the archive that is loaded.
    pub(crate) fn pack(&self, code: &Code) -> Result<Archive, FolderError> {
        let files = match code {
            Code::Inline { files, .. } => {
                pack::check(files)?;
                files.iter().map(|(name, text)| (name.clone(), (text.clone().into_bytes(), false))).collect()
            }
            Code::Folder(name) => self.gathered(name)?,
        };
        let entries = files.iter().map(|(name, (bytes, executable))| (name.as_str(), bytes.as_slice(), *executable));
        let bytes = pack::archive(entries);
        Ok(Archive { digest: names::digest(&bytes), bytes: bytes.into(), files: files.into_keys().collect() })
    }

    /// What the code's paths count from, for people: its folder, or the manifest that it is in.
    pub(crate) fn origin(&self, code: &Code) -> PathBuf {
        match code {
            Code::Inline { manifest, .. } => self.folder.join(manifest),
            Code::Folder(name) if name == "." => self.folder.clone(),
            Code::Folder(name) => self.folder.join(name),
        }
    }

    /// All folders in which a save may change something.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        // While the list cannot be read, more is watched than needed.
        let ignored = project::ignored(&self.folder).unwrap_or_default();
        let mut found = vec![String::new()];
        let mut next = 0;
        while let Some(folder) = found.get(next).cloned() {
            next += 1;
            // One that has just gone has nothing to be watched.
            for name in listed(&self.folder.join(&folder)).unwrap_or_default() {
                let path = below(&folder, &name);
                let aside = is_aside(&name, &path, &ignored);
                if found.len() < MAX_FOLDERS && !aside && is_folder(&self.folder.join(&path)) {
                    found.push(path);
                }
            }
        }
        found.into_iter().map(|path| self.folder.join(path)).collect()
    }

    /// All files below a folder of the project, named from there: their bytes, and whether they may be executed.
    fn gathered(&self, folder: &str) -> Result<BTreeMap<String, (Vec<u8>, bool)>, FolderError> {
        let (ignored, manifests) = (project::ignored(&self.folder)?, self.manifests()?);
        let top = if folder == "." { "" } else { folder };
        let mut files = BTreeMap::new();
        let mut size = 0;
        let mut folders = vec![top.to_owned()];
        while let Some(folder) = folders.pop() {
            for name in listed(&self.folder.join(&folder))? {
                let inner = below(&folder, &name);
                if is_aside(&name, &inner, &ignored) || manifests.contains(&inner) {
                    continue;
                }
                let path = self.folder.join(&inner);
                if is_folder(&path) {
                    folders.push(inner);
                    continue;
                }
                let known = fs::metadata(&path).map_err(failed(&path))?;
                // A link to a folder, a socket, a pipe: nothing that a package can hold.
                if !known.is_file() {
                    continue;
                }
                let name = inner.strip_prefix(top).unwrap_or(&inner).trim_start_matches('/').to_owned();
                pack::check_name(&name)?;
                size += known.len();
                if size > MAX_BYTES {
                    return Err(FolderError::TooLarge { path, what: "with this file, they are too large" });
                }
                if files.len() >= MAX_FILES {
                    return Err(FolderError::TooLarge { path, what: "with this file, they are too many" });
                }
                let bytes = fs::read(&path).map_err(failed(&path))?;
                files.insert(name, (bytes, known.permissions().mode() & 0o111 != 0));
            }
        }
        Ok(files)
    }
}

fn is_manifest(name: &str) -> bool {
    !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"))
}

/// What is no code, by the same rules as when it is deployed; and dependencies.
fn is_aside(name: &str, path: &str, ignored: &[String]) -> bool {
    DEPENDENCIES.contains(&name) || project::left_out(name, path, ignored)
}

/// The path of what is in a folder; that of the project itself is empty.
fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A folder itself, no link to one: a link may lead around in a circle.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|known| known.is_dir())
}

fn listed(folder: &Path) -> Result<Vec<String>, FolderError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        // A name that is no text cannot be in a package.
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Mock values: `<object>/<key>` below a folder.
pub(crate) fn values(folder: &Path) -> Result<BTreeMap<String, BTreeMap<String, String>>, FolderError> {
    let mut found = BTreeMap::new();
    for object in listed(folder)? {
        let place = folder.join(&object);
        if object.starts_with('.') || !place.is_dir() {
            continue;
        }
        let mut values = BTreeMap::new();
        for key in listed(&place)? {
            let path = place.join(&key);
            if path.is_file() {
                values.insert(key, fs::read_to_string(&path).map_err(failed(&path))?);
            }
        }
        found.insert(object, values);
    }
    Ok(found)
}

/// The folders that mock values lie in.
pub(crate) fn of_values(folder: &Path) -> Vec<PathBuf> {
    let below =
        listed(folder).unwrap_or_default().into_iter().map(|name| folder.join(name)).filter(|path| is_folder(path));
    below.chain([folder.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("hello.yaml", "kind: X"),
            ("main.py", "x = 1"),
            ("shop/prices.py", "y = 2"),
            ("node_modules/big/index.js", "1"),
            ("tests/hello.http", "GET /"),
            (".git/config", "1"),
            (".env", "A=1"),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn code_is_what_is_neither_manifest_nor_kept_by_tools() {
        let folder = project();
        let place = Place::of(folder.path()).unwrap();
        let archive = place.pack(&Code::Folder(".".to_owned())).unwrap();
        assert_eq!(archive.files, ["main.py", "shop/prices.py"]);
        fs::write(folder.path().join("hello.yaml"), "kind: Y").unwrap();
        assert_eq!(place.pack(&Code::Folder(".".to_owned())).unwrap().digest, archive.digest);
        assert_eq!(place.pack(&Code::Folder("shop".to_owned())).unwrap().files, ["prices.py"]);
        let read = place.read().unwrap();
        assert_eq!(read.manifests, [("hello.yaml".to_owned(), "kind: Y".to_owned())]);
        assert!(read.entries.contains("shop"));
        let watched: Vec<_> = place.folders().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(watched[1..], ["shop"]);
    }

    #[test]
    fn a_project_of_the_command_is_read_as_it_deploys_it() {
        let folder = project();
        for (name, text) in [
            ("muon.yaml", "kind: M"),
            (".muonignore", "*.md\n/shop/secret.py"),
            ("shop/a.md", ""),
            ("shop/secret.py", ""),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let place = Place::of(folder.path()).unwrap();
        assert_eq!(place.read().unwrap().manifests, [("muon.yaml".to_owned(), "kind: M".to_owned())]);
        let files = place.pack(&Code::Folder(".".to_owned())).unwrap().files;
        assert_eq!(files, ["hello.yaml", "main.py", "shop/prices.py"]);
    }

    #[test]
    fn one_manifest_is_a_project() {
        let folder = project();
        fs::write(folder.path().join("other.yaml"), "kind: Z").unwrap();
        let place = Place::of(&folder.path().join("other.yaml")).unwrap();
        assert_eq!(place.read().unwrap().manifests, [("other.yaml".to_owned(), "kind: Z".to_owned())]);
        let error = Place::of(&folder.path().join("main.py")).unwrap_err().to_string();
        assert!(error.contains("neither"), "{error}");
        assert!(Place::of(Path::new("/nowhere/at/all")).is_err());
    }

    #[test]
    fn links_are_not_followed_in_circles() {
        let folder = project();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("shop/again")).unwrap();
        let place = Place::of(folder.path()).unwrap();
        assert_eq!(place.pack(&Code::Folder(".".to_owned())).unwrap().files, ["main.py", "shop/prices.py"]);
        assert_eq!(place.folders().len(), 2);
    }

    #[test]
    fn mock_values_are_files() {
        let folder = project();
        fs::create_dir_all(folder.path().join("mocks/login")).unwrap();
        fs::write(folder.path().join("mocks/login/token"), "t").unwrap();
        assert_eq!(values(&folder.path().join("mocks")).unwrap()["login"]["token"], "t");
    }
}

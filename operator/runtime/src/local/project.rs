//! Pure: a project's files, as far as they say what is to run and where.
//!
//! A project is a folder of plain manifests, those that `kubectl apply -f` takes, with the code in them or beside them:
//!
//! ```text
//!   hello.yaml          Function, HTTPTrigger, Package, Environment; ConfigMaps and Secrets give variables their values
//!   hello/main.py       code of the Function `hello` where its manifest names neither source nor package
//!   main.py             ... or beside the manifest, where there is no folder of that name
//! ```
//!
//! A folder of code without any manifest is a project too: one function, of the language that its files tell, on every path.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use muon_crds::{Environment, Function, HTTPTrigger, Package};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::language::Language;
use super::values::Values;

/// A project's folder, as far as it has been read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folder {
    /// Its name.
    pub(crate) name: String,
    /// Manifests: names and texts.
    pub(crate) manifests: Vec<(String, String)>,
    /// Names of all that lies in it.
    pub(crate) entries: BTreeSet<String>,
}

/// What a project asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Project {
    /// In the order of their names.
    pub(crate) functions: Vec<LocalFunction>,
    /// In the order of the files.
    pub(crate) triggers: Vec<HTTPTrigger>,
    /// What its ConfigMaps and Secrets hold.
    pub(crate) values: Values,
    /// What is not here as it is in a cluster.
    pub(crate) notes: Vec<String>,
}

/// A Function and its code.
#[derive(Clone, Debug)]
pub(crate) struct LocalFunction {
    pub(crate) object: Function,
    pub(crate) name: String,
    pub(crate) language: Language,
    pub(crate) code: Code,
}

/// Where code is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Code {
    /// In this manifest.
    Inline { manifest: String, files: BTreeMap<String, String> },
    /// In this folder of the project; `.` is the project's own.
    Folder(String),
}

/// Annotation on an object among the manifests: the folder of its code, where it is not the one that its name says (ADR 0017).
const CODE: &str = "muon.dev/code";

/// What is wrong with a project.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProjectError {
    #[error("{file}{line}: {message}", line = line.map(|line| format!(":{line}")).unwrap_or_default())]
    Manifest { file: String, line: Option<usize>, message: String },
    #[error("{file}: {kind} {name}: {message}")]
    Object { file: String, kind: String, name: String, message: String },
    #[error(
        "there is no Function here: neither a manifest (*.yaml) with one, nor code that tells its language ({FILES}); \
         `muon run FOLDER` names another place"
    )]
    Nothing,
}

const FILES: &str = "main.py, index.js, index.mjs, main.rb, main.php, main.sh, or main, a program";

/// The file that a function is, where no manifest says so.
const MAIN: [(&str, Language); 8] = [
    ("main.py", Language::Python),
    ("index.js", Language::Node),
    ("index.mjs", Language::Node),
    ("index.cjs", Language::Node),
    ("main.rb", Language::Ruby),
    ("main.php", Language::Php),
    ("main.sh", Language::Binary),
    ("main", Language::Binary),
];

/// The objects, each with the file that it is in.
#[derive(Default)]
struct Objects {
    functions: Vec<(String, Function)>,
    packages: BTreeMap<String, (String, Package)>,
    environments: BTreeMap<String, Environment>,
    triggers: Vec<HTTPTrigger>,
    values: Values,
}

impl Project {
    /// Reads a project.
    pub(crate) fn read(folder: &Folder) -> Result<Self, ProjectError> {
        let mut objects = Objects::default();
        for (file, text) in &folder.manifests {
            for document in serde_yaml::Deserializer::from_str(text) {
                let value = Value::deserialize(document).map_err(|error| ProjectError::Manifest {
                    file: file.clone(),
                    line: error.location().map(|at| at.line()),
                    message: error.to_string(),
                })?;
                objects.take(file, value)?;
            }
        }
        if objects.functions.is_empty() {
            objects.functions.push((String::new(), inferred(folder)?));
        }
        let mut project =
            Self { triggers: objects.triggers.clone(), values: objects.values.clone(), ..Self::default() };
        for (file, function) in &objects.functions {
            let (read, notes) = objects.function(folder, file, function)?;
            if project.functions.iter().any(|known| known.name == read.name) {
                return Err(wrong(file, "Function", &read.name, "there are two of this name"));
            }
            project.functions.push(read);
            project.notes.extend(notes);
        }
        project.functions.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(project)
    }
}

impl Objects {
    fn take(&mut self, file: &str, mut value: Value) -> Result<(), ProjectError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&value["apiVersion"]), text(&value["kind"]));
        let name = text(&value["metadata"]["name"]);
        if name.is_empty() && !kind.is_empty() {
            return Err(wrong(file, &kind, "", "metadata.name is missing"));
        }
        let muon = format!("{}/{}", muon_crds::words::GROUP, muon_crds::words::VERSION);
        match (version.as_str(), kind.as_str()) {
            (version, "Function") if version == muon => self.functions.push((file.to_owned(), object(file, value)?)),
            (version, "HTTPTrigger") if version == muon => self.triggers.push(object(file, value)?),
            (version, "Environment") if version == muon => {
                self.environments.insert(name, object(file, value)?);
            }
            (version, "Package") if version == muon => {
                if value["spec"].is_object() && value["spec"]["source"].is_null() {
                    value["spec"]["source"] = json!({});
                }
                self.packages.insert(name, (file.to_owned(), object(file, value)?));
            }
            ("v1", "ConfigMap") => {
                let read: ConfigMap = object(file, value)?;
                self.values.config_maps.insert(name, read.data.unwrap_or_default());
            }
            ("v1", "Secret") => {
                let read: Secret = object(file, value)?;
                let mut values = read.string_data.unwrap_or_default();
                for (key, bytes) in read.data.unwrap_or_default() {
                    values.entry(key).or_insert_with(|| String::from_utf8_lossy(&bytes.0).into_owned());
                }
                self.values.secrets.insert(name, values);
            }
            (version, _) if version.starts_with(muon_crds::words::GROUP) => {
                let message =
                    format!("{version} has no kind {kind}: it has Environment, Package, Function, HTTPTrigger");
                return Err(wrong(file, &kind, &name, &message));
            }
            // What else a cluster is told is nothing to us.
            _ => {}
        }
        Ok(())
    }

    fn function(
        &self,
        folder: &Folder,
        file: &str,
        function: &Function,
    ) -> Result<(LocalFunction, Vec<String>), ProjectError> {
        let name = function.metadata.name.clone().unwrap_or_default();
        let refused = |message: &str| wrong(file, "Function", &name, message);
        let spec = &function.spec;
        let language = self.language(&spec.environment).ok_or_else(|| refused(&no_language(&spec.environment)))?;
        let mut notes = Vec::new();
        let code = match (&spec.source, &spec.package) {
            (Some(_), Some(_)) => return Err(refused("spec: set exactly one of package and source")),
            (Some(source), None) => source.files.clone().map(|files| Code::Inline { manifest: file.to_owned(), files }),
            (None, Some(package)) => {
                let (place, read) = self.packages.get(package).ok_or_else(|| {
                    refused(&format!("spec.package: there is no Package {package} among the manifests"))
                })?;
                if read.spec.build.is_some() {
                    notes.push(format!("{name}: its Package is not built here; dependencies are those of this folder (.venv, node_modules, vendor)"));
                }
                match (&read.spec.source, &read.spec.source.files) {
                    (_, Some(files)) => Some(Code::Inline { manifest: place.clone(), files: files.clone() }),
                    (source, None) if *source == muon_crds::package::Source::default() => {
                        Some(beside(folder, read).map_err(|why| refused(&why))?)
                    }
                    _ => None,
                }
            }
            (None, None) => Some(beside(folder, function).map_err(|why| refused(&why))?),
        };
        let Some(code) = code else {
            return Err(refused(
                "its code is not here: run what is in `files` of a manifest, or in a folder beside it",
            ));
        };
        if !spec.volumes.is_empty() {
            let paths: Vec<&str> = spec.volumes.iter().map(|volume| volume.mount_path.as_str()).collect();
            notes.push(format!("{name}: volumes are not mounted here: {}", paths.join(", ")));
        }
        Ok((LocalFunction { object: function.clone(), name, language, code }, notes))
    }

    /// What runs the functions of an Environment: told by its image where it is among the manifests, else by its name.
    fn language(&self, environment: &str) -> Option<Language> {
        let image = self.environments.get(environment).map(|environment| environment.spec.runtime.image.as_str());
        let name = image.map_or(environment, |image| {
            let repository = image.split(['@']).next().unwrap_or(image);
            let last = repository.rsplit('/').next().unwrap_or(repository);
            last.split(':').next().unwrap_or(last)
        });
        Language::parse(name)
    }
}

fn no_language(environment: &str) -> String {
    let all: Vec<&str> = Language::ALL.iter().map(|language| language.name()).collect();
    format!(
        "spec.environment: {environment} does not run without a cluster; {} do (compiled programs: as `binary`)",
        all.join(", ")
    )
}

/// The folder that the object names, the one of its own name, or the project's own.
fn beside(folder: &Folder, object: &impl kube::ResourceExt) -> Result<Code, String> {
    let name = object.name_any();
    let place = match object.annotations().get(CODE).map(|place| place.trim_end_matches('/')) {
        Some(".") => ".",
        Some(place) => {
            muon_plan::pack::check_name(place).map_err(|error| format!("{CODE}: {}: {}", error.name, error.why))?;
            place
        }
        None if folder.entries.contains(&name) => &name,
        None => ".",
    };
    Ok(Code::Folder(place.to_owned()))
}

/// A function without a manifest.
fn inferred(folder: &Folder) -> Result<Function, ProjectError> {
    let found = MAIN.iter().find(|(file, _)| folder.entries.contains(*file));
    let (_, language) = found.ok_or(ProjectError::Nothing)?;
    let letters = folder.name.to_ascii_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let name = letters.trim_matches(|letter: char| letter == '-' || letter.is_ascii_digit());
    let name = if name.is_empty() { "function" } else { name };
    object("", json!({"metadata": {"name": name}, "spec": {"environment": language.name()}}))
}

fn object<T: DeserializeOwned>(file: &str, value: Value) -> Result<T, ProjectError> {
    let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let kind = value["kind"].as_str().unwrap_or_default().to_owned();
    let mut value = value;
    if value["apiVersion"].is_null() {
        // The type knows what it is; only what it holds is read.
        value["apiVersion"] = json!("muon.dev/v1alpha1");
        value["kind"] = json!("Function");
    }
    serde_json::from_value(value).map_err(|error| wrong(file, &kind, &name, &error.to_string()))
}

fn wrong(file: &str, kind: &str, name: &str, message: &str) -> ProjectError {
    ProjectError::Object {
        file: file.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests;

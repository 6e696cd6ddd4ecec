//! The manifests of `muon.yaml`.

use muon_crds::{Environment, Function, HTTPTrigger, Package};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value};

use super::{CODE, ProjectError};
use crate::kinds::Kind;

/// What a project may hold, in the order in which one needs the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// Settings that functions take.
    ConfigMap,
    /// Settings that nobody else may read.
    Secret,
    /// One of ours.
    Muon(Kind),
}

impl Sort {
    /// The kind as it stands before a slash.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
            Self::Muon(kind) => kind.singular(),
        }
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its kind.
    pub sort: Sort,
    /// Its name.
    pub name: String,
    /// The namespace, where the manifest says one.
    pub namespace: Option<String>,
    /// All of it, as it is applied.
    pub value: Value,
}

impl std::fmt::Display for Manifest {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(text, "{}/{}", self.sort.singular(), self.name)
    }
}

impl Manifest {
    /// The object as the type that it is.
    pub fn read<K: DeserializeOwned>(&self) -> Result<K, serde_yaml::Error> {
        serde_yaml::from_value(self.value.clone())
    }

    /// Where this program is told to look for the code.
    pub(super) fn code(&self) -> Option<&str> {
        self.value.get("metadata")?.get("annotations")?.get(CODE)?.as_str()
    }

    /// Takes the note away that is for this program alone.
    pub(super) fn without_code(&mut self) {
        let Some(metadata) = self.value.get_mut("metadata").and_then(Value::as_mapping_mut) else { return };
        let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_mapping_mut) else { return };
        annotations.shift_remove(CODE);
        if annotations.is_empty() {
            metadata.shift_remove("annotations");
        }
    }

    pub(super) fn spec(&mut self) -> Option<&mut Mapping> {
        self.value.get_mut("spec").and_then(Value::as_mapping_mut)
    }
}

/// The documents of a text; empty ones are none.
pub(super) fn documents(text: &str) -> Result<Vec<Manifest>, ProjectError> {
    let mut found: Vec<Manifest> = Vec::new();
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let document_number = index + 1;
        let wrong = |message: String| ProjectError::Manifest { document: document_number, message };
        let value = Value::deserialize(document).map_err(|error| wrong(error.to_string()))?;
        if value.is_null() {
            continue;
        }
        let manifest = one(value).map_err(wrong)?;
        if found.iter().any(|other| other.sort == manifest.sort && other.name == manifest.name) {
            return Err(wrong(format!("{manifest} is there twice")));
        }
        found.push(manifest);
    }
    match found.is_empty() {
        true => Err(ProjectError::Manifest { document: 1, message: "there is no manifest in it".to_owned() }),
        false => Ok(found),
    }
}

fn one(value: Value) -> Result<Manifest, String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let metadata = |key: &str| value.get("metadata").and_then(|metadata| metadata.get(key)).and_then(Value::as_str);
    let sort = match (text("apiVersion"), text("kind")) {
        ("v1", "ConfigMap") => Sort::ConfigMap,
        ("v1", "Secret") => Sort::Secret,
        ("muon.dev/v1alpha1", kind) if Kind::ALL.iter().any(|known| known.as_str() == kind) => {
            Sort::Muon(Kind::parse(kind).ok_or_else(|| format!("{kind} is none of Muon's kinds"))?)
        }
        (version, kind) => {
            return Err(format!(
                "{kind:?} of {version:?} is not deployed by muon: Function, Package, HTTPTrigger, Environment of muon.dev/v1alpha1, ConfigMap and Secret are; kubectl applies the others"
            ));
        }
    };
    let name = metadata("name").ok_or("metadata.name is missing")?.to_owned();
    let namespace = metadata("namespace").map(str::to_owned);
    Ok(Manifest { sort, name, namespace, value })
}

/// Whether the object, complete, is of its kind. The API server says more; this is said without one.
pub(super) fn check(manifest: &Manifest) -> Result<(), String> {
    let read = match manifest.sort {
        Sort::Muon(Kind::Function) => manifest.read::<Function>().map(|_| ()),
        Sort::Muon(Kind::Package) => manifest.read::<Package>().map(|_| ()),
        Sort::Muon(Kind::Environment) => manifest.read::<Environment>().map(|_| ()),
        Sort::Muon(Kind::HTTPTrigger) => manifest.read::<HTTPTrigger>().map(|_| ()),
        Sort::ConfigMap | Sort::Secret => Ok(()),
    };
    read.map_err(|error| error.to_string())
}

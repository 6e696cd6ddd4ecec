//! Variables that go with the load instead of through kubelet: which may, and what they are then.
//!
//! A function with nothing but such variables runs in generic pods. What its code sees is the same as in a pod of its
//! own: the same values, resolved and expanded by the same rules, in the same order.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use muon_crds::environment::Runtime;
use muon_crds::values::{EnvVar, KeyRef, Variable};
use muon_crds::{ConditionType, FunctionSpec};
use serde::{Deserialize, Serialize};

use super::{ReferenceKind, Referenced};
use crate::expand::expand;
use crate::finding::Invalid;

/// Names and values of one function's variables, in bytes, those of Secrets aside. Every proxy keeps in memory what goes
/// with a load, and what a function may be told is the same in pods of its own.
pub const MAX_BYTES: usize = 32 * 1024;

/// Names that the dynamic linker, the C library or the runtime itself read when the process starts, and never again.
const AT_START: [&str; 7] = ["LD_*", "GLIBC_*", "MALLOC_*", "LANG", "LANGUAGE", "LC_*", "MUON_*"];

/// What the variables ask of ConfigMaps: name and keys.
pub fn wanted_keys(spec: &FunctionSpec) -> BTreeMap<String, BTreeSet<String>> {
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for key in spec.env.iter().filter_map(config_map_key) {
        wanted.entry(key.name.clone()).or_default().insert(key.key.clone());
    }
    wanted
}

pub(super) fn config_map_key(variable: &EnvVar) -> Option<&KeyRef> {
    variable.value_from.as_ref()?.config_map_key_ref.as_ref()
}

/// What one key of a ConfigMap holds.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(untagged)]
pub enum Held {
    /// A value.
    Text(String),
    /// More than a function's variables may hold.
    Large {
        /// Its length in bytes.
        bytes: usize,
    },
}

/// The keys that variables ask for, as far as a ConfigMap has them.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldKeys {
    /// Those of `data`.
    #[serde(default)]
    pub data: BTreeMap<String, Held>,
    /// Those of `binaryData`, which no variable can take.
    #[serde(default)]
    pub binary: BTreeSet<String>,
}

impl HeldKeys {
    /// Of a ConfigMap.
    pub fn of(object: &ConfigMap, keys: &BTreeSet<String>) -> Self {
        let held = |value: &String| match value.len() {
            0..=MAX_BYTES => Held::Text(value.clone()),
            bytes => Held::Large { bytes },
        };
        let data = object.data.iter().flatten().filter(|(key, _)| keys.contains(*key));
        let binary = object.binary_data.iter().flat_map(BTreeMap::keys).filter(|key| keys.contains(*key));
        Self { data: data.map(|(key, value)| (key.clone(), held(value))).collect(), binary: binary.cloned().collect() }
    }
}

/// Looks up what a key of a ConfigMap holds. None: neither it nor anything else is there for an optional variable.
pub(super) fn held<'a>(
    references: &'a [Referenced],
    variable: &str,
    key: &KeyRef,
) -> Result<Option<&'a Held>, Invalid> {
    let found = references.iter().find(|it| it.kind == ReferenceKind::ConfigMap && it.name == key.name);
    let keys = found.filter(|it| it.resource_version.is_some()).map(|it| &it.keys);
    if let Some(held) = keys.and_then(|keys| keys.data.get(&key.key)) {
        return Ok(Some(held));
    }
    if key.optional {
        return Ok(None);
    }
    let hint = if keys.is_some_and(|keys| keys.binary.contains(&key.key)) {
        "it is in binaryData, where variables cannot be taken from: move it to data"
    } else {
        "it has no such key"
    };
    let message =
        format!("waiting for the key {} of the ConfigMap {} (variable {variable}): {hint}", key.key, key.name);
    Err(Invalid::waiting(ConditionType::Resolved, "ConfigMapKeyNotFound", message))
}

/// Whether all variables of the function may go with the load: the runtime takes them, none needs a Secret's value,
/// and none means anything only to a process that starts.
pub(super) fn goes_with_load(spec: &FunctionSpec, runtime: &Runtime) -> bool {
    let keeps_it = |variable: &EnvVar| is_secret(variable) || at_start(&variable.name, runtime);
    runtime.env_at_load && !spec.env.iter().any(keeps_it)
}

/// Whether a variable of this name means something only to a process that starts.
pub fn at_start(name: &str, runtime: &Runtime) -> bool {
    let patterns = AT_START.into_iter().chain(runtime.env_at_start.iter().map(String::as_str));
    patterns.into_iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    })
}

fn is_secret(variable: &EnvVar) -> bool {
    variable.value_from.as_ref().is_some_and(|from| from.secret_key_ref.is_some())
}

/// The variables as the code sees them, each resolved and then known to those below it. `beside` are those that a pod
/// of the function's own would have besides: they can be referred to, and are not sent. Secrets are nobody's here.
pub(super) fn resolve(
    spec: &FunctionSpec,
    references: &[Referenced],
    beside: &BTreeMap<String, String>,
) -> Result<Vec<Variable>, Invalid> {
    let mut done: Vec<Variable> = Vec::with_capacity(spec.env.len());
    let mut left = MAX_BYTES;
    for variable in spec.env.iter().filter(|variable| !is_secret(variable)) {
        let name = &variable.name;
        left = left.checked_sub(name.len()).ok_or_else(|| too_large(name))?;
        let value = match config_map_key(variable) {
            Some(key) => match held(references, name, key)? {
                None => continue,
                Some(Held::Large { .. }) => return Err(too_large(name)),
                Some(Held::Text(text)) => text.clone(),
            },
            None => {
                let text = variable.value.as_deref().unwrap_or_default();
                let known = |wanted: &str| {
                    let above = done.iter().find(|it| it.name == wanted).map(|it| it.value.as_str());
                    above.or_else(|| beside.get(wanted).map(String::as_str))
                };
                expand(text, known, left).ok_or_else(|| too_large(name))?
            }
        };
        if value.contains('\0') {
            let message = format!("spec: env[{name}]: its value holds a NUL character, which no process can be given");
            return Err(Invalid::stalled(ConditionType::Resolved, "InvalidSpec", message));
        }
        left = left.checked_sub(value.len()).ok_or_else(|| too_large(name))?;
        done.push(Variable { name: name.clone(), value });
    }
    Ok(done)
}

fn too_large(name: &str) -> Invalid {
    let message = format!(
        "env: with {name}, names and values exceed {} KiB in all: put large values into a file of the package, or mount \
         the ConfigMap as a volume",
        MAX_BYTES / 1024
    );
    Invalid::stalled(ConditionType::Resolved, "EnvTooLarge", message)
}

#[cfg(test)]
mod tests;

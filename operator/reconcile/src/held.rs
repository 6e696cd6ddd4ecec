//! What single keys of ConfigMaps hold, for the functions whose variables take them. The watch tells of metadata only,
//! so that the values of all other ConfigMaps never come here; where a version has changed, the object is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt as _};
use muon_plan::function::{HeldKeys, ReferenceKind, Referenced};

use crate::call::{CallError, find};

/// Functions after which what is kept of deleted ones is looked for.
const SWEEP: usize = 64;

/// Keys of one ConfigMap as they were at a version.
#[derive(Clone)]
struct Read {
    version: u64,
    asked: BTreeSet<String>,
    keys: HeldKeys,
}

#[derive(Default)]
struct Kept {
    /// By UID of the Function, then by name of the ConfigMap.
    functions: HashMap<String, BTreeMap<String, Read>>,
    sweep_at: usize,
}

/// What has been read, until it changes.
pub struct Values {
    client: Client,
    kept: Mutex<Kept>,
}

impl Values {
    /// Nothing is read yet.
    pub fn new(client: Client) -> Self {
        Self { client, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills in the keys that a Function's variables ask for. A ConfigMap is read when it is there and another version
    /// than last time, or when other keys are asked for. `lives` tells which Functions (by UID) still are.
    pub async fn fill(
        &self,
        namespace: &str,
        function: &str,
        wanted: BTreeMap<String, BTreeSet<String>>,
        references: &mut [Referenced],
        lives: impl Fn(&str) -> bool,
    ) -> Result<(), CallError> {
        let mut before = self.kept().functions.remove(function).unwrap_or_default();
        let mut now = BTreeMap::new();
        let mut failed = None;
        for (name, asked) in wanted {
            let is_it = |it: &&mut Referenced| it.kind == ReferenceKind::ConfigMap && it.name == name;
            let Some(reference) = references.iter_mut().find(is_it) else { continue };
            let Some(version) = reference.resource_version.as_deref().map(number) else { continue };
            // What was read may be ahead of the watch.
            let read = match before.remove(&name).filter(|read| read.version >= version && read.asked == asked) {
                Some(read) => Some(read),
                None => match self.read(namespace, &name, asked).await {
                    Ok(read) => read,
                    Err(error) => {
                        failed = Some(error);
                        continue;
                    }
                },
            };
            match read {
                Some(read) => {
                    reference.keys = read.keys.clone();
                    now.insert(name, read);
                }
                // Gone meanwhile; the watch will say so too.
                None => reference.resource_version = None,
            }
        }
        if !now.is_empty() {
            let mut kept = self.kept();
            kept.functions.insert(function.to_owned(), now);
            if kept.functions.len() > kept.sweep_at.max(SWEEP) {
                kept.functions.retain(|uid, _| lives(uid));
                kept.sweep_at = kept.functions.len() * 2;
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn read(&self, namespace: &str, name: &str, asked: BTreeSet<String>) -> Result<Option<Read>, CallError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let object = find("read a ConfigMap that variables are taken from", api.get(name)).await?;
        Ok(object.map(|object| Read {
            version: object.resource_version().as_deref().map_or(0, number),
            keys: HeldKeys::of(&object, &asked),
            asked,
        }))
    }
}

/// Versions are compared as integers (hack/adr/0003).
fn number(version: &str) -> u64 {
    version.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

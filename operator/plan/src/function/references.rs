//! The Secrets and ConfigMaps that a Function uses: a changed one is a new revision.

use std::collections::BTreeMap;

use muon_crds::FunctionSpec;
use muon_crds::values::FilesFrom;
use serde::{Deserialize, Serialize};

/// Which kind of object is used.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferenceKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl ReferenceKind {
    /// Its name in Kubernetes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// An object that a Function uses.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Its kind.
    pub kind: ReferenceKind,
    /// Its name.
    pub name: String,
    /// Whether every use of it does without.
    pub optional: bool,
    /// Whether any of it may be seen: a volume shows it, or it is a Secret, of which nobody here looks at the keys.
    /// Otherwise only the keys that variables name count.
    pub whole: bool,
}

/// All Secrets and ConfigMaps that a Function uses, each once, sorted.
pub fn references(spec: &FunctionSpec) -> Vec<Reference> {
    let mut found: BTreeMap<(ReferenceKind, String), (bool, bool)> = BTreeMap::new();
    let mut add = |kind, name: &String, optional: bool, whole: bool| {
        let use_ = found.entry((kind, name.clone())).or_insert((true, false));
        *use_ = (use_.0 && optional, use_.1 || whole);
    };
    for from in spec.env.iter().filter_map(|env| env.value_from.as_ref()) {
        if let Some(key) = &from.secret_key_ref {
            add(ReferenceKind::Secret, &key.name, key.optional, true);
        }
        if let Some(key) = &from.config_map_key_ref {
            add(ReferenceKind::ConfigMap, &key.name, key.optional, false);
        }
    }
    let mut files = |config_map: &Option<FilesFrom>, secret: &Option<FilesFrom>| {
        if let Some(from) = config_map {
            add(ReferenceKind::ConfigMap, &from.name, from.optional, true);
        }
        if let Some(from) = secret {
            add(ReferenceKind::Secret, &from.name, from.optional, true);
        }
    };
    for volume in &spec.volumes {
        files(&volume.config_map, &volume.secret);
        for source in volume.projected.iter().flat_map(|projected| &projected.sources) {
            files(&source.config_map, &source.secret);
        }
    }
    found.into_iter().map(|((kind, name), (optional, whole))| Reference { kind, name, optional, whole }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_is_named_once_and_is_needed_when_any_use_needs_it() {
        let spec: FunctionSpec = serde_yaml::from_str(
            "
environment: python
package: p
env:
- {name: A, valueFrom: {secretKeyRef: {name: s, key: a, optional: true}}}
- {name: B, valueFrom: {secretKeyRef: {name: s, key: b}}}
- {name: C, valueFrom: {configMapKeyRef: {name: s, key: c, optional: true}}}
- {name: D, valueFrom: {configMapKeyRef: {name: keys, key: d}}}
volumes:
- {name: v, mountPath: /v, secret: {name: files}}
- {name: w, mountPath: /w, projected: {sources: [{configMap: {name: s, optional: true}}, {secret: {name: t}}]}}
",
        )
        .unwrap();
        let found = references(&spec);
        let words: Vec<String> =
            found.iter().map(|it| format!("{}/{} {} {}", it.kind.as_str(), it.name, it.optional, it.whole)).collect();
        assert_eq!(
            words,
            [
                "ConfigMap/keys false false",
                "ConfigMap/s true true",
                "Secret/files false true",
                "Secret/s false true",
                "Secret/t false true"
            ]
        );
    }
}

//! A function's environment variables and volumes, in the form of a pod's.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ConfigMapKeySelector, ConfigMapProjection, ConfigMapVolumeSource, DownwardAPIProjection, DownwardAPIVolumeFile,
    DownwardAPIVolumeSource, EmptyDirVolumeSource, EnvVar, EnvVarSource, KeyToPath, ObjectFieldSelector,
    PersistentVolumeClaimVolumeSource, ProjectedVolumeSource, SecretKeySelector, SecretProjection, SecretVolumeSource,
    Volume, VolumeMount, VolumeProjection,
};
use muon_crds::FunctionSpec;
use muon_crds::values as crd;
use muon_crds::words::USER_DIR;

use crate::quantity::{self, BadResources};

/// What a function adds to its pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// Environment variables of the runtime container.
    pub env: Vec<EnvVar>,
    /// Volumes of the pod.
    pub volumes: Vec<Volume>,
    /// Where the runtime container sees them.
    pub mounts: Vec<VolumeMount>,
}

/// A value that the API server, or the pod, would refuse.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
pub enum BadValue {
    /// Two of a name.
    #[error("{field}: {name:?} is there twice")]
    Twice {
        /// The list.
        field: &'static str,
        /// What is there twice.
        name: String,
    },
    /// Not exactly one source.
    #[error(
        "volumes[{0}]: set exactly one of configMap, secret, emptyDir, persistentVolumeClaim, projected, downwardAPI"
    )]
    Source(String),
    /// A path that does not work.
    #[error("volumes[{volume}]: {path:?} {why}")]
    Path {
        /// Name of the volume.
        volume: String,
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A field that a pod does not offer as a file.
    #[error(
        "volumes[{volume}]: fieldPath {field:?} is none of metadata.name, metadata.namespace, metadata.uid, metadata.labels, metadata.annotations (the last two also with a key in brackets)"
    )]
    Field {
        /// Name of the volume.
        volume: String,
        /// The field.
        field: String,
    },
    /// A size that is not a quantity.
    #[error(transparent)]
    Size(#[from] BadResources),
}

/// The values of a function, checked.
pub fn values(spec: &FunctionSpec) -> Result<Values, BadValue> {
    unique("env", spec.env.iter().map(|env| env.name.as_str()))?;
    unique("volumes", spec.volumes.iter().map(|volume| volume.name.as_str()))?;
    unique("volumes.mountPath", spec.volumes.iter().map(|volume| volume.mount_path.trim_end_matches('/')))?;
    Ok(Values {
        env: spec.env.iter().map(variable).collect(),
        volumes: spec.volumes.iter().map(volume).collect::<Result<_, _>>()?,
        mounts: spec.volumes.iter().map(mount).collect::<Result<_, _>>()?,
    })
}

fn unique<'a>(field: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), BadValue> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(BadValue::Twice { field, name: name.to_owned() });
        }
    }
    Ok(())
}

fn variable(env: &crd::EnvVar) -> EnvVar {
    let optional = |key: &crd::KeyRef| key.optional.then_some(true);
    let value_from = env.value_from.as_ref().map(|from| EnvVarSource {
        secret_key_ref: from.secret_key_ref.as_ref().map(|key| SecretKeySelector {
            name: key.name.clone(),
            key: key.key.clone(),
            optional: optional(key),
        }),
        config_map_key_ref: from.config_map_key_ref.as_ref().map(|key| ConfigMapKeySelector {
            name: key.name.clone(),
            key: key.key.clone(),
            optional: optional(key),
        }),
        ..EnvVarSource::default()
    });
    EnvVar { name: env.name.clone(), value: env.value.clone(), value_from }
}

/// Ours are `code`, `agent` and `tmp`; the user's stay apart by a prefix.
fn volume_name(name: &str) -> String {
    format!("user-{name}")
}

fn mount(volume: &crd::Volume) -> Result<VolumeMount, BadValue> {
    let path = volume.mount_path.as_str();
    let bad = |why| Err(BadValue::Path { volume: volume.name.clone(), path: path.to_owned(), why });
    let trimmed = path.trim_end_matches('/');
    if !path.starts_with('/') || trimmed.is_empty() {
        return bad("must be an absolute path below '/'");
    }
    if path.contains(':') || path.split('/').any(|part| part == "..") {
        return bad("must not contain ':' or '..'");
    }
    if trimmed == USER_DIR || trimmed.starts_with(&format!("{USER_DIR}/")) {
        return bad("is where the code lies; mount the volume elsewhere");
    }
    Ok(VolumeMount {
        name: volume_name(&volume.name),
        mount_path: path.to_owned(),
        read_only: volume.read_only.then_some(true),
        ..VolumeMount::default()
    })
}

fn volume(volume: &crd::Volume) -> Result<Volume, BadValue> {
    let sources = [
        volume.config_map.is_some(),
        volume.secret.is_some(),
        volume.empty_dir.is_some(),
        volume.persistent_volume_claim.is_some(),
        volume.projected.is_some(),
        volume.downward_api.is_some(),
    ];
    if sources.into_iter().filter(|is_there| *is_there).count() != 1 {
        return Err(BadValue::Source(volume.name.clone()));
    }
    let size = |dir: &crd::EmptyDir| -> Result<EmptyDirVolumeSource, BadValue> {
        let field = format!("volumes[{}].emptyDir.sizeLimit", volume.name);
        let size_limit = dir.size_limit.as_ref().map(|size| quantity::quantity(&field, size)).transpose()?;
        Ok(EmptyDirVolumeSource { size_limit, medium: None })
    };
    let name = &volume.name;
    Ok(Volume {
        name: volume_name(name),
        config_map: volume.config_map.as_ref().map(|from| config_map(name, from)).transpose()?,
        secret: volume.secret.as_ref().map(|from| secret(name, from)).transpose()?,
        empty_dir: volume.empty_dir.as_ref().map(size).transpose()?,
        persistent_volume_claim: volume.persistent_volume_claim.as_ref().map(|claim| {
            PersistentVolumeClaimVolumeSource {
                claim_name: claim.claim_name.clone(),
                read_only: volume.read_only.then_some(true),
            }
        }),
        projected: volume.projected.as_ref().map(|from| projected(name, from)).transpose()?,
        downward_api: volume
            .downward_api
            .as_ref()
            .map(|from| {
                let items = Some(downward(name, from)?);
                Ok::<_, BadValue>(DownwardAPIVolumeSource { items, default_mode: None })
            })
            .transpose()?,
        ..Volume::default()
    })
}

fn config_map(volume: &str, from: &crd::FilesFrom) -> Result<ConfigMapVolumeSource, BadValue> {
    Ok(ConfigMapVolumeSource {
        name: from.name.clone(),
        optional: from.optional.then_some(true),
        items: items(volume, &from.items)?,
        default_mode: None,
    })
}

fn secret(volume: &str, from: &crd::FilesFrom) -> Result<SecretVolumeSource, BadValue> {
    Ok(SecretVolumeSource {
        secret_name: Some(from.name.clone()),
        optional: from.optional.then_some(true),
        items: items(volume, &from.items)?,
        default_mode: None,
    })
}

/// Never a service-account token: the CRD has no such source.
fn projected(volume: &str, from: &crd::Projected) -> Result<ProjectedVolumeSource, BadValue> {
    let source = |source: &crd::ProjectedSource| -> Result<VolumeProjection, BadValue> {
        let config_map = source.config_map.as_ref().map(|from| config_map(volume, from)).transpose()?;
        let secret = source.secret.as_ref().map(|from| secret(volume, from)).transpose()?;
        let files = source.downward_api.as_ref().map(|from| downward(volume, from)).transpose()?;
        Ok(VolumeProjection {
            config_map: config_map.map(|from| ConfigMapProjection {
                name: from.name,
                items: from.items,
                optional: from.optional,
            }),
            secret: secret.map(|from| SecretProjection {
                name: from.secret_name.unwrap_or_default(),
                items: from.items,
                optional: from.optional,
            }),
            downward_api: files.map(|items| DownwardAPIProjection { items: Some(items) }),
            ..VolumeProjection::default()
        })
    };
    let sources = from.sources.iter().map(source).collect::<Result<_, _>>()?;
    Ok(ProjectedVolumeSource { sources: Some(sources), default_mode: None })
}

fn items(volume: &str, items: &[crd::KeyToPath]) -> Result<Option<Vec<KeyToPath>>, BadValue> {
    let items = items
        .iter()
        .map(|item| Ok(KeyToPath { key: item.key.clone(), path: relative(volume, &item.path)?, mode: None }))
        .collect::<Result<Vec<_>, BadValue>>()?;
    Ok((!items.is_empty()).then_some(items))
}

fn downward(volume: &str, files: &crd::DownwardFiles) -> Result<Vec<DownwardAPIVolumeFile>, BadValue> {
    files
        .items
        .iter()
        .map(|file| {
            if !is_pod_field(&file.field_path) {
                return Err(BadValue::Field { volume: volume.to_owned(), field: file.field_path.clone() });
            }
            Ok(DownwardAPIVolumeFile {
                path: relative(volume, &file.path)?,
                field_ref: Some(ObjectFieldSelector { field_path: file.field_path.clone(), api_version: None }),
                ..DownwardAPIVolumeFile::default()
            })
        })
        .collect()
}

fn is_pod_field(field: &str) -> bool {
    let keyed = |prefix: &str| {
        field
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix("['"))
            .and_then(|rest| rest.strip_suffix("']"))
            .is_some_and(|key| !key.is_empty())
    };
    let whole = ["metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations"];
    whole.contains(&field) || keyed("metadata.labels") || keyed("metadata.annotations")
}

fn relative(volume: &str, path: &str) -> Result<String, BadValue> {
    let bad = |why| Err(BadValue::Path { volume: volume.to_owned(), path: path.to_owned(), why });
    if path.is_empty() || path.starts_with('/') {
        return bad("must be a relative path");
    }
    if path.starts_with("..") || path.split('/').any(|part| part == "..") {
        return bad("must not contain '..'");
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests;

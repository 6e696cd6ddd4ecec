//! Server-side apply of a project's objects, and what it came to.

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::connection::Session;
use crate::failure::Failure;
use crate::project::{Manifest, Sort};

/// Field manager of everything that the user says through this program.
pub(crate) const MANAGER: &str = "muon-cli";

/// What applying did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Created,
    Changed,
    Unchanged,
}

impl Outcome {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// How to apply.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How {
    /// The API server checks everything and keeps nothing.
    pub(crate) dry: bool,
    /// Fields that others have set are taken over.
    pub(crate) force: bool,
}

/// The objects of a sort, in the manifest's namespace or the session's.
pub(crate) fn api(session: &Session, sort: Sort, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = match sort {
        Sort::ConfigMap => ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap")),
        Sort::Secret => ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret")),
        Sort::Muon(kind) => kind.resource(),
    };
    Api::namespaced_with(session.client.clone(), namespace.unwrap_or(&session.namespace), &resource)
}

/// Applies one object, under the user's own field manager.
pub(crate) async fn apply(session: &Session, manifest: &Manifest, how: How) -> Result<Outcome, Failure> {
    let failed = |error| refused(manifest, error);
    let api = api(session, manifest.sort, manifest.namespace.as_deref());
    let before = api.get_opt(&manifest.name).await.map_err(failed)?;
    let mut parameters = PatchParams::apply(MANAGER);
    parameters.dry_run = how.dry;
    parameters.force = how.force;
    // A field that nobody knows is a slip of the pen, and would be dropped without a word.
    parameters.field_validation = Some(ValidationDirective::Strict);
    let after = api.patch(&manifest.name, &parameters, &Patch::Apply(&manifest.value)).await.map_err(failed)?;
    // A function that was rolled back is pinned to an old content by another manager's field: whoever deploys means this one.
    let pinned = after.data.pointer("/spec/packageDigest").is_some();
    let asked = manifest.value.get("spec").is_some_and(|spec| spec.get("packageDigest").is_some());
    let unpin = pinned && !asked;
    if unpin && !how.dry {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let free = Patch::Merge(json!({"spec": {"packageDigest": null}}));
        api.patch(&manifest.name, &parameters, &free).await.map_err(failed)?;
    }
    Ok(match before {
        None => Outcome::Created,
        Some(before) if unpin || content(&before) != content(&after) => Outcome::Changed,
        Some(_) => Outcome::Unchanged,
    })
}

/// What the user says of an object; the rest is the API server's and the controllers'.
fn content(object: &DynamicObject) -> Value {
    let mut data = object.data.clone();
    if let Some(fields) = data.as_object_mut() {
        fields.remove("status");
    }
    json!({"labels": object.metadata.labels, "annotations": object.metadata.annotations, "data": data})
}

fn refused(manifest: &Manifest, error: kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 409 => Failure::Failed(format!(
            "{manifest}: {}\nothers have set these fields; --force-conflicts takes them over",
            status.message
        )),
        kube::Error::Api(status) if status.code == 404 && matches!(manifest.sort, Sort::Muon(_)) => {
            Failure::NotFound(format!(
                "{manifest}: neither its kind nor its namespace may be missing ({}); muon doctor tells whether Muon is installed",
                status.message
            ))
        }
        error => Failure::of(manifest, error),
    }
}

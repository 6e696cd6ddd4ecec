//! Writing desired objects: server-side apply, on objects that are ours, and only when it changes something.
//!
//! ```text
//!            cached?  no ─► GET ─► none ─► apply, not forced (a foreign twin made meanwhile refuses it)
//!              │yes          └──► found ─┐
//!              ▼                         ▼
//!            ours?    no ─► NameConflict, nothing written
//!              │yes
//!            same hash and still contains what we want?  yes ─► nothing written
//!              │no
//!            apply, forced, bound to the uid that was looked at
//! ```

use std::fmt::Debug;

use kube::api::{GetParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt as _};
use muon_crds::{names, words};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::call::{CallError, call, find};
use crate::contains::contains;
use crate::metrics::Metrics;
use crate::place::namespace_of;

/// What every object that we apply is.
pub trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug + 'static
{
}

impl<K> Child for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + Debug
        + 'static
{
}

/// By what an existing object is known to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours<'a> {
    /// Its controller is the object with this UID.
    Controller(&'a str),
    /// It carries `app.kubernetes.io/managed-by: muon` (objects of a namespace that no single object owns).
    Label,
}

impl Ours<'_> {
    /// Whether an existing object is ours.
    pub fn owns<K: Resource>(self, object: &K) -> bool {
        match self {
            Self::Controller(uid) => object
                .meta()
                .owner_references
                .iter()
                .flatten()
                .any(|owner| owner.controller == Some(true) && owner.uid == uid),
            Self::Label => {
                object.meta().labels.as_ref().and_then(|labels| labels.get(words::MANAGED_BY)).map(String::as_str)
                    == Some(words::MUON)
            }
        }
    }
}

/// Why an object was not applied.
#[derive(thiserror::Error, Debug)]
pub enum ApplyError {
    /// An object of that name is there and is not ours. It is never taken over.
    #[error(
        "a {kind} named {name} exists in this namespace and does not belong to Muon: rename one of the two, or delete it"
    )]
    NameConflict {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The object is being deleted; it can be made again once it is gone.
    #[error("the {kind} {name} is being deleted; it will be made again when it is gone")]
    Terminating {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The desired object has no JSON form: a bug of ours, said rather than hidden.
    #[error("the desired {kind} cannot be written as JSON: {source}")]
    Encode {
        /// Kind of the object.
        kind: String,
        /// What serde said.
        source: serde_json::Error,
    },
    /// The API server's answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// What applying came to.
#[derive(Clone, Debug)]
pub struct Applied<K> {
    /// The object as the API server has it.
    pub object: K,
    /// Whether anything was written.
    pub written: bool,
}

/// Applies objects under one field manager.
#[derive(Clone)]
pub struct Applier {
    client: Client,
    manager: &'static str,
    metrics: Metrics,
}

impl Applier {
    /// For one controller.
    pub fn new(client: Client, manager: &'static str, metrics: Metrics) -> Self {
        Self { client, manager, metrics }
    }

    /// Makes the cluster's object contain the desired one. `live` is what the cache has of it.
    pub async fn apply<K: Child>(
        &self,
        live: Option<&K>,
        desired: &K,
        ours: Ours<'_>,
    ) -> Result<Applied<K>, ApplyError> {
        let namespace = namespace_of(desired);
        let api: Api<K> = Api::namespaced(self.client.clone(), &namespace);
        let name = desired.name_any();
        let body = body(desired)?;

        let fetched = match live {
            Some(_) => None,
            // What the API server has in memory is new enough: what it does not show yet refuses the apply.
            None => find("read an object before making it", api.get_with(&name, &GetParams::any())).await?,
        };
        let Some(live) = live.or(fetched.as_ref()) else {
            return self.create(&api, &name, &body, ours).await;
        };
        self.update(&api, &name, live, body, ours).await
    }

    /// Makes an object that is not there. Not forced: had somebody made a foreign one since we looked, its fields
    /// would be refused to us instead of taken.
    async fn create<K: Child>(
        &self,
        api: &Api<K>,
        name: &str,
        body: &Value,
        ours: Ours<'_>,
    ) -> Result<Applied<K>, ApplyError> {
        let created =
            call("create an object", api.patch(name, &PatchParams::apply(self.manager), &Patch::Apply(body))).await;
        match created {
            Ok(object) => {
                self.metrics.wrote(&K::kind(&()));
                Ok(Applied { object, written: true })
            }
            Err(moved @ CallError::Moved { .. }) => match find("read an object after a conflict", api.get(name)).await?
            {
                Some(live) => self.update(api, name, &live, body.clone(), ours).await,
                None => Err(moved.into()),
            },
            Err(other) => Err(other.into()),
        }
    }

    /// Repairs an object that is there, when it is ours and differs.
    async fn update<K: Child>(
        &self,
        api: &Api<K>,
        name: &str,
        live: &K,
        mut body: Value,
        ours: Ours<'_>,
    ) -> Result<Applied<K>, ApplyError> {
        let kind = || K::kind(&()).into_owned();
        if !ours.owns(live) {
            return Err(ApplyError::NameConflict { kind: kind(), name: name.to_owned() });
        }
        if live.meta().deletion_timestamp.is_some() {
            return Err(ApplyError::Terminating { kind: kind(), name: name.to_owned() });
        }
        let current = serde_json::to_value(live).map_err(|source| ApplyError::Encode { kind: kind(), source })?;
        if contains(&current, &body) {
            return Ok(Applied { object: live.clone(), written: false });
        }
        body["metadata"]["uid"] = Value::from(live.uid().unwrap_or_default());
        let params = PatchParams::apply(self.manager).force();
        let object = call("apply an object", api.patch(name, &params, &Patch::Apply(&body))).await?;
        self.metrics.wrote(&K::kind(&()));
        Ok(Applied { object, written: true })
    }
}

/// The desired object as it is sent: with its type, and the hash of itself as an annotation. The hash also makes
/// a field that we *stopped* wanting a difference, which containment alone would not see.
fn body<K: Child>(desired: &K) -> Result<Value, ApplyError> {
    let encode = |source| ApplyError::Encode { kind: K::kind(&()).into_owned(), source };
    let mut body = serde_json::to_value(desired).map_err(encode)?;
    body["apiVersion"] = Value::from(K::api_version(&()).into_owned());
    body["kind"] = Value::from(K::kind(&()).into_owned());
    if let Some(object) = body.as_object_mut() {
        object.remove("status");
    }
    let hash = names::short_hash(body.to_string().as_bytes());
    body["metadata"]["annotations"][words::APPLIED] = Value::from(hash);
    Ok(body)
}

#[cfg(test)]
mod tests;

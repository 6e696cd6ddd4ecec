//! Sources that are fetched with somebody's login: OCI artifacts and commits.
//!
//! The operator's account may read no Secret. Whoever wants a login used gives it that right, for that one Secret, in a
//! Role of their own; and the Secret says whom its login is for, so that a Package cannot have it sent elsewhere.

use std::collections::BTreeMap;

use bytes::Bytes;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use muon_crds::package::{Git, Oci, Origin};
use muon_crds::{ConditionType, names, words};
use muon_plan::Invalid;
use muon_plan::package::{From, Remote};

use crate::call::{CallError, find};
use crate::context::Context;
use crate::fetch::{Checkout, GitLogin, Id, Login, Revision, Wanted, logins};
use crate::trouble::{Again, Trouble};

/// How long until a Secret that was missing, not readable or not right is looked at again.
const SECRET: std::time::Duration = std::time::Duration::from_secs(10);
const DOCKER_CONFIG: &str = ".dockerconfigjson";

/// Fetches it, and tells what it came to.
pub async fn fetch(namespace: &str, remote: &Remote, context: &Context) -> Result<(Bytes, Origin), Trouble> {
    let (archive, commit) = match &remote.from {
        From::Oci(oci) => (of_registry(namespace, oci, context).await?, None),
        From::Git(git) => {
            // What was resolved once stays so.
            let before = remote.origin.as_ref().and_then(|origin| origin.commit.as_deref());
            let Checkout { commit, archive } = of_repository(namespace, git, before, context).await?;
            (archive, Some(commit))
        }
    };
    let origin = Origin { of: remote.of.clone(), commit, digest: names::digest(&archive) };
    Ok((archive, origin))
}

async fn of_registry(namespace: &str, oci: &Oci, context: &Context) -> Result<Bytes, Trouble> {
    let logins = match &oci.pull_secret {
        Some(name) => pull_logins(name, &secret(namespace, name, context).await?)?,
        None => Vec::new(),
    };
    Ok(context.settings.fetcher().oci(&oci.image, &logins).await?)
}

fn pull_logins(name: &str, secret: &Secret) -> Result<Vec<Login>, Trouble> {
    let config = data(secret).get(DOCKER_CONFIG).and_then(|config| logins(&config.0));
    config.ok_or_else(|| {
        wrong(format!(
            "Secret {name} has no {DOCKER_CONFIG} that can be read: make it with kubectl create secret docker-registry"
        ))
    })
}

async fn of_repository(
    namespace: &str,
    git: &Git,
    before: Option<&str>,
    context: &Context,
) -> Result<Checkout, Trouble> {
    let login = match &git.secret {
        Some(name) => Some(repository_login(name, &secret(namespace, name, context).await?, &git.url)?),
        None => None,
    };
    let named = git.commit.as_deref().or(before).and_then(Id::parse);
    let revision = match named {
        Some(commit) => Revision::Commit(commit),
        None => Revision::Ref(git.reference.clone().unwrap_or_default()),
    };
    let wanted = Wanted { url: git.url.clone(), revision, path: git.path.clone().unwrap_or_default() };
    Ok(context.settings.fetcher().git(&wanted, login.as_ref()).await?)
}

fn repository_login(name: &str, secret: &Secret, url: &str) -> Result<GitLogin, Trouble> {
    let text = |key: &str| {
        let value = data(secret).get(key).and_then(|value| std::str::from_utf8(&value.0).ok());
        value.ok_or_else(|| wrong(format!("Secret {name} has no {key:?}: it needs username and password")))
    };
    let host = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    match secret.annotations().get(words::HOST) {
        Some(meant) if meant.eq_ignore_ascii_case(host) => Ok(GitLogin::new(text("username")?, text("password")?)),
        Some(meant) => Err(wrong(format!("the login in Secret {name} is for {meant} alone, not for {host}"))),
        None => Err(wrong(format!(
            "Secret {name} does not say whom its login is for: annotate it with {}={host}, if it is meant for that host",
            words::HOST
        ))),
    }
}

fn data(secret: &Secret) -> &BTreeMap<String, ByteString> {
    static NONE: BTreeMap<String, ByteString> = BTreeMap::new();
    secret.data.as_ref().unwrap_or(&NONE)
}

fn wrong(message: String) -> Trouble {
    let invalid = Invalid::stalled(ConditionType::Stored, "SecretInvalid", message);
    Trouble { invalid, again: Again::After(SECRET) }
}

/// A Secret that the operator was given leave to read.
async fn secret(namespace: &str, name: &str, context: &Context) -> Result<Secret, Trouble> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    match find("read the Secret of a source", api.get(name)).await {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => {
            let message = format!("there is no Secret {name} in the namespace");
            Err(Trouble::waiting(ConditionType::Stored, "SecretMissing", message, SECRET))
        }
        Err(CallError::Refused { .. }) => {
            let system = &context.settings.namespace;
            let message = format!(
                "the operator may not read Secret {name}. Give it that right: kubectl -n {namespace} create role read-{name} --verb=get --resource=secrets --resource-name={name} && kubectl -n {namespace} create rolebinding read-{name} --role=read-{name} --serviceaccount={system}:muon-operator"
            );
            let invalid = Invalid::stalled(ConditionType::Stored, "SecretForbidden", message);
            Err(Trouble { invalid, again: Again::After(SECRET) })
        }
        Err(other) => Err(other.into()),
    }
}

#[cfg(test)]
mod tests;

//! A Package, its Environment and its source's digest, to the build that they ask for.

use muon_crds::values::Resources;
use muon_crds::{ConditionType, names};
use serde::Serialize;

use super::Valid;
use crate::finding::Invalid;
use crate::meta::Owner;
use crate::package::Observed;
use crate::quantity;
use crate::settings::Settings;

/// All that decides what a build comes to, in the order in which it is hashed. The namespace is among it: where packages
/// come from is for each namespace to say, and nobody is to run what others' mirrors gave.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key<'a> {
    namespace: &'a str,
    source: &'a str,
    image: &'a str,
    command: &'a [String],
}

/// Checks that there is a builder, and what the schema cannot.
pub fn validate(observed: &Observed, source: &str, settings: &Settings) -> Result<Valid, Invalid> {
    let owner = Owner::of(&observed.object);
    let spec = &observed.object.spec;
    let name = &spec.environment;
    let Some(environment) = &observed.environment else {
        let message = format!("waiting for the Environment {name}: there is none in this namespace");
        return Err(Invalid::waiting(ConditionType::Built, "EnvironmentNotFound", message));
    };
    let Some(builder) = &environment.spec.builder else {
        let message = format!("spec.build: the Environment {name} has no builder; give it one, or remove spec.build");
        return Err(Invalid::stalled(ConditionType::Built, "NoBuilder", message));
    };
    let own = spec.build.clone().unwrap_or_default();
    let usual = Resources::of_build();
    let resources = match &own.resources {
        Some(resources) => resources,
        None if builder.resources == Resources::default() => &usual,
        None => &builder.resources,
    };
    let resources = quantity::requirements(resources)
        .map_err(|bad| Invalid::stalled(ConditionType::Built, "InvalidResources", format!("build: {bad}")))?;
    let command = if own.command.is_empty() { builder.command.clone() } else { own.command };
    let parts = Key { namespace: &owner.namespace, source, image: &builder.image, command: &command };
    // Strings only: serialising cannot fail.
    let key = names::digest(&serde_json::to_vec(&parts).unwrap_or_default());
    Ok(Valid {
        environment: name.clone(),
        job: names::build_job(&key),
        key,
        source: source.to_owned(),
        image: builder.image.clone(),
        command,
        resources,
        deadline: own.timeout_seconds.unwrap_or(builder.timeout_seconds),
        registries: builder.registries.as_ref().map(|registries| registries.name.clone()),
        pull_secrets: environment.spec.image_pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
        agent_image: settings.agent_image.clone(),
        pull_policy: settings.image_pull_policy.clone(),
        store: settings.store.clone(),
        owner,
    })
}

//! A Function and what it refers to, to what is to run.

use muon_crds::function::{Mode, Serving};
use muon_crds::values::{EnvVar, Resources, Variable};
use muon_crds::words::FUNCTIONS_SERVICE;
use muon_crds::{ConditionType, Environment, EnvironmentSpec, Package, condition, names};

use super::{Held, Observed, Resolved, Valid, env, references};
use crate::finding::Invalid;
use crate::meta::Owner;
use crate::pod::{self, Base, OwnPod};
use crate::quantity;
use crate::revision::{Parts, RuntimePart, revision};
use crate::settings::Settings;

/// The least that a load at the start of an own pod is given, in seconds.
const MIN_LOAD_SECONDS: i64 = 60;

/// Checks what the schema cannot, and resolves what the Function refers to. What does not depend on references
/// (its Service, its inline Package) is there whether they resolve or not.
pub fn validate(observed: &Observed, settings: &Settings) -> Result<Valid, Invalid> {
    let spec = &observed.object.spec;
    let owner = Owner::of(&observed.object);
    let values = pod::values(spec)
        .map_err(|bad| Invalid::stalled(ConditionType::Ready, "InvalidSpec", format!("spec: {bad}")))?;
    super::kept(spec, observed.now)
        .map_err(|bad| Invalid::stalled(ConditionType::Ready, "InvalidSchedule", bad.to_string()))?;
    if let Some(resources) = &spec.resources {
        quantity::requirements(resources).map_err(|bad| resources_of("Function", &bad))?;
    }
    let resolved = resolve(observed).and_then(|found| run(observed, &found, values, settings));
    Ok(Valid {
        target: format!("{FUNCTIONS_SERVICE}.{}.svc.{}", owner.namespace, settings.cluster_domain),
        inline: spec.source.clone().map(|source| (spec.environment.clone(), source)),
        owner,
        resolved,
    })
}

/// What the Function refers to, all there.
struct Found<'a> {
    environment: &'a Environment,
    digest: &'a str,
    /// What of Secrets and ConfigMaps decides what runs.
    references: Vec<(String, Option<&'a str>)>,
}

fn waiting(reason: &'static str, message: String) -> Invalid {
    Invalid::waiting(ConditionType::Resolved, reason, message)
}

fn resources_of(kind: &str, bad: &quantity::BadResources) -> Invalid {
    Invalid::stalled(ConditionType::Ready, "InvalidResources", format!("{kind}: {bad}"))
}

fn resolve(observed: &Observed) -> Result<Found<'_>, Invalid> {
    let spec = &observed.object.spec;
    let environment = observed.environment.as_ref().ok_or_else(|| {
        let name = &spec.environment;
        waiting("EnvironmentNotFound", format!("waiting for the Environment {name}: there is none in this namespace"))
    })?;
    let digest = digest(observed)?;
    Ok(Found { environment, digest, references: versions(observed)? })
}

fn digest(observed: &Observed) -> Result<&str, Invalid> {
    let spec = &observed.object.spec;
    let package = match (observed.package.as_ref(), &spec.package) {
        (Some(package), _) => package,
        (None, Some(name)) => {
            let message = format!("waiting for the Package {name}: there is none in this namespace");
            return Err(waiting("PackageNotFound", message));
        }
        (None, None) => return Err(waiting("PackageNotReady", "the Package of spec.source is being made".to_owned())),
    };
    let name = package.metadata.name.as_deref().unwrap_or_default();
    if spec.source.as_ref().is_some_and(|source| *source != package.spec.source) {
        return Err(waiting("PackageNotReady", format!("the Package {name} is being brought up to spec.source")));
    }
    if package.spec.environment != spec.environment {
        // Of our own Package we write the Environment ourselves.
        if spec.source.is_some() {
            return Err(waiting("PackageNotReady", format!("the Package {name} is being brought up to the spec")));
        }
        let message = format!(
            "the Package {name} is for the Environment {}, the Function for {}: make them the same",
            package.spec.environment, spec.environment
        );
        return Err(Invalid::stalled(ConditionType::Resolved, "EnvironmentMismatch", message));
    }
    if let Some(pinned) = &spec.package_digest {
        return if is_known(pinned, observed, package) { Ok(pinned) } else { Err(unknown(pinned, name)) };
    }
    let status = package.status.as_ref();
    let current = status.filter(|status| {
        status.observed_generation == package.metadata.generation
            && condition::is_true(&status.conditions, ConditionType::Ready)
    });
    if let Some(digest) = current.and_then(|status| status.digest.as_deref()) {
        return Ok(digest);
    }
    Err(package_not_ready(name, package))
}

/// Whether the content was the Package's, or served this Function: then the store keeps it, for it is named here.
fn is_known(digest: &str, observed: &Observed, package: &Package) -> bool {
    let known = package.status.iter().flat_map(|status| status.digest.iter().chain(&status.previous));
    let status = observed.object.status.as_ref();
    let serving = status.and_then(|status| status.serving.as_ref()).map(|serving| &serving.digest);
    let before = status.into_iter().flat_map(|status| status.revisions.iter().map(|past| &past.digest));
    known.chain(serving).chain(before).any(|known| known == digest)
}

fn unknown(digest: &str, package: &str) -> Invalid {
    let message = format!(
        "spec.packageDigest: neither the Package {package} nor this Function knows of {digest}: see status.digest and \
         status.previous of the Package, and status.revisions of the Function"
    );
    waiting("DigestNotFound", message)
}

fn package_not_ready(name: &str, package: &Package) -> Invalid {
    let said = package
        .status
        .as_ref()
        .filter(|status| status.observed_generation == package.metadata.generation)
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let ready = condition::find(said, ConditionType::Ready);
    let message = match ready {
        Some(ready) => format!("the Package {name} is not ready: {}", ready.message),
        None => format!("the Package {name} is not ready yet"),
    };
    if condition::is_true(said, ConditionType::Stalled) {
        return Invalid::stalled(ConditionType::Resolved, "PackageNotReady", message);
    }
    waiting("PackageNotReady", message)
}

fn versions(observed: &Observed) -> Result<Vec<(String, Option<&str>)>, Invalid> {
    references(&observed.object.spec)
        .into_iter()
        .map(|wanted| {
            let (kind, name) = (wanted.kind.as_str(), &wanted.name);
            let found = observed.references.iter().find(|it| it.kind == wanted.kind && it.name == *name);
            let version = found.and_then(|found| found.resource_version.as_deref());
            if version.is_none() && !wanted.optional {
                let reason = match wanted.kind {
                    super::ReferenceKind::ConfigMap => "ConfigMapNotFound",
                    super::ReferenceKind::Secret => "SecretNotFound",
                };
                let message = format!("waiting for the {kind} {name}: there is none in this namespace");
                return Err(waiting(reason, message));
            }
            Ok(wanted.whole.then(|| (format!("{kind}/{name}"), version)))
        })
        .filter_map(Result::transpose)
        .chain(keys(observed))
        .collect()
}

/// Keys of ConfigMaps that variables take: a change of other keys changes nothing for the function.
fn keys(observed: &Observed) -> impl Iterator<Item = Result<(String, Option<&str>), Invalid>> {
    let wanted =
        observed.object.spec.env.iter().filter_map(|variable| Some((variable, env::config_map_key(variable)?)));
    wanted.map(|(variable, key)| {
        let value = env::held(&observed.references, &variable.name, key)?.map(|held| match held {
            Held::Text(text) => text.as_str(),
            // Refused in a moment, wherever it would be set.
            Held::Large { .. } => "",
        });
        Ok((format!("ConfigMap/{}/{}", key.name, key.key), value))
    })
}

fn run(observed: &Observed, found: &Found<'_>, values: pod::Values, settings: &Settings) -> Result<Resolved, Invalid> {
    let spec = &observed.object.spec;
    let environment = &found.environment.spec;
    let own_resources = spec.resources.as_ref().filter(|own| !own.requests.is_empty() || !own.limits.is_empty());
    let at_load = !spec.env.is_empty()
        && spec.volumes.is_empty()
        && own_resources.is_none()
        && env::goes_with_load(spec, &environment.runtime);
    let needs_own = !at_load && !spec.env.is_empty() || !spec.volumes.is_empty() || own_resources.is_some();
    let own = match needs_own {
        false => None,
        true => {
            let small = Resources::small();
            let given = Some(&environment.resources).filter(|it| !it.requests.is_empty() || !it.limits.is_empty());
            let resources = quantity::requirements(own_resources.or(given).unwrap_or(&small)).map_err(|bad| {
                waiting("EnvironmentNotReady", format!("the Environment {}: {bad}", spec.environment))
            })?;
            Some(OwnPod { base: Base::of(environment, resources, settings), values })
        }
    };
    // What may not be in a variable may not be in it anywhere.
    let mut variables = variables(observed, environment, settings)?;
    if !at_load {
        variables.clear();
    }
    let sent: Vec<EnvVar> = variables.iter().map(plain).collect();
    let code = revision(&Parts {
        digest: found.digest,
        entrypoint: &spec.entrypoint,
        runtime: RuntimePart { image: &environment.runtime.image, port: environment.runtime.port },
        env: if at_load { &sent } else { &spec.env },
        env_at_load: at_load,
        volumes: &spec.volumes,
        resources: own_resources,
        // Of these, only the values count that are sent.
        references: if at_load { Vec::new() } else { found.references.clone() },
    });
    let serving = Serving {
        revision: names::revision_with(&code, &variables),
        digest: found.digest.to_owned(),
        mode: if own.is_some() { Mode::Deployment } else { Mode::Pool },
        environment: spec.environment.clone(),
        entrypoint: spec.entrypoint.clone(),
        concurrency: spec.concurrency,
        timeout_seconds: spec.timeout_seconds,
        max: if spec.replicas > 0 { spec.replicas } else { spec.scaling.max },
        env: variables,
    };
    let load_timeout_ms = i64::from(spec.timeout_seconds).max(MIN_LOAD_SECONDS) * 1000;
    Ok(Resolved {
        serving,
        own,
        load_timeout_ms: u64::try_from(load_timeout_ms).unwrap_or_default(),
        store: settings.store.clone(),
    })
}

/// The variables as they are in a pod of the function's own, those of Secrets aside.
fn variables(
    observed: &Observed,
    environment: &EnvironmentSpec,
    settings: &Settings,
) -> Result<Vec<Variable>, Invalid> {
    let ours = pod::runtime_variables(environment.runtime.port, environment.termination_grace_period_seconds);
    let mut beside = settings.cluster_variables.clone();
    beside.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    env::resolve(&observed.object.spec, &observed.references, &beside)
}

fn plain(variable: &Variable) -> EnvVar {
    EnvVar { name: variable.name.clone(), value: Some(variable.value.clone()), value_from: None }
}

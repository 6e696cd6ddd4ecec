//! One case of each kind: the whole way from what was observed to objects and status.

use kube::Resource;
use muon_crds::names;
use muon_crds::package::Origin;
use muon_plan::{Invalid, builds, environment, function, gateway, http_trigger, package};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{NOW, settings};

/// What applying met, beside what was observed.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Applying {
    /// `[kind, name]` of a foreign object in the way.
    name_conflict: Option<(String, String)>,
    /// An answer that did not come.
    failed: Option<String>,
    /// An answer that says no.
    refused: Option<String>,
    /// What the store confirmed (Package).
    stored: Option<package::Stored>,
    /// What was built (Package).
    built: Option<package::Stored>,
    /// The build's Job, and the step of its pod that failed (Package).
    job: Option<builds::SeenJob>,
    step: Option<builds::SeenStep>,
    /// As many builds run as may (Package).
    crowded: bool,
}

impl Applying {
    fn invalid(&self) -> Option<Invalid> {
        let conflict = self.name_conflict.as_ref().map(|(kind, name)| Invalid::name_conflict(kind, name));
        conflict
            .or_else(|| self.failed.clone().map(Invalid::failed))
            .or_else(|| self.refused.clone().map(Invalid::refused))
    }
}

#[derive(Deserialize)]
struct Input<O> {
    observed: O,
    #[serde(default)]
    applying: Applying,
}

fn read<O: DeserializeOwned>(text: &str) -> Input<O> {
    serde_yaml::from_str(text).unwrap()
}

/// What the API server gives every object, where a case does not say otherwise.
pub fn complete<K: Resource<DynamicType = ()>>(object: &mut K) {
    let name = object.meta().name.clone().unwrap_or_default();
    let kind = K::kind(&()).to_lowercase();
    let meta = object.meta_mut();
    meta.namespace.get_or_insert_with(|| "shop".to_owned());
    meta.uid.get_or_insert_with(|| format!("{kind}-{name}-uid"));
    meta.generation.get_or_insert(1);
    meta.resource_version.get_or_insert_with(|| "100".to_owned());
}

/// An object as it is applied: with its type.
pub fn typed<K: Resource<DynamicType = ()> + serde::Serialize>(object: &K) -> Value {
    let mut value = serde_json::to_value(object).unwrap();
    value["apiVersion"] = json!(K::api_version(&()));
    value["kind"] = json!(K::kind(&()));
    value
}

fn optional<K: Resource<DynamicType = ()> + serde::Serialize>(object: Option<&K>) -> Value {
    object.map_or(Value::Null, typed)
}

pub fn environment(text: &str) -> Value {
    let Input { mut observed, applying } = read::<environment::Observed>(text);
    complete(&mut observed.object);
    let valid = match environment::validate(&observed, &settings()) {
        Ok(valid) => valid,
        Err(invalid) => {
            return json!({"report": environment::report(&observed, Err(&invalid), NOW), "invalid": invalid});
        }
    };
    // A case cannot know the hash of the template before it is computed.
    let text = text.replace("CURRENT", &valid.template_hash);
    let Input { mut observed, .. } = read::<environment::Observed>(&text);
    complete(&mut observed.object);
    let sizes = environment::pool_size(&observed, &valid);
    let environment::Resources { pool, network_policy, build_policy, disruption_budget } =
        environment::build(&valid, sizes.replicas);
    let report = match applying.invalid() {
        Some(invalid) => environment::report(&observed, Err(&invalid), NOW),
        None => environment::report(&observed, Ok(&valid), NOW),
    };
    let mut resources = json!({
        "pool": typed(&pool),
        "networkPolicy": typed(&network_policy),
        "disruptionBudget": optional(disruption_budget.as_ref()),
    });
    if let Some(policy) = &build_policy {
        resources["buildPolicy"] = typed(policy);
    }
    json!({"sizes": sizes, "resources": resources, "report": report})
}

pub fn package(text: &str) -> Value {
    let Input { mut observed, applying } = read::<package::Observed>(text);
    complete(&mut observed.object);
    observed.environment.iter_mut().for_each(complete);
    let mut progress = package::Progress::default();
    let valid = match package::validate(&observed) {
        Ok(valid) => valid,
        Err(invalid) => {
            let report = package::report(&observed, &progress, Err(&invalid), NOW);
            return json!({"report": report, "invalid": invalid});
        }
    };
    let resources = package::build(&valid);
    let (content, size) = match &resources.content {
        package::Content::Bytes(bytes) => (format!("{} bytes", bytes.len()), i64::try_from(bytes.len()).unwrap()),
        package::Content::Url(url) => (url.clone(), 4096),
        package::Content::Remote(remote) => (remote.of.clone(), 4096),
    };
    let digest = resources.digest.clone().unwrap_or_else(|| names::digest(content.as_bytes()));
    let stored = applying.stored.clone().unwrap_or(package::Stored { digest: digest.clone(), size_bytes: size });
    if let Some(invalid) = applying.invalid() {
        let report = package::report(&observed, &progress, Err(&invalid), NOW);
        return json!({"resources": {"digest": resources.digest, "content": content}, "report": report});
    }
    if let package::Content::Remote(package::Remote { of, origin: None, from }) = &resources.content {
        let commit = matches!(from, package::From::Git(_)).then(|| "5".repeat(40));
        progress.origin = Some(Origin { of: of.clone(), commit, digest });
    }
    progress.source = Some(stored.clone());
    let (job, outcome) = match &observed.object.spec.build {
        Some(_) => built(&observed, &stored, &applying, &mut progress),
        None => (Value::Null, Ok(stored)),
    };
    let report = package::report(&observed, &progress, outcome.as_ref(), NOW);
    let mut resources = json!({"digest": resources.digest, "content": content});
    if !job.is_null() {
        resources["job"] = job;
    }
    json!({"resources": resources, "report": report})
}

/// The build of a Package whose source is stored: its Job, and what it came to.
fn built(
    observed: &package::Observed,
    source: &package::Stored,
    applying: &Applying,
    progress: &mut package::Progress,
) -> (Value, Result<package::Stored, Invalid>) {
    let valid = match builds::validate(observed, &source.digest, &settings()) {
        Ok(valid) => valid,
        Err(invalid) => return (Value::Null, Err(invalid)),
    };
    progress.build = Some(valid.status());
    let outcome = match (&applying.built, applying.job.as_ref().map(|job| &job.phase)) {
        (Some(built), _) => Ok(built.clone()),
        (None, Some(builds::Phase::Failed { reason, message })) => {
            Err(builds::failure(&valid, reason, message, applying.step.as_ref()))
        }
        (None, _) if applying.crowded => Err(valid.waiting(2)),
        (None, _) => Err(valid.building(None)),
    };
    (typed(&builds::job(&valid, "signed-order")), outcome)
}

pub fn function(text: &str) -> Value {
    let Input { mut observed, applying } = read::<function::Observed>(text);
    complete_function(&mut observed);
    let valid = match function::validate(&observed, &settings()) {
        Ok(valid) => valid,
        Err(invalid) => {
            let scale = function::scale(&observed, None);
            return json!({"report": function::report(&observed, Err(&invalid), NOW), "invalid": invalid, "scale": scale});
        }
    };
    // A case cannot know the revision before it is computed.
    let revision = valid.resolved.as_ref().map_or("", |resolved| resolved.serving.revision.as_str()).to_owned();
    let Input { mut observed, .. } = read::<function::Observed>(&text.replace("CURRENT", &revision));
    complete_function(&mut observed);
    function_of(&observed, &valid, applying.invalid())
}

fn complete_function(observed: &mut function::Observed) {
    complete(&mut observed.object);
    observed.environment.iter_mut().for_each(complete);
    observed.package.iter_mut().for_each(complete);
}

pub fn function_of(observed: &function::Observed, valid: &function::Valid, failed: Option<Invalid>) -> Value {
    let scale = function::scale(observed, valid.resolved.as_ref().ok());
    let sign =
        |_: &muon_plan::meta::Owner, resolved: &function::Resolved| format!("order-of-{}", resolved.serving.revision);
    let function::Resources { service, package, deployment } = function::build(valid, scale.replicas, sign);
    let report = match failed {
        Some(invalid) => function::report(observed, Err(&invalid), NOW),
        None => function::report(observed, Ok(valid), NOW),
    };
    json!({
        "scale": scale,
        "resources": {
            "service": typed(&service),
            "package": optional(package.as_ref()),
            "deployment": optional(deployment.as_ref()),
        },
        "report": report,
    })
}

pub fn http_trigger(text: &str) -> Value {
    let Input { mut observed, applying } = read::<http_trigger::Observed>(text);
    complete(&mut observed.object);
    http_trigger_of(&observed, applying.invalid())
}

pub fn http_trigger_of(observed: &http_trigger::Observed, failed: Option<Invalid>) -> Value {
    let valid = match http_trigger::validate(observed) {
        Ok(valid) => valid,
        Err(invalid) => {
            return json!({"report": http_trigger::report(observed, Err(&invalid), NOW), "invalid": invalid});
        }
    };
    let http_trigger::Resources { ingress } = http_trigger::build(&valid);
    let report = match failed {
        Some(invalid) => http_trigger::report(observed, Err(&invalid), NOW),
        None => http_trigger::report(observed, Ok(&valid), NOW),
    };
    json!({"resources": {"ingress": optional(ingress.as_ref())}, "report": report})
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(flatten)]
    observed: gateway::Observed,
    proxies: Vec<gateway::Proxy>,
}

pub fn gateway(text: &str) -> Value {
    let Namespace { observed, proxies } = serde_yaml::from_str(text).unwrap();
    let gateway::Resources { gateway, functions } = gateway::services(&observed);
    let slices = |service: Option<&k8s_openapi::api::core::v1::Service>| {
        let mut service = service?.clone();
        complete(&mut service);
        Some(gateway::slices(&service, &proxies).iter().map(typed).collect::<Vec<_>>())
    };
    json!({
        "resources": {
            "gateway": optional(gateway.as_ref()),
            "gatewaySlices": slices(gateway.as_ref()),
            "functions": optional(functions.as_ref()),
            "functionsSlices": slices(functions.as_ref()),
        },
    })
}

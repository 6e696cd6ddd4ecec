//! The checks: from what was found to what is said. Pure.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use muon_crds::{ConditionType, condition};
use serde::Serialize;

use super::{Found, Read};

/// Least version of Kubernetes.
const LEAST: (u32, u32) = (1, 33);
/// A lease is renewed every few seconds; older than this, nobody holds it.
const FRESH_SECONDS: i64 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Good,
    /// It works, and somebody may want to know.
    Note,
    /// It could not be read.
    Unknown,
    Bad,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) said: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) todo: Option<String>,
}

impl Check {
    fn new(name: &'static str, state: State, said: impl Into<String>) -> Self {
        Self { name, state, said: said.into(), todo: None }
    }

    fn todo(mut self, what: impl Into<String>) -> Self {
        self.todo = Some(what.into());
        self
    }
}

/// All checks, in the order in which one rests on the other.
pub(super) fn judge(found: &Found, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![version(found), kinds(found)];
    checks.push(deployment("operator", &found.operator, &found.system));
    checks.push(deployment("proxy", &found.proxy, &found.system));
    checks.push(store(found));
    checks.push(lease(&found.lease, now));
    checks.push(key(found));
    checks.push(policy(found));
    checks.push(storage(found));
    checks.push(ingress(found));
    checks.extend(environments(found));
    checks
}

const INSTALL: &str = "kubectl apply -k config/default";

fn version(found: &Found) -> Check {
    match &found.version {
        Err(why) => Check::new("Kubernetes", State::Unknown, why.clone()),
        Ok(version) if *version < LEAST => Check::new(
            "Kubernetes",
            State::Bad,
            format!("{}.{}, and Muon needs {}.{}", version.0, version.1, LEAST.0, LEAST.1),
        )
        .todo("upgrade the cluster"),
        Ok((major, minor)) => Check::new("Kubernetes", State::Good, format!("{major}.{minor}")),
    }
}

fn kinds(found: &Found) -> Check {
    let missing: Vec<&str> =
        found.kinds.iter().filter(|(_, read)| matches!(read, Ok(None))).map(|(name, _)| *name).collect();
    if let Some(why) = found.kinds.iter().find_map(|(_, read)| read.as_ref().err()) {
        return Check::new("kinds", State::Unknown, why.clone());
    }
    let refused: Vec<&str> = found
        .kinds
        .iter()
        .filter(|(_, read)| {
            let conditions = read.as_ref().ok().and_then(|found| found.as_ref()?.status.as_ref()?.conditions.as_ref());
            !conditions
                .into_iter()
                .flatten()
                .any(|condition| condition.type_ == "Established" && condition.status == "True")
        })
        .map(|(name, _)| *name)
        .collect();
    match (missing.is_empty(), refused.is_empty()) {
        (false, _) => Check::new("kinds", State::Bad, format!("not there: {}", missing.join(", "))).todo(INSTALL),
        (_, false) => Check::new("kinds", State::Bad, format!("not established: {}", refused.join(", ")))
            .todo(format!("kubectl describe crd {}", refused.join(" "))),
        _ => Check::new("kinds", State::Good, "Environment, Package, Function, HTTPTrigger"),
    }
}

fn deployment(name: &'static str, read: &Read<Deployment>, system: &str) -> Check {
    let found = match read {
        Err(why) => return Check::new(name, State::Unknown, why.clone()),
        Ok(None) => {
            return Check::new(name, State::Bad, format!("no Deployment muon-{name} in namespace {system}"))
                .todo(INSTALL);
        }
        Ok(Some(found)) => found,
    };
    let wanted = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = found.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    replicas(name, ready, wanted, &image(found), system)
}

fn image(deployment: &Deployment) -> String {
    let containers = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()).map(|spec| &spec.containers);
    containers.and_then(|containers| containers.first()?.image.clone()).unwrap_or_default()
}

fn replicas(name: &'static str, ready: i32, wanted: i32, image: &str, system: &str) -> Check {
    let said = format!("{ready} of {wanted} ready, {image}");
    let todo = format!("kubectl describe pods -n {system} -l app.kubernetes.io/component={name}");
    match ready {
        0 => Check::new(name, State::Bad, said).todo(todo),
        ready if ready < wanted => Check::new(name, State::Note, said).todo(todo),
        _ => Check::new(name, State::Good, said),
    }
}

fn store(found: &Found) -> Check {
    let store: &StatefulSet = match &found.store {
        Err(why) => return Check::new("store", State::Unknown, why.clone()),
        Ok(None) => {
            return Check::new("store", State::Bad, format!("no StatefulSet muon-store in namespace {}", found.system))
                .todo(INSTALL);
        }
        Ok(Some(store)) => store,
    };
    let wanted = store.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = store.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let phase = match &found.volume {
        Ok(Some(volume)) => volume.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default(),
        _ => String::new(),
    };
    if ready == 0 && phase == "Pending" {
        return Check::new("store", State::Bad, "its volume data-muon-store-0 is Pending").todo(format!(
            "kubectl describe pvc -n {} data-muon-store-0; a default StorageClass, or an S3 bucket, is needed",
            found.system
        ));
    }
    replicas(
        "store",
        ready,
        wanted,
        &format!("volume {}", if phase.is_empty() { "unknown" } else { &phase }),
        &found.system,
    )
}

fn lease(read: &Read<Lease>, now: Timestamp) -> Check {
    let spec = match read {
        Err(why) => return Check::new("leader", State::Unknown, why.clone()),
        Ok(None) => {
            return Check::new("leader", State::Bad, "no operator has ever led")
                .todo("kubectl logs -n muon-system deployment/muon-operator");
        }
        Ok(Some(lease)) => lease.spec.clone().unwrap_or_default(),
    };
    let holder = spec.holder_identity.unwrap_or_default();
    let age = spec.renew_time.map(|time| now.as_second() - time.0.as_second());
    match age {
        Some(age) if age <= FRESH_SECONDS && !holder.is_empty() => Check::new("leader", State::Good, holder),
        _ => Check::new("leader", State::Bad, "no operator leads now: nothing that changes is looked at")
            .todo("kubectl logs -n muon-system deployment/muon-operator"),
    }
}

fn key(found: &Found) -> Check {
    match &found.key {
        Err(why) => Check::new("order key", State::Unknown, why.clone()),
        Ok(None) => Check::new("order key", State::Bad, "the operator has not made it: nothing can be loaded")
            .todo(format!("kubectl logs -n {} deployment/muon-operator", found.system)),
        Ok(Some(_)) => Check::new("order key", State::Good, "there"),
    }
}

fn policy(found: &Found) -> Check {
    match (&found.policy, &found.binding) {
        (Err(why), _) | (_, Err(why)) => Check::new("claims policy", State::Unknown, why.clone()),
        (Ok(Some(_)), Ok(Some(_))) => {
            Check::new("claims policy", State::Good, "what proxies may do to pods is cut down to claiming")
        }
        _ => Check::new(
            "claims policy",
            State::Bad,
            "the ValidatingAdmissionPolicy muon-claims, or its binding, is not there: proxies may patch any pod",
        )
        .todo(INSTALL),
    }
}

fn default(annotations: &std::collections::BTreeMap<String, String>, key: &str) -> bool {
    annotations.get(key).is_some_and(|value| value == "true")
}

fn storage(found: &Found) -> Check {
    match &found.storage {
        Err(why) => Check::new("storage", State::Unknown, why.clone()),
        Ok(classes) => {
            let own = classes
                .iter()
                .find(|class| default(class.annotations(), "storageclass.kubernetes.io/is-default-class"));
            match own {
                Some(class) => Check::new("storage", State::Good, format!("default StorageClass {}", class.name_any())),
                None => Check::new(
                    "storage",
                    State::Note,
                    "no default StorageClass: the store's volume must name one, or the store an S3 bucket",
                ),
            }
        }
    }
}

fn ingress(found: &Found) -> Check {
    match &found.ingress {
        Err(why) => Check::new("ingress", State::Unknown, why.clone()),
        Ok(classes) if classes.is_empty() => {
            Check::new("ingress", State::Note, "no IngressClass: routes answer inside the cluster only")
                .todo("install an Ingress controller")
        }
        Ok(classes) => {
            let own = classes
                .iter()
                .find(|class| default(class.annotations(), "ingressclass.kubernetes.io/is-default-class"));
            match own {
                Some(class) => Check::new("ingress", State::Good, format!("default IngressClass {}", class.name_any())),
                None => Check::new(
                    "ingress",
                    State::Note,
                    "no default IngressClass: routes must name theirs (spec.ingress.className)",
                ),
            }
        }
    }
}

fn environments(found: &Found) -> Vec<Check> {
    let environments = match &found.environments {
        Err(why) => return vec![Check::new("environments", State::Unknown, why.clone())],
        Ok(none) if none.is_empty() => {
            return vec![
                Check::new("environments", State::Note, "there is none: no function can run")
                    .todo("kubectl apply -n NAMESPACE -k config/environments/python"),
            ];
        }
        Ok(environments) => environments,
    };
    let mut checks = Vec::new();
    let mut well = Vec::new();
    for environment in environments {
        let name = format!("{}/{}", environment.namespace().unwrap_or_default(), environment.name_any());
        let conditions = environment.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        match condition::find(conditions, ConditionType::Ready) {
            Some(ready) if ready.status == "True" => well.push(name),
            ready => {
                let why = ready.map_or("the operator has not looked at it yet", |ready| ready.message.as_str());
                let own = environment.namespace().unwrap_or_default();
                checks.push(
                    Check::new("environments", State::Bad, format!("{name}: {why}"))
                        .todo(format!("muon describe -n {own} env/{}", environment.name_any())),
                );
            }
        }
    }
    if !well.is_empty() {
        checks.insert(0, Check::new("environments", State::Good, well.join(", ")));
    }
    checks
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::super::KINDS;
    use super::*;
    use crate::golden;

    fn read<K: DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).unwrap()
    }

    fn there<K: DeserializeOwned>(value: Value) -> Read<K> {
        Ok(Some(read(value)))
    }

    fn now() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn healthy() -> Found {
        let kind = |name: &str| {
            there(
                json!({"metadata": {"name": name}, "spec": {"group": "muon.dev", "scope": "Namespaced", "names": {"kind": "X", "plural": "x"}, "versions": []},
                "status": {"conditions": [{"type": "Established", "status": "True"}]}}),
            )
        };
        let workload = |ready: i32, wanted: i32| {
            json!({"metadata": {"name": "x"}, "spec": {"replicas": wanted, "selector": {}, "serviceName": "x",
                "template": {"spec": {"containers": [{"name": "x", "image": "muon/muon:1"}]}}}, "status": {"replicas": wanted, "readyReplicas": ready}})
        };
        Found {
            system: "muon-system".to_owned(),
            version: Ok((1, 34)),
            kinds: KINDS.iter().map(|name| (*name, kind(name))).collect(),
            operator: there(workload(2, 2)),
            proxy: there(workload(1, 2)),
            store: there(workload(1, 1)),
            volume: there(json!({"metadata": {"name": "data-muon-store-0"}, "status": {"phase": "Bound"}})),
            key: there(json!({"metadata": {"name": "muon-order-key"}})),
            lease: there(
                json!({"metadata": {"name": "muon-operator"}, "spec": {"holderIdentity": "muon-operator-1", "renewTime": "2026-11-23T11:59:58.000000Z"}}),
            ),
            policy: there(json!({"metadata": {"name": "muon-claims"}})),
            binding: there(json!({"metadata": {"name": "muon-claims"}})),
            storage: Ok(vec![read(
                json!({"metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "x"}),
            )]),
            ingress: Ok(vec![read(
                json!({"metadata": {"name": "traefik", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}}),
            )]),
            environments: Ok(vec![read(
                json!({"apiVersion": "muon.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "python", "namespace": "team"},
                "spec": {"runtime": {"image": "muon/python:3.11"}},
                "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "PoolReady", "message": "", "lastTransitionTime": "2026-11-23T11:00:00Z"}]}}),
            )]),
        }
    }

    fn told(found: &Found) -> String {
        let paper = crate::output::Terminal { colour: false, moves: false };
        judge(found, now()).iter().map(|check| super::super::line(check, paper)).collect()
    }

    #[test]
    fn an_installation_that_is_well() {
        golden::check("doctor/well.txt", &told(&healthy()));
    }

    #[test]
    fn nothing_installed() {
        let nothing = Found {
            version: Ok((1, 32)),
            kinds: KINDS.iter().map(|name| (*name, Ok(None))).collect(),
            operator: Ok(None),
            proxy: Ok(None),
            store: Ok(None),
            volume: Ok(None),
            key: Ok(None),
            lease: Ok(None),
            policy: Ok(None),
            binding: Ok(None),
            storage: Ok(Vec::new()),
            ingress: Ok(Vec::new()),
            environments: Ok(Vec::new()),
            ..healthy()
        };
        golden::check("doctor/nothing.txt", &told(&nothing));
    }

    #[test]
    fn parts_that_are_not_well() {
        let mut found = healthy();
        found.proxy = Err("muon-proxy: forbidden".to_owned());
        found.store =
            there(json!({"metadata": {"name": "x"}, "spec": {"selector": {}, "serviceName": "x", "template": {}}}));
        found.volume = there(json!({"metadata": {"name": "x"}, "status": {"phase": "Pending"}}));
        found.lease = there(
            json!({"metadata": {"name": "x"}, "spec": {"holderIdentity": "gone", "renewTime": "2026-11-23T11:00:00.000000Z"}}),
        );
        if let Ok(environments) = &mut found.environments {
            let mut broken = environments[0].clone();
            broken.metadata.name = Some("ruby".to_owned());
            broken.status.as_mut().unwrap().conditions[0].status = "False".to_owned();
            broken.status.as_mut().unwrap().conditions[0].message = "the image cannot be pulled".to_owned();
            environments.push(broken);
        }
        golden::check("doctor/not-well.txt", &told(&found));
    }
}

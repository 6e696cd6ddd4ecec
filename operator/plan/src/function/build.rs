//! The objects of a Function.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use muon_crds::wire::LoadRequest;
use muon_crds::words::{self, State};
use muon_crds::{Package, PackageSpec, names};

use super::{Resolved, Resources, Valid};
use crate::meta::{self, Component, Owner};
use crate::pod::{self, OwnPod};

/// Value of the label `muon.dev/mode`.
const OWN: &str = "deployment";

/// All that a Function asks for, with the size that [`super::scale`] decided. `sign` makes the token of a load
/// order for the Function's own pods: no pod and no end in it, and the same token for the same order every time.
pub fn build(valid: &Valid, replicas: i32, sign: impl Fn(&Owner, &Resolved) -> String) -> Resources {
    let resolved = valid.resolved.as_ref().ok();
    let own = resolved.and_then(|resolved| Some((resolved, resolved.own.as_ref()?)));
    Resources {
        service: service(valid),
        package: package(valid),
        deployment: own.map(|(resolved, pod)| deployment(valid, resolved, pod, replicas, sign(&valid.owner, resolved))),
    }
}

/// The name inside the cluster: an alias of the namespace's names Service, so that an idle function costs one object.
fn service(valid: &Valid) -> Service {
    let name = &valid.owner.name;
    Service {
        metadata: meta::child(&valid.owner, name, Component::Function, function_label(name)),
        spec: Some(ServiceSpec {
            type_: Some("ExternalName".to_owned()),
            external_name: Some(valid.target.clone()),
            // Not for DNS, but Ingress controllers read it.
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: 80,
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn package(valid: &Valid) -> Option<Package> {
    let (environment, source) = valid.inline.as_ref()?;
    let name = names::inline_package(&valid.owner.name);
    let spec = PackageSpec { environment: environment.clone(), source: source.clone(), build: None };
    let mut package = Package::new(&name, spec);
    package.metadata = meta::child(&valid.owner, &name, Component::Function, function_label(&valid.owner.name));
    Some(package)
}

fn function_label(name: &str) -> BTreeMap<String, String> {
    meta::labels([(words::FUNCTION, name)])
}

fn deployment(valid: &Valid, resolved: &Resolved, own: &OwnPod, replicas: i32, order: String) -> Deployment {
    let owner = &valid.owner;
    let serving = &resolved.serving;
    // Without the state: a draining pod is still one of the Deployment's, or it would be replaced at once.
    let selector = meta::labels([
        (words::FUNCTION, owner.name.as_str()),
        (words::REVISION, &serving.revision),
        (words::MODE, OWN),
    ]);
    let mut labels = meta::recommended(Component::Function, &owner.name);
    labels.extend(selector.clone());
    labels.extend(meta::labels([
        (words::ENVIRONMENT, serving.environment.as_str()),
        (words::STATE, State::Claimed.as_str()),
    ]));
    let load = LoadRequest {
        order,
        store: resolved.store.clone(),
        entrypoint: serving.entrypoint.clone(),
        function: owner.name.clone(),
        namespace: owner.namespace.clone(),
        timeout_ms: resolved.load_timeout_ms,
        // Kubelet sets them.
        env: Vec::new(),
        trace: None,
    };
    let mut template = pod::own(own, labels, &load);
    if let Some(annotations) = template.metadata.as_mut().and_then(|meta| meta.annotations.as_mut()) {
        annotations.insert(words::FUNCTION_UID.to_owned(), owner.uid.clone());
    }
    let mut own_labels = selector.clone();
    own_labels.insert(words::ENVIRONMENT.to_owned(), serving.environment.clone());
    let name = names::own_deployment(&owner.name, &serving.revision);
    Deployment {
        metadata: meta::child(owner, &name, Component::Function, own_labels),
        spec: Some(DeploymentSpec {
            replicas: Some(replicas),
            revision_history_limit: Some(0),
            selector: LabelSelector { match_labels: Some(selector), match_expressions: None },
            // A new revision is a new Deployment. Within one, only a new agent rolls, and never below what is there.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

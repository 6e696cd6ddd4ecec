//! The Ingress of an HTTPTrigger.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};
use muon_crds::names;
use muon_crds::words::GATEWAY_SERVICE;

use super::{IngressPlan, Resources, Valid};
use crate::meta::{self, Component};

/// Name of the gateway's port behind which only triggers with an Ingress answer.
const INGRESS_PORT: &str = "ingress";

/// All that an HTTPTrigger asks for.
pub fn build(valid: &Valid) -> Resources {
    Resources { ingress: valid.ingress.as_ref().map(|plan| ingress(valid, plan)) }
}

fn ingress(valid: &Valid, plan: &IngressPlan) -> Ingress {
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: GATEWAY_SERVICE.to_owned(),
            port: Some(ServiceBackendPort { name: Some(INGRESS_PORT.to_owned()), number: None }),
        }),
        resource: None,
    };
    let path = HTTPIngressPath { path: Some(plan.path.clone()), path_type: plan.path_type.to_owned(), backend };
    let tls = plan.tls.as_ref().map(|secret| {
        vec![IngressTLS { hosts: plan.host.clone().map(|host| vec![host]), secret_name: secret.clone() }]
    });
    let mut metadata =
        meta::child(&valid.owner, &names::ingress(&valid.owner.name), Component::Gateway, BTreeMap::new());
    metadata.annotations = (!plan.annotations.is_empty()).then(|| plan.annotations.clone());
    Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: Some(plan.class.clone()),
            rules: Some(vec![IngressRule {
                host: plan.host.clone(),
                http: Some(HTTPIngressRuleValue { paths: vec![path] }),
            }]),
            tls,
            default_backend: None,
        }),
        status: None,
    }
}

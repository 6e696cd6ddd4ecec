//! What leads requests of a namespace to the proxies: a Service without a selector each for routes and for names,
//! and EndpointSlices with the proxies' addresses.
//!
//! | Service | there when the namespace has | ports → proxy |
//! | --- | --- | --- |
//! | `muon-gateway` | an HTTPTrigger | `http` 80 → 8080, `ingress` 8080 → 8081 |
//! | `muon-functions` | a Function | `http` 80 → 8082 |
//!
//! The slices stay right while the operator is down, as long as the proxies stay the same.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ObjectReference, Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use muon_crds::words::{FUNCTIONS_SERVICE, GATEWAY_SERVICE, GROUP, PORT_FUNCTIONS, PORT_GATEWAY, PORT_INGRESS};
use serde::{Deserialize, Serialize};

use crate::meta::{self, Component, Owner};

/// What a namespace has.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Observed {
    /// The namespace.
    pub namespace: String,
    /// It has an HTTPTrigger.
    pub triggers: bool,
    /// It has a Function.
    pub functions: bool,
}

/// A proxy's pod.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Proxy {
    /// Name of the pod.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// Its addresses; those that are none are left out.
    pub ips: Vec<String>,
    /// The node that it runs on.
    pub node: Option<String>,
    /// Condition `Ready` is `True`.
    pub ready: bool,
    /// It is on its way out.
    pub terminating: bool,
}

/// The Services of a namespace. None: one of ours that is there goes (its slices with it).
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// `muon-gateway`.
    pub gateway: Option<Service>,
    /// `muon-functions`.
    pub functions: Option<Service>,
}

/// The ports of the two Services: name, Service port, proxy port.
const GATEWAY_PORTS: &[(&str, i32, u16)] = &[("http", 80, PORT_GATEWAY), ("ingress", 8080, PORT_INGRESS)];
const FUNCTIONS_PORTS: &[(&str, i32, u16)] = &[("http", 80, PORT_FUNCTIONS)];

/// The Services that a namespace is to have. They have no owner but the label `managed-by`.
pub fn services(observed: &Observed) -> Resources {
    let of = |wanted: bool, name, ports| wanted.then(|| service(&observed.namespace, name, ports));
    Resources {
        gateway: of(observed.triggers, GATEWAY_SERVICE, GATEWAY_PORTS),
        functions: of(observed.functions, FUNCTIONS_SERVICE, FUNCTIONS_PORTS),
    }
}

fn service(namespace: &str, name: &str, ports: &[(&str, i32, u16)]) -> Service {
    let port = |&(name, port, target): &(&str, i32, u16)| ServicePort {
        name: Some(name.to_owned()),
        port,
        target_port: Some(IntOrString::Int(i32::from(target))),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    };
    Service {
        metadata: meta::of_namespace(namespace, name, Component::Gateway),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            ports: Some(ports.iter().map(port).collect()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// The slices of one of the two Services, as applied (they are owned by it): one per family of addresses, at most
/// [`MAX_ENDPOINTS`] proxies in each. A proxy on its way out stays in as `terminating`, so that its connections
/// end by themselves.
pub fn slices(service: &Service, proxies: &[Proxy]) -> Vec<EndpointSlice> {
    let mut families: BTreeMap<&'static str, Vec<Endpoint>> = BTreeMap::new();
    // Always there, so that a Service without proxies says so rather than keep addresses of the past.
    families.insert("IPv4", Vec::new());
    for proxy in proxies {
        for (family, address) in proxy.ips.iter().filter_map(|ip| family(ip)) {
            families.entry(family).or_default().push(endpoint(proxy, address));
        }
    }
    families
        .into_iter()
        .map(|(family, mut endpoints)| {
            endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
            endpoints.truncate(MAX_ENDPOINTS);
            slice(service, family, endpoints)
        })
        .collect()
}

/// What an EndpointSlice holds at most.
pub const MAX_ENDPOINTS: usize = 1000;

fn family(ip: &str) -> Option<(&'static str, String)> {
    let address: IpAddr = ip.parse().ok()?;
    Some((if address.is_ipv4() { "IPv4" } else { "IPv6" }, address.to_string()))
}

fn endpoint(proxy: &Proxy, address: String) -> Endpoint {
    Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(proxy.ready && !proxy.terminating),
            serving: Some(proxy.ready),
            terminating: Some(proxy.terminating),
        }),
        node_name: proxy.node.clone(),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            name: Some(proxy.name.clone()),
            namespace: Some(proxy.namespace.clone()),
            uid: Some(proxy.uid.clone()),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

fn slice(service: &Service, family: &str, endpoints: Vec<Endpoint>) -> EndpointSlice {
    let owner = Owner::of(service);
    let own = meta::labels([
        ("kubernetes.io/service-name", owner.name.as_str()),
        // Keeps the cluster's own controllers away from it.
        ("endpointslice.kubernetes.io/managed-by", GROUP),
    ]);
    let ports = if owner.name == GATEWAY_SERVICE { GATEWAY_PORTS } else { FUNCTIONS_PORTS };
    let port = |&(name, _, target): &(&str, i32, u16)| EndpointPort {
        name: Some(name.to_owned()),
        port: Some(i32::from(target)),
        protocol: Some("TCP".to_owned()),
        app_protocol: None,
    };
    EndpointSlice {
        metadata: meta::child(&owner, &format!("{}-{}", owner.name, family.to_lowercase()), Component::Gateway, own),
        address_type: family.to_owned(),
        endpoints,
        ports: Some(ports.iter().map(port).collect()),
    }
}

#[cfg(test)]
mod tests;

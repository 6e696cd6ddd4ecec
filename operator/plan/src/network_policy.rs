//! Who may speak to function pods, where the cluster's network enforces it: the proxies, and nobody else.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use muon_crds::words;

use crate::meta::{self, Component};

/// Name of the policy in every namespace that has an Environment.
pub const NAME: &str = "muon-functions";

/// Label of namespaces whose pods may read the agents' metrics.
const METRICS: (&str, &str) = ("muon.dev/metrics", "allowed");

/// The policy of one namespace: function pods take requests from the proxies of `muon_namespace`; the agents' metrics
/// may be read from namespaces labelled for it. Kubelet's probes come from the node and are not subject to policies.
pub fn network_policy(namespace: &str, muon_namespace: &str) -> NetworkPolicy {
    let labels = |pairs: &[(&str, &str)]| LabelSelector {
        match_labels: Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
        ..LabelSelector::default()
    };
    let proxies = NetworkPolicyPeer {
        namespace_selector: Some(labels(&[("kubernetes.io/metadata.name", muon_namespace)])),
        pod_selector: Some(labels(&[(words::APP_COMPONENT, "proxy"), (words::APP_PART_OF, words::MUON)])),
        ..NetworkPolicyPeer::default()
    };
    let metrics = NetworkPolicyPeer { namespace_selector: Some(labels(&[METRICS])), ..NetworkPolicyPeer::default() };
    let agent = NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(words::PORT_AGENT))),
        protocol: Some("TCP".into()),
        ..NetworkPolicyPort::default()
    };
    NetworkPolicy {
        metadata: meta::of_namespace(namespace, NAME, Component::Gateway),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_expressions: Some(vec![LabelSelectorRequirement {
                    key: words::ENVIRONMENT.into(),
                    operator: "Exists".into(),
                    values: None,
                }]),
                ..LabelSelector::default()
            }),
            policy_types: Some(vec!["Ingress".into()]),
            ingress: Some(vec![
                NetworkPolicyIngressRule { from: Some(vec![proxies]), ports: None },
                NetworkPolicyIngressRule { from: Some(vec![metrics]), ports: Some(vec![agent]) },
            ]),
            ..NetworkPolicySpec::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proxies_reach_the_runtime() {
        let policy = network_policy("shop", "muon-system").spec.unwrap();
        let rules = policy.ingress.unwrap();
        let open: Vec<_> = rules.iter().filter(|rule| rule.ports.is_none()).collect();
        assert_eq!(open.len(), 1, "one rule leaves all ports open");
        let from = open[0].from.as_ref().unwrap();
        assert_eq!(from.len(), 1);
        assert!(from[0].namespace_selector.is_some() && from[0].pod_selector.is_some(), "namespace and pod, both");
    }
}

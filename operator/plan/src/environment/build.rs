//! The objects of an Environment.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicySpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use muon_crds::words::{self, State};

use super::{Resources, Valid};
use crate::meta::{self, Component};

/// All that an Environment asks for, with the size that [`super::pool_size`] decided.
pub fn build(valid: &Valid, replicas: i32) -> Resources {
    Resources {
        pool: pool(valid, replicas),
        network_policy: network_policy(valid),
        build_policy: valid.builds.then(|| build_policy(valid)),
        disruption_budget: (valid.min >= 2).then(|| disruption_budget(valid)),
    }
}

/// Labels of a generic pod as it is born.
pub(super) fn pod_labels(environment: &str, template_hash: &str) -> BTreeMap<String, String> {
    let mut labels = meta::recommended(Component::Pool, environment);
    labels.extend(meta::labels([
        (words::ENVIRONMENT, environment),
        (words::STATE, State::Free.as_str()),
        (words::POOL, template_hash),
    ]));
    labels
}

fn pool(valid: &Valid, replicas: i32) -> Deployment {
    let environment = &valid.owner.name;
    let own = meta::labels([(words::ENVIRONMENT, environment), (words::POOL, &valid.template_hash)]);
    // A claim takes a pod out of the ReplicaSet by its state alone. Retiring pods stay in: the ReplicaSet is to
    // delete them when it shrinks, and they must not be replaced before.
    let state = LabelSelectorRequirement {
        key: words::STATE.to_owned(),
        operator: "In".to_owned(),
        values: Some([State::Free, State::Reserved, State::Retiring].map(|state| state.as_str().to_owned()).to_vec()),
    };
    Deployment {
        metadata: meta::child(&valid.owner, &valid.pool, Component::Pool, own.clone()),
        spec: Some(DeploymentSpec {
            replicas: Some(replicas),
            // The template of this Deployment never changes: another one is another Deployment.
            revision_history_limit: Some(0),
            selector: LabelSelector { match_labels: Some(own), match_expressions: Some(vec![state]) },
            template: valid.template.clone(),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// Requests come from proxies; kubelet's probes are let through by every implementation.
fn network_policy(valid: &Valid) -> NetworkPolicy {
    let select = |labels| LabelSelector { match_labels: Some(labels), match_expressions: None };
    let proxies = NetworkPolicyPeer {
        namespace_selector: Some(select(meta::labels([("kubernetes.io/metadata.name", &valid.system)]))),
        pod_selector: Some(select(meta::labels([(words::APP_COMPONENT, "proxy"), (words::APP_PART_OF, words::MUON)]))),
        ip_block: None,
    };
    let environment = &valid.owner.name;
    NetworkPolicy {
        metadata: meta::child(&valid.owner, &format!("{environment}-pods"), Component::Pool, BTreeMap::new()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(select(meta::labels([(words::ENVIRONMENT, environment)]))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule { from: Some(vec![proxies]), ports: None }]),
            egress: None,
        }),
    }
}

/// Name of the policy of an Environment's builds.
pub fn build_policy_name(environment: &str) -> String {
    format!("{environment}-builds")
}

/// Builds serve nobody.
fn build_policy(valid: &Valid) -> NetworkPolicy {
    let environment = &valid.owner.name;
    let name = build_policy_name(environment);
    let builds = meta::labels([(words::BUILDER, environment.as_str())]);
    NetworkPolicy {
        metadata: meta::child(&valid.owner, &name, Component::Build, BTreeMap::new()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector { match_labels: Some(builds), match_expressions: None }),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// Emptying a node leaves half of the free pods for cold requests. Claimed pods have no budget on purpose: most
/// functions have one pod, a budget would keep its node from ever being emptied, and a proxy replaces a pod that
/// went within milliseconds. A pool of one would block a node as well, so it has none either.
fn disruption_budget(valid: &Valid) -> PodDisruptionBudget {
    let environment = &valid.owner.name;
    let free = meta::labels([(words::ENVIRONMENT, environment.as_str()), (words::STATE, State::Free.as_str())]);
    PodDisruptionBudget {
        metadata: meta::child(&valid.owner, &format!("{environment}-pool"), Component::Pool, BTreeMap::new()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::String("50%".to_owned())),
            selector: Some(LabelSelector { match_labels: Some(free), match_expressions: None }),
            // Pods that never become ready must not hold a node.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

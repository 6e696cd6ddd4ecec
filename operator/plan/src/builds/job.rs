//! The Job of a build. Its pod passes Pod Security `restricted`, has no token, and holds orders only where the builder,
//! which runs what others wrote, cannot read them.

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    ConfigMapEnvSource, ConfigMapVolumeSource, Container, EnvFromSource, EnvVar, LocalObjectReference, PodSpec,
    PodTemplateSpec, ResourceRequirements, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use muon_crds::words;

use super::{BUILD, FETCH, UPLOAD, Valid};
use crate::meta::{self, Component};
use crate::pod::{mount, quantities, scratch, security, variable};

/// Where all three see the packages.
const PACKAGES: &str = "/packages";
const SOURCE: &str = "/packages/source";
const DEPLOY: &str = "/packages/deploy";
/// Where the builder finds the registries' files, and the end of the name of the ConfigMap that holds them: one of its own,
/// for a variable takes no certificates by the hundred.
const REGISTRIES: &str = "/etc/muon/registries";
const FILES: &str = "-files";
/// Source, result, and what lies beside them; and what the builder's tools keep.
const PACKAGES_SIZE: &str = "2Gi";
const TMP_SIZE: &str = "4Gi";
/// A pod that failed for a reason outside of the build is replaced this often; a node's going does not count.
const RETRIES: i32 = 3;

/// The Job. `order` is a signed `Order::Build`.
pub fn job(valid: &Valid, order: &str) -> Job {
    let own = meta::labels([(words::BUILDER, valid.environment.as_str())]);
    let mut metadata = meta::child(&valid.owner, &valid.job, Component::Build, own);
    metadata.annotations = Some(meta::labels([(words::BUILD_KEY, valid.key.as_str())]));
    let labels = metadata.labels.clone();
    Job {
        metadata,
        spec: Some(JobSpec {
            active_deadline_seconds: Some(valid.deadline),
            backoff_limit: Some(RETRIES),
            pod_failure_policy: Some(PodFailurePolicy { rules: rules() }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels, ..ObjectMeta::default() }),
                spec: Some(pod(valid, order)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// A node that goes is nobody's fault. The agent's steps say with their exit code whether trying again can help; a builder
/// that fails would fail again.
fn rules() -> Vec<PodFailurePolicyRule> {
    let disrupted = PodFailurePolicyRule {
        action: "Ignore".to_owned(),
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
            type_: "DisruptionTarget".to_owned(),
            status: "True".to_owned(),
        }]),
        ..PodFailurePolicyRule::default()
    };
    let passing = [FETCH, UPLOAD].map(|name| (name, "In", "Count", words::EXIT_TRY_AGAIN));
    let last = [FETCH, BUILD, UPLOAD].map(|name| (name, "NotIn", "FailJob", 0));
    let by_code = passing.into_iter().chain(last).map(|(name, operator, action, code)| PodFailurePolicyRule {
        action: action.to_owned(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(name.to_owned()),
            operator: operator.to_owned(),
            values: vec![code],
        }),
        ..PodFailurePolicyRule::default()
    });
    std::iter::once(disrupted).chain(by_code).collect()
}

fn pod(valid: &Valid, order: &str) -> PodSpec {
    let pull = |name: &String| LocalObjectReference { name: name.clone() };
    let registries = valid.registries.as_ref().map(|name| Volume {
        name: "registries".to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: format!("{name}{FILES}"),
            optional: Some(true),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    });
    let scratch = [scratch("packages", PACKAGES_SIZE), scratch("tmp", TMP_SIZE)];
    PodSpec {
        init_containers: Some(vec![agent(valid, FETCH, order), builder(valid)]),
        containers: vec![agent(valid, UPLOAD, order)],
        volumes: Some(scratch.into_iter().chain(registries).collect()),
        restart_policy: Some("Never".to_owned()),
        security_context: Some(security::pod()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        // A build that is not wanted any more is to go.
        termination_grace_period_seconds: Some(5),
        image_pull_secrets: (!valid.pull_secrets.is_empty()).then(|| valid.pull_secrets.iter().map(pull).collect()),
        ..PodSpec::default()
    }
}

/// The agent in one of its two steps; `name` is also its mode.
fn agent(valid: &Valid, name: &str, order: &str) -> Container {
    let env = [
        ("MUON_MODE", name),
        ("MUON_STORE", valid.store.as_str()),
        ("MUON_ORDER", order),
        ("MUON_SOURCE", valid.source.as_str()),
        ("MUON_BUILD_KEY", valid.key.as_str()),
        ("SRC_PKG", SOURCE),
        ("DEPLOY_PKG", DEPLOY),
    ];
    Container {
        name: name.to_owned(),
        image: Some(valid.agent_image.clone()),
        image_pull_policy: Some(valid.pull_policy.clone()),
        env: Some(env.iter().map(|(name, value)| variable(name, value)).collect()),
        resources: Some(ResourceRequirements {
            requests: Some(quantities([("cpu", "20m"), ("memory", "32Mi")])),
            // The result's archive is made in memory, and has a bound.
            limits: Some(quantities([("memory", "256Mi")])),
            ..ResourceRequirements::default()
        }),
        security_context: Some(security::container(true)),
        volume_mounts: Some(vec![mount("packages", PACKAGES, false)]),
        ..Container::default()
    }
}

fn builder(valid: &Valid) -> Container {
    let ours = [("SRC_PKG", SOURCE), ("DEPLOY_PKG", DEPLOY), ("HOME", "/tmp"), ("TMPDIR", "/tmp")];
    let env: Vec<EnvVar> = ours.iter().map(|(name, value)| variable(name, value)).collect();
    let mut mounts: Vec<VolumeMount> = vec![mount("packages", PACKAGES, false), mount("tmp", "/tmp", false)];
    mounts.extend(valid.registries.as_ref().map(|_| mount("registries", REGISTRIES, true)));
    let registries = valid.registries.as_ref().map(|name| {
        let config_map_ref = Some(ConfigMapEnvSource { name: name.clone(), optional: Some(true) });
        vec![EnvFromSource { config_map_ref, ..EnvFromSource::default() }]
    });
    Container {
        name: BUILD.to_owned(),
        image: Some(valid.image.clone()),
        image_pull_policy: Some(valid.pull_policy.clone()),
        command: Some(valid.command.clone()),
        working_dir: Some(SOURCE.to_owned()),
        env: Some(env),
        env_from: registries,
        resources: Some(valid.resources.clone()),
        // Any builder must run, so its own files stay writable.
        security_context: Some(security::container(false)),
        // The end of its log is then in the pod's status, where it can be read without a right to logs.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_faults_of_the_cluster_are_tried_again() {
        let first = |container: &str, code: i32| {
            let matches = |rule: &PodFailurePolicyRule| {
                rule.on_exit_codes.as_ref().is_some_and(|codes| {
                    let named = codes.container_name.as_deref() == Some(container);
                    named && (codes.operator == "In") == codes.values.contains(&code)
                })
            };
            rules().into_iter().find(matches).map(|rule| rule.action)
        };
        assert_eq!(first(FETCH, words::EXIT_TRY_AGAIN).as_deref(), Some("Count"));
        assert_eq!(first(UPLOAD, words::EXIT_TRY_AGAIN).as_deref(), Some("Count"));
        for (container, code) in [(FETCH, 1), (UPLOAD, 1), (BUILD, 1), (BUILD, 137), (BUILD, words::EXIT_TRY_AGAIN)] {
            assert_eq!(first(container, code).as_deref(), Some("FailJob"), "{container} {code}");
        }
        assert_eq!(rules()[0].action, "Ignore");
    }
}

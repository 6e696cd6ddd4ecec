//! The one builder of pod templates: generic pods of a pool, and pods of a function's own Deployment.
//!
//! ```text
//!   pod ├─ agent    fetches, verifies, unpacks, loads, drains
//!       │    rw /userfunc   rw /userfunc/code   rw /var/lib/muon-agent
//!       └─ runtime  (the Environment's image)   runs the code
//!            rw /userfunc   ro /userfunc/code   rw /tmp   + the function's env and volumes, in its own pods
//! ```
//! In a pool the agent is a native sidecar: it starts first and is told to end last. Nobody waits for such a pod to start. For a
//! pod of a function's own somebody does, and kubelet makes what follows an init container (a native sidecar is one) only at its
//! next look, up to a second later: there both are plain containers, made in one go, and the agent sees to it by itself that it
//! outlives the runtime. Every template passes Pod Security `restricted`.

pub(crate) mod security;
mod values;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction, Lifecycle, LifecycleHandler,
    LocalObjectReference, ObjectFieldSelector, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use muon_crds::EnvironmentSpec;
use muon_crds::wire::LoadRequest;
use muon_crds::words::{AGENT_DIR, CODE_DIR, ENV_AT_LOAD, PORT_AGENT, RUNTIME_PORT, USER_DIR};

use crate::settings::Settings;
pub use values::{BadValue, Values, values};

/// Name of the container that runs the function.
pub const RUNTIME: &str = "runtime";
/// Name of the sidecar.
pub const AGENT: &str = "agent";

const TMP_DIR: &str = "/tmp";
/// Bounds of the writable volumes, above the agent's own: it fetches at most 64 MiB and unpacks less than this. A
/// function's scratch space has an end too.
const CODE_SIZE: &str = "1Gi";
const USER_SIZE: &str = "1Gi";
const TMP_SIZE: &str = "1Gi";
const AGENT_SIZE: &str = "128Mi";
/// Between the end of what the runtime may take to finish its requests and the kill.
const GRACE_MARGIN: i64 = 5;

/// What every pod of an Environment is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    /// Image of the runtime.
    pub image: String,
    /// Port on which it listens.
    pub port: i32,
    /// Resources of the runtime container.
    pub resources: ResourceRequirements,
    /// Seconds between the request to go and the kill.
    pub grace: i64,
    /// Secrets for pulling the images.
    pub pull_secrets: Vec<String>,
    /// Image of the agent.
    pub agent_image: String,
    /// `imagePullPolicy` of both.
    pub pull_policy: String,
    /// Public half of the order key.
    pub public_key: String,
    /// The runtime takes variables with the load.
    pub env_at_load: bool,
}

impl Base {
    /// For an Environment, with checked resources.
    pub fn of(environment: &EnvironmentSpec, resources: ResourceRequirements, settings: &Settings) -> Self {
        Self {
            image: environment.runtime.image.clone(),
            port: environment.runtime.port,
            resources,
            grace: environment.termination_grace_period_seconds,
            pull_secrets: environment.image_pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
            agent_image: settings.agent_image.clone(),
            pull_policy: settings.image_pull_policy.clone(),
            public_key: settings.public_key.clone(),
            env_at_load: environment.runtime.env_at_load,
        }
    }
}

/// A pod of a function's own.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnPod {
    /// What its Environment gives.
    pub base: Base,
    /// What the function asks for beside it.
    pub values: Values,
}

/// The template of a generic pod.
pub fn generic(base: &Base, labels: BTreeMap<String, String>) -> PodTemplateSpec {
    let sidecar = Container { restart_policy: Some("Always".to_owned()), ..agent(base, mode("pool", None)) };
    let values = Values::default();
    let mut template = template(base, labels, &values, Some(vec![sidecar]), vec![runtime(base, &values)]);
    let annotations = template.metadata.as_mut().and_then(|meta| meta.annotations.as_mut());
    if let Some(annotations) = annotations.filter(|_| base.env_at_load) {
        annotations.insert(ENV_AT_LOAD.to_owned(), true.to_string());
    }
    template
}

/// The template of a function's own pod, which loads the code at start. `load` carries an order without an end.
pub fn own(own: &OwnPod, labels: BTreeMap<String, String>, load: &LoadRequest) -> PodTemplateSpec {
    let OwnPod { base, values } = own;
    // kubelet starts them one after the other: the runtime has the longer way.
    let containers = vec![runtime(base, values), agent(base, mode("deployment", Some(load)))];
    template(base, labels, values, None, containers)
}

/// What tells the agent how it is to begin.
fn mode(mode: &str, load: Option<&LoadRequest>) -> Vec<EnvVar> {
    // Text and numbers only: serialising cannot fail.
    let load = load.map(|load| variable("MUON_LOAD", &serde_json::to_string(load).unwrap_or_default()));
    std::iter::once(variable("MUON_MODE", mode)).chain(load).collect()
}

fn template(
    base: &Base,
    labels: BTreeMap<String, String>,
    values: &Values,
    init_containers: Option<Vec<Container>>,
    containers: Vec<Container>,
) -> PodTemplateSpec {
    let pull = |name: &String| LocalObjectReference { name: name.clone() };
    let ours = [("userfunc", USER_SIZE), ("code", CODE_SIZE), ("agent", AGENT_SIZE), ("tmp", TMP_SIZE)];
    let volumes = ours.into_iter().map(|(name, size)| scratch(name, size)).chain(values.volumes.iter().cloned());
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(crate::meta::labels([(RUNTIME_PORT, base.port.to_string().as_str())])),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            init_containers,
            containers,
            volumes: Some(volumes.collect()),
            security_context: Some(security::pod()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(base.grace),
            image_pull_secrets: (!base.pull_secrets.is_empty()).then(|| base.pull_secrets.iter().map(pull).collect()),
            ..PodSpec::default()
        }),
    }
}

fn agent(base: &Base, begin: Vec<EnvVar>) -> Container {
    let pod_uid = EnvVar {
        name: "MUON_POD_UID".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { field_path: "metadata.uid".to_owned(), api_version: None }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    let mut env = vec![
        variable("MUON_PUBLIC_KEY", &base.public_key),
        pod_uid,
        variable("MUON_RUNTIME_PORT", &base.port.to_string()),
    ];
    env.extend(begin);
    Container {
        name: AGENT.to_owned(),
        image: Some(base.agent_image.clone()),
        image_pull_policy: Some(base.pull_policy.clone()),
        env: Some(env),
        ports: Some(vec![port("agent", i32::from(PORT_AGENT))]),
        // It speaks for the runtime as well: ready means that a request can be sent, or code be loaded.
        readiness_probe: Some(Probe { period_seconds: Some(1), failure_threshold: Some(2), ..probe("/readyz") }),
        // Its own life only: a busy runtime is not a dead one. It would stay for the runtime's sake, so it is killed soon.
        liveness_probe: Some(Probe {
            period_seconds: Some(10),
            failure_threshold: Some(3),
            termination_grace_period_seconds: Some(1),
            ..probe("/healthz")
        }),
        resources: Some(ResourceRequirements {
            requests: Some(quantities([("cpu", "5m"), ("memory", "8Mi")])),
            limits: Some(quantities([("memory", "64Mi")])),
            ..ResourceRequirements::default()
        }),
        security_context: Some(security::container(true)),
        volume_mounts: Some(vec![
            mount("userfunc", USER_DIR, false),
            mount("code", CODE_DIR, false),
            mount("agent", AGENT_DIR, false),
        ]),
        ..Container::default()
    }
}

fn runtime(base: &Base, values: &Values) -> Container {
    let ours = runtime_variables(base.port, base.grace);
    let mut env: Vec<EnvVar> = ours.iter().map(|(name, value)| variable(name, value)).collect();
    // The user's own word about one of them wins.
    env.retain(|ours| values.env.iter().all(|theirs| theirs.name != ours.name));
    env.extend(values.env.iter().cloned());
    let mut mounts = vec![mount("userfunc", USER_DIR, false), mount("code", CODE_DIR, true)];
    if values.mounts.iter().all(|theirs| theirs.mount_path.trim_end_matches('/') != TMP_DIR) {
        mounts.push(mount("tmp", TMP_DIR, false));
    }
    mounts.extend(values.mounts.iter().cloned());
    Container {
        name: RUNTIME.to_owned(),
        image: Some(base.image.clone()),
        image_pull_policy: Some(base.pull_policy.clone()),
        env: Some(env),
        ports: Some(vec![port("http", base.port)]),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler { http_get: Some(get("/drain")), ..LifecycleHandler::default() }),
            ..Lifecycle::default()
        }),
        resources: Some(base.resources.clone()),
        // Any image that speaks the contract must run, so its own files stay writable.
        security_context: Some(security::container(false)),
        // The end of a crash's output is then in the pod's status.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// What every runtime is told, in generic pods and in others.
pub fn runtime_variables(port: i32, grace: i64) -> [(&'static str, String); 2] {
    [("MUON_PORT", port.to_string()), ("MUON_GRACE_SECONDS", (grace - GRACE_MARGIN).max(1).to_string())]
}

pub(crate) fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort { name: Some(name.to_owned()), container_port: number, ..ContainerPort::default() }
}

fn get(path: &str) -> HTTPGetAction {
    HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::Int(i32::from(PORT_AGENT)),
        ..HTTPGetAction::default()
    }
}

fn probe(path: &str) -> Probe {
    Probe { http_get: Some(get(path)), timeout_seconds: Some(2), ..Probe::default() }
}

pub(crate) fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

pub(crate) fn scratch(name: &str, size: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { size_limit: Some(Quantity(size.to_owned())), medium: None }),
        ..Volume::default()
    }
}

pub(crate) fn quantities<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, Quantity> {
    pairs.into_iter().map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).collect()
}

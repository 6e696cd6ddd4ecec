//! What of a Pod a proxy needs to know.

use std::net::IpAddr;

use k8s_openapi::api::core::v1;
use kube::ResourceExt as _;
use muon_crds::pods;
use muon_crds::wire::Reserved;
use muon_crds::words::{self, State};

/// A pod of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its UID.
    pub uid: Box<str>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its address, once it has one.
    pub ip: Option<IpAddr>,
    /// Port of its runtime.
    pub port: u16,
    /// It takes variables with the load.
    pub takes_env: bool,
    /// Its Environment.
    pub environment: Box<str>,
    /// The pool that made it: the hash of its template.
    pub pool: Option<Box<str>>,
    /// Its state label; none: absent or unknown, so it is left alone.
    pub state: Option<State>,
    /// By whom it is set aside, and until when. A pod that has been taken out of a reservation keeps this, though its
    /// state is `Claimed` here already, until its claim is made.
    pub reserved: Option<Reserved>,
    /// The function it serves, by name.
    pub function: Option<Box<str>>,
    /// The UID of that Function, where the pod says it.
    pub function_uid: Option<Box<str>>,
    /// The revision it serves.
    pub revision: Option<Box<str>>,
    /// It belongs to a function's own Deployment.
    pub own: bool,
    /// Kubernetes holds it ready.
    pub ready: bool,
    /// Since when, in seconds since the epoch.
    pub ready_since: Option<i64>,
    /// It has a deletionTimestamp.
    pub deleting: bool,
    /// Its resourceVersion.
    pub version: u64,
}

impl Pod {
    /// From the object; none when it is no pod of ours.
    pub fn of(pod: &v1::Pod) -> Option<Self> {
        let labels = pod.labels();
        let text = |key: &str| labels.get(key).map(|value| Box::from(value.as_str()));
        let annotation = |key: &str| pod.annotations().get(key);
        let status = pod.status.as_ref();
        let ready = pods::ready_condition(pod);
        Some(Self {
            uid: pod.uid()?.into(),
            namespace: pod.namespace()?.into(),
            name: pod.name_any().into(),
            ip: status.and_then(|status| status.pod_ip.as_deref()).and_then(|ip| ip.parse().ok()),
            port: annotation(words::RUNTIME_PORT).and_then(|port| port.parse().ok()).unwrap_or(words::PORT_RUNTIME),
            takes_env: annotation(words::ENV_AT_LOAD).is_some_and(|word| word == "true"),
            environment: text(words::ENVIRONMENT)?,
            pool: text(words::POOL),
            reserved: (labels.get(words::STATE).map(String::as_str) == Some(State::Reserved.as_str())).then(|| {
                Reserved {
                    by: text(words::RESERVED_BY).unwrap_or_default(),
                    // One that cannot be read is over.
                    until: labels.get(words::RESERVED_UNTIL).and_then(|until| until.parse().ok()).unwrap_or(0),
                }
            }),
            state: labels.get(words::STATE).and_then(|state| State::parse(state)),
            function: text(words::FUNCTION),
            function_uid: annotation(words::FUNCTION_UID).map(|uid| uid.as_str().into()),
            revision: text(words::REVISION),
            own: labels.get(words::MODE).is_some_and(|mode| mode == "deployment"),
            ready: ready.is_some(),
            ready_since: ready
                .and_then(|condition| condition.last_transition_time.as_ref())
                .map(|time| time.0.as_second()),
            deleting: pod.metadata.deletion_timestamp.is_some(),
            version: crate::resource_version(pod.resource_version().as_deref()),
        })
    }

    /// It may be claimed.
    pub fn is_free(&self) -> bool {
        self.state == Some(State::Free) && self.function.is_none() && self.is_up()
    }

    /// It may be given requests, once it is loaded.
    pub fn is_serving(&self) -> bool {
        self.state == Some(State::Claimed) && self.is_up()
    }

    /// It counts as one of its function's pods, whether or not it may be given requests now.
    pub fn is_claimed(&self) -> bool {
        self.state == Some(State::Claimed) && !self.deleting
    }

    /// Its pool's ReplicaSet counts it, and it is not to go: free, or set aside.
    pub fn is_in_pool(&self) -> bool {
        !self.deleting && (self.state == Some(State::Free) || self.reserved.is_some())
    }

    /// It is ready and stays.
    pub fn is_up(&self) -> bool {
        self.ready && !self.deleting && self.ip.is_some()
    }

    /// `name.namespace` of the function it serves.
    pub fn function_key(&self) -> Option<String> {
        self.function.as_ref().map(|name| crate::function::key(name, &self.namespace))
    }
}

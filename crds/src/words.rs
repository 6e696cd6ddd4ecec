//! Labels, annotations, ports and field managers: each word is written once, here.

/// API group of the four resources.
pub const GROUP: &str = "muon.dev";
/// API version of the four resources.
pub const VERSION: &str = "v1alpha1";

/// Label, on every pod of ours: the Environment it runs.
pub const ENVIRONMENT: &str = "muon.dev/environment";
/// Label, on every pod of ours: where it stands in its life, a [`State`].
pub const STATE: &str = "muon.dev/state";
/// Label, on claimed pods and on an own Deployment's pods: the Function's name.
pub const FUNCTION: &str = "muon.dev/function";
/// Label, on claimed pods and on an own Deployment's pods: the [revision](crate::Serving::revision).
pub const REVISION: &str = "muon.dev/revision";
/// Label, on pool pods: the hash of the pool's template (a changed template is a new Deployment).
pub const POOL: &str = "muon.dev/pool";
/// Label, on an own Deployment's pods and on the Deployment: `deployment`; pool pods carry none.
pub const MODE: &str = "muon.dev/mode";
/// Label, on a reserved pod: name of the proxy's pod that set it aside.
pub const RESERVED_BY: &str = "muon.dev/reserved-by";
/// Label, on a reserved pod: until when, in seconds since the epoch. Whoever changes the pod tests it, so that no late
/// request of an earlier reservation gets through.
pub const RESERVED_UNTIL: &str = "muon.dev/reserved-until";
/// Annotation of Kubernetes, on a pod: the lowest goes first when its ReplicaSet shrinks.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Annotation, on a Function: its share among the functions a selector selects, 0–1000, default 100.
pub const WEIGHT: &str = "muon.dev/weight";
/// On a Secret: the only host that its login may be sent to, `host` or `host:port`.
pub const HOST: &str = "muon.dev/host";
/// Annotation, on a pod: the port its runtime listens on.
pub const RUNTIME_PORT: &str = "muon.dev/runtime-port";
/// Annotation, on a pool's pods: `true` where runtime and agent take variables with the load.
pub const ENV_AT_LOAD: &str = "muon.dev/env-at-load";
/// Annotation, on a claimed pod: the UID of the Function that claimed it.
pub const FUNCTION_UID: &str = "muon.dev/function-uid";
/// Label, on a build's Job and pod: the Environment whose builder it is. They carry no [`ENVIRONMENT`]: they serve nobody.
pub const BUILDER: &str = "muon.dev/builder";
/// Annotation, on a build's Job: `sha256:…` of all that decides its result.
pub const BUILD_KEY: &str = "muon.dev/build-key";
/// Annotation, on objects that we apply: hash of what was applied, so that an unchanged object is not written.
pub const APPLIED: &str = "muon.dev/applied";

/// `app.kubernetes.io/managed-by` of every object we make.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MUON: &str = "muon";
/// `app.kubernetes.io/name`.
pub const APP_NAME: &str = "app.kubernetes.io/name";
/// `app.kubernetes.io/instance`.
pub const APP_INSTANCE: &str = "app.kubernetes.io/instance";
/// `app.kubernetes.io/component`: `pool`, `function`, `build`, `gateway`, and `operator`, `proxy`, `store` of the install.
pub const APP_COMPONENT: &str = "app.kubernetes.io/component";
/// `app.kubernetes.io/part-of`.
pub const APP_PART_OF: &str = "app.kubernetes.io/part-of";

/// Exit code of a build's step that could do nothing for a reason outside of the build: it is worth another try.
pub const EXIT_TRY_AGAIN: i32 = 75;

/// Port of a runtime, unless its Environment says otherwise.
pub const PORT_RUNTIME: u16 = 8888;
/// Port of the agent in every function pod: `/v1/load`, `/readyz`, `/healthz`, `/drain`, `/metrics`.
pub const PORT_AGENT: u16 = 8889;
/// Proxy: in-cluster routes, all HTTPTriggers (Service `muon-gateway`, port `http`, 80).
pub const PORT_GATEWAY: u16 = 8080;
/// Proxy: routes of HTTPTriggers that ask for an Ingress (Service `muon-gateway`, port `ingress`, 8080).
pub const PORT_INGRESS: u16 = 8081;
/// Proxy: functions by name, `http://hello.<namespace>` (Service `muon-functions`, port `http`, 80).
pub const PORT_FUNCTIONS: u16 = 8082;
/// Proxy: what proxies and the operator say to each other (`/v1/pod`, `/v1/activity`), signed.
pub const PORT_PEER: u16 = 8083;
/// Every part but the agent: `/metrics`, `/healthz`, `/readyz`.
pub const PORT_ADMIN: u16 = 9090;
/// Store: blobs by digest.
pub const PORT_STORE: u16 = 8080;

/// Service and EndpointSlice of a namespace through which Ingresses and clients reach its routes.
pub const GATEWAY_SERVICE: &str = "muon-gateway";
/// Service and EndpointSlice of a namespace that every Function's ExternalName points at.
pub const FUNCTIONS_SERVICE: &str = "muon-functions";
/// Name of the Secret (key `seed`, 32 bytes) and of the ConfigMap (key `public`, base64) in Muon's own namespace.
pub const ORDER_KEY: &str = "muon-order-key";

/// Directory in a function pod that belongs to the runtime: foreign ones leave notes there, and those of the first
/// contract look in it for their code.
pub const USER_DIR: &str = "/userfunc";
/// Directory of the unpacked package, inside that one; the runtime mounts it read-only.
pub const CODE_DIR: &str = "/userfunc/code";
/// Directory where the agent keeps the order it accepted; the runtime does not mount it.
pub const AGENT_DIR: &str = "/var/lib/muon-agent";

/// Field managers of server-side apply, one per controller.
pub mod manager {
    /// Environment reconciler.
    pub const ENVIRONMENT: &str = "muon.dev/environment";
    /// Package reconciler.
    pub const PACKAGE: &str = "muon.dev/package";
    /// Function reconciler.
    pub const FUNCTION: &str = "muon.dev/function";
    /// HTTPTrigger reconciler.
    pub const HTTP_TRIGGER: &str = "muon.dev/httptrigger";
    /// Gateway Services and EndpointSlices of the namespaces.
    pub const GATEWAY: &str = "muon.dev/gateway";
    /// Idling and draining of pods.
    pub const SCALE: &str = "muon.dev/scale";
    /// Claims made by proxies.
    pub const CLAIM: &str = "muon.dev/claim";
    /// Reservations made by proxies.
    pub const RESERVE: &str = "muon.dev/reserve";
}

/// Headers between proxy, runtime and client. Inbound headers that start with `muon-` are stripped.
pub mod header {
    /// Minted, or kept from the client when it is 1–128 visible ASCII characters; sent on and answered.
    pub const REQUEST_ID: &str = "x-request-id";
    /// Prefix of one header per path parameter, e.g. `muon-path-param-id`.
    pub const PATH_PARAM: &str = "muon-path-param-";
    /// To the function: its name.
    pub const FUNCTION: &str = "muon-function";
    /// To the function: its namespace.
    pub const NAMESPACE: &str = "muon-namespace";
    /// In a reply: `cold` or `warm`.
    pub const START: &str = "muon-start";
    /// Between our own parts: a signed order.
    pub const ORDER: &str = "muon-order";
    /// `2` on a request that is sent a second time, and on its answer.
    pub const ATTEMPT: &str = "muon-attempt";
}

/// Where a pod of ours stands in its life: the value of the label [`STATE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Runtime up, no code loaded, may be claimed.
    Free,
    /// Set aside by one proxy until a time.
    Reserved,
    /// Serves one function.
    Claimed,
    /// Serves what it has in flight and no more; will be deleted.
    Draining,
    /// A free pod chosen to go when its pool shrinks; may not be claimed.
    Retiring,
}

impl State {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Reserved => "reserved",
            Self::Claimed => "claimed",
            Self::Draining => "draining",
            Self::Retiring => "retiring",
        }
    }

    /// Reads the label's value.
    pub fn parse(value: &str) -> Option<Self> {
        [Self::Free, Self::Reserved, Self::Claimed, Self::Draining, Self::Retiring]
            .into_iter()
            .find(|state| state.as_str() == value)
    }
}

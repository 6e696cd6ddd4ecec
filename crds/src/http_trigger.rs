//! HTTPTrigger: a route to functions.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;

/// A route: host, path and methods, to a function by name or to functions by their labels.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[kube(
    group = "muon.dev",
    version = "v1alpha1",
    kind = "HTTPTrigger",
    plural = "httptriggers",
    namespaced,
    status = "HTTPTriggerStatus",
    derive = "PartialEq",
    shortname = "ht",
    category = "muon",
    doc = "A route: host, path and methods, to a function by name or to functions by their labels.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Methods", type_ = "string", json_path = ".spec.methods"),
    printcolumn(name = "Function", type_ = "string", json_path = ".spec.function.name"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = "1"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.path) != has(self.pathPrefix)").message("spec: set exactly one of path and pathPrefix"))]
pub struct HTTPTriggerSpec {
    /// Host name of the route, or `*.` and a domain; absent: any host (through an Ingress) or the namespace's gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub host: Option<String>,
    /// Exact path, or a pattern with parameters, `/users/{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = r"^/(([A-Za-z0-9._~!$&'()*+,;=:@%-]|\{[A-Za-z_][A-Za-z0-9_]*\})+/?)*$")
    )]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("path: must begin with '/'"))]
    #[x_kube(validation = Rule::new("!self.contains('//') && !self.split('/').exists(p, p == '..' || p == '.')").message("path: must not contain '//', '.' or '..' segments"))]
    #[x_kube(validation = Rule::new("!self.matches('[{][^/]*[{]')").message("path: at most one parameter in a segment"))]
    #[x_kube(validation = Rule::new("!self.matches('[^/][{]|[}][^/]')").message("path: a parameter is a whole segment: /users/{id}, not /users/x-{id}"))]
    #[x_kube(validation = Rule::new("self.split('{').all(p, self.indexOf('{' + p.split('}')[0] + '}') == self.lastIndexOf('{' + p.split('}')[0] + '}'))").message("path: parameters must have different names"))]
    pub path: Option<String>,
    /// All paths below this one; must begin and end with `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = r"^/(([A-Za-z0-9._~!$&'()*+,;=:@%-]|\{[A-Za-z_][A-Za-z0-9_]*\})+/?)*$")
    )]
    #[x_kube(validation = Rule::new("self.startsWith('/') && self.endsWith('/')").message("pathPrefix: must begin and end with '/'"))]
    #[x_kube(validation = Rule::new("!self.contains('//') && !self.split('/').exists(p, p == '..' || p == '.')").message("pathPrefix: must not contain '//', '.' or '..' segments"))]
    #[x_kube(validation = Rule::new("!self.matches('[{][^/]*[{]')").message("pathPrefix: at most one parameter in a segment"))]
    #[x_kube(validation = Rule::new("!self.matches('[^/][{]|[}][^/]')").message("pathPrefix: a parameter is a whole segment: /users/{id}, not /users/x-{id}"))]
    #[x_kube(validation = Rule::new("self.split('{').all(p, self.indexOf('{' + p.split('}')[0] + '}') == self.lastIndexOf('{' + p.split('}')[0] + '}'))").message("pathPrefix: parameters must have different names"))]
    pub path_prefix: Option<String>,
    /// Methods that it answers; absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub methods: Vec<Method>,
    /// The function, or the functions.
    pub function: FunctionRef,
    /// Present: a request may be sent to the function twice. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Present: an Ingress is made; absent: the route is inside the cluster only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
}

/// An HTTP method.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
    Connect,
}

impl Method {
    /// The method as it stands in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
        }
    }
}

/// The function, by name, or functions, by labels. Always in the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.name) != has(self.selector)").message("function: set exactly one of name and selector"))]
pub struct FunctionRef {
    /// Name of the Function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: Option<String>,
    /// Labels of the Functions; traffic is shared by their `muon.dev/weight` annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
}

/// Selects Functions by their labels; all requirements must hold.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)").message("selector: must not be empty (it would select every function)"))]
pub struct Selector {
    /// Labels that must be there with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements on labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(r, r.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist'])").message("matchExpressions: operator must be In, NotIn, Exists or DoesNotExist"))]
    #[x_kube(validation = Rule::new("self.all(r, (r.operator in ['In', 'NotIn']) == (has(r.values) && r.values.size() > 0))").message("matchExpressions: values go with In and NotIn, and only with them"))]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// What may be sent to the function twice: a request without a body, when the connection to its pod broke before an
/// answer began. It goes to another pod, once, with the same `x-request-id` and with `muon-attempt: 2`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Methods; absent: those that HTTP calls idempotent, GET, HEAD, PUT, DELETE, OPTIONS and TRACE.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub methods: Vec<Method>,
}

impl Retry {
    /// The methods that may be sent twice.
    pub fn methods(&self) -> &[Method] {
        const IDEMPOTENT: &[Method] =
            &[Method::Get, Method::Head, Method::Put, Method::Delete, Method::Options, Method::Trace];
        if self.methods.is_empty() { IDEMPOTENT } else { &self.methods }
    }
}

/// The Ingress that is made for a trigger. What is not asked for here is the Ingress controller's default.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// The IngressClass; absent: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Annotations for the Ingress controller.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Terminate TLS for the trigger's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<IngressTls>,
}

/// TLS of an Ingress.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressTls {
    /// Secret with the certificate; absent: the controller's default certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
}

/// What is known of an HTTPTrigger.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HTTPTriggerStatus {
    /// The generation of the spec that this status was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Accepted, Resolved, IngressReady, and while they apply Reconciling and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Where it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The functions it leads to, with their shares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Share>,
}

/// One function of a route and its share.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// Name of the Function.
    pub name: String,
    /// Its weight; shares are in proportion to it.
    pub weight: i32,
}

//! Manifests as people write them: several YAML documents in a file, and what to do with them.

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, Request, Status};
use kube::{Api, Client, Resource as _, ResourceExt as _, discovery};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The documents of a YAML text, with the comment lines that stand before each.
pub fn documents(text: &str) -> Vec<Document> {
    text.split("\n---\n")
        .map(|part| Document {
            comments: part
                .lines()
                .take_while(|line| line.starts_with('#') || line.is_empty())
                .filter_map(|line| line.strip_prefix("# "))
                .map(str::to_owned)
                .collect(),
            text: part.to_owned(),
        })
        .filter(|document| !matches!(document.value(), Value::Null))
        .collect()
}

/// One YAML document.
pub struct Document {
    /// Its leading comment lines, without the sign.
    pub comments: Vec<String>,
    text: String,
}

impl Document {
    /// What follows `key: ` in a leading comment.
    pub fn comment(&self, key: &str) -> Option<&str> {
        self.comments.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    }

    /// The document as plain data.
    pub fn value(&self) -> Value {
        serde_yaml::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in:\n{}", self.text))
    }

    /// The document as an object of any kind.
    pub fn object(&self) -> DynamicObject {
        parse(self.value())
    }
}

/// Reads an object out of plain data.
pub fn parse<K: DeserializeOwned>(value: Value) -> K {
    let text = value.to_string();
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// Access to the objects of this object's kind in a namespace (its own, where it names one).
pub async fn api(client: &Client, namespace: &str, object: &DynamicObject) -> Api<DynamicObject> {
    let (resource, namespace) = place(client, namespace, object).await;
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Applies an object as `kubectl apply --server-side` does, refusing unknown fields. An error is the server's message.
pub async fn apply(client: &Client, namespace: &str, object: &DynamicObject) -> Result<DynamicObject, String> {
    let how = PatchParams::apply("e2e").force().validation_strict();
    let api = api(client, namespace, object).await;
    api.patch(&object.name_any(), &how, &Patch::Apply(object)).await.map_err(message)
}

/// Asks what the first `kubectl apply` of an object would give, and changes nothing.
pub async fn dry_run(client: &Client, namespace: &str, object: &DynamicObject) -> Result<DynamicObject, String> {
    let (resource, namespace) = place(client, namespace, object).await;
    let body = serde_json::to_vec(object).expect("an object is JSON");
    let how = PostParams { dry_run: true, ..PostParams::default() };
    let path = DynamicObject::url_path(&resource, namespace.as_deref());
    let mut request = Request::new(path).create(&how, body).expect("a complete request");
    // kubectl asks for this, kube's parameters cannot.
    *request.uri_mut() = format!("{}&fieldValidation=Strict", request.uri()).parse().expect("an address with a query");
    client.request(request).await.map_err(message)
}

/// Patches an object by RFC 6902, every operation or none. The error is the server's status.
pub async fn json_patch(client: &Client, path: &str, operations: &Value) -> Result<DynamicObject, Box<Status>> {
    let body = serde_json::to_vec(operations).expect("it is JSON");
    let request = http::Request::patch(path)
        .header("content-type", "application/json-patch+json")
        .body(body)
        .expect("a complete request");
    client.request(request).await.map_err(|error| match error {
        kube::Error::Api(status) => status,
        other => panic!("the API server did not answer: {other}"),
    })
}

async fn place(client: &Client, namespace: &str, object: &DynamicObject) -> (ApiResource, Option<String>) {
    let kind = GroupVersionKind::try_from(object.types.as_ref().expect("a manifest names its kind"))
        .expect("a group and a version");
    let (resource, capabilities) = discovery::pinned_kind(client, &kind).await.expect("the API server knows the kind");
    let namespaced = capabilities.scope == discovery::Scope::Namespaced;
    (resource, namespaced.then(|| object.namespace().unwrap_or_else(|| namespace.to_owned())))
}

fn message(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message,
        other => panic!("the API server did not answer: {other}"),
    }
}

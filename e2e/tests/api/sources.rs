//! Sources that are fetched with a login: the operator reads no Secret that it was not given.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use muon_crds::{ConditionType, Package, names};
use muon_e2e::control_plane::ControlPlane;
use muon_e2e::manifest::parse;
use muon_e2e::space::says;
use serde_json::json;

use crate::installation::{environment, own_address, serve, space};

const LAYER: &[u8] = b"the layer, which nobody looks into here";

/// One artifact, for whoever is robot with the password secret.
#[derive(Clone)]
struct Registry {
    manifest: String,
}

async fn give(
    State(registry): State<Registry>,
    Path((_, digest)): Path<(String, String)>,
    head: HeaderMap,
) -> Response {
    // base64 of robot:secret
    let known = head.get("authorization").is_some_and(|value| value == "Basic cm9ib3Q6c2VjcmV0");
    match digest {
        _ if !known => (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"x\"")]).into_response(),
        digest if digest == names::digest(LAYER) => LAYER.into_response(),
        _ => registry.manifest.into_response(),
    }
}

#[tokio::test]
async fn api_a_pull_secret_is_read_once_the_user_gives_the_right_to() {
    let space = space("sources-oci");
    environment(&space).await;
    let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": names::digest(LAYER), "size": LAYER.len()});
    let registry = Registry { manifest: json!({"schemaVersion": 2, "layers": [layer]}).to_string() };
    let digest = names::digest(registry.manifest.as_bytes());
    let router = Router::new().route("/v2/team/code/{kind}/{digest}", get(give)).with_state(registry);
    let port = serve(own_address(), router).await;
    let host = format!("{}:{port}", own_address());

    let config = json!({"auths": {host.as_str(): {"username": "robot", "password": "secret"}}}).to_string();
    let secret: Secret = parse(json!({
        "metadata": {"name": "registry"}, "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": config},
    }));
    space.api::<Secret>().create(&PostParams::default(), &secret).await.expect("a Secret of the user's");
    let oci = json!({"image": format!("{host}/team/code@{digest}"), "pullSecret": "registry"});
    space
        .apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Package", "metadata": {"name": "code"},
            "spec": {"environment": "python", "source": {"oci": oci}},
        }))
        .await;
    let told = space
        .has::<Package>("code", "SecretForbidden", |it| {
            says(it, ConditionType::Stored).is_some_and(|found| found.reason == "SecretForbidden")
        })
        .await;
    let message = says(&told, ConditionType::Stored).expect("it is there").message.clone();
    // What it says is to be done, word for word.
    let (_, commands) = message.split_once("kubectl ").expect("what to do");
    for command in commands.split(" && kubectl ") {
        ControlPlane::shared().kubectl_ok(&command.split(' ').collect::<Vec<_>>(), "");
    }
    let status = space.ready::<Package>("code").await.status.expect("a status");
    assert_eq!(status.digest, Some(names::digest(LAYER)));
    let origin = status.origin.expect("where it came from");
    assert!(origin.of.starts_with("oci ") && origin.digest == names::digest(LAYER), "{origin:?}");
}

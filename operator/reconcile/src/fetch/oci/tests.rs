use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::*;
use crate::fetch::Rules;
use crate::fetch::servers::{Canary, fetcher, serve};

const TAR: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const PLAIN: &str = "application/octet-stream";

/// A registry with one repository, `team/code`, that wants a token if it has a realm.
#[derive(Clone, Default)]
struct Shelf {
    blobs: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    challenge: Arc<Mutex<Option<String>>>,
    elsewhere: Arc<Mutex<Option<String>>>,
}

impl Shelf {
    fn put(&self, content: &[u8]) -> String {
        let digest = names::digest(content);
        self.blobs.lock().unwrap().insert(digest.clone(), content.to_vec());
        digest
    }

    fn layer(&self, media_type: &str, content: &[u8], title: &str) -> Value {
        let annotations = if title.is_empty() { json!({}) } else { json!({"org.opencontainers.image.title": title}) };
        json!({"mediaType": media_type, "digest": self.put(content), "size": content.len(), "annotations": annotations})
    }

    fn manifest(&self, layers: &[Value]) -> String {
        self.put(json!({"schemaVersion": 2, "config": {}, "layers": layers}).to_string().as_bytes())
    }

    async fn serve(&self) -> String {
        let router = Router::new()
            .route("/v2/team/code/{kind}/{digest}", get(give))
            .route("/token", get(token))
            .with_state(self.clone());
        serve(router).await.to_string()
    }
}

async fn give(State(shelf): State<Shelf>, Path((_, digest)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let challenge = shelf.challenge.lock().unwrap().clone();
    if let Some(challenge) = challenge
        && authorization.as_deref() != Some("Bearer good")
    {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
    }
    if let Some(elsewhere) = shelf.elsewhere.lock().unwrap().as_deref() {
        return Redirect::temporary(elsewhere).into_response();
    }
    let blob = shelf.blobs.lock().unwrap().get(&digest).cloned();
    blob.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |blob| blob.into_response())
}

async fn token(Query(asked): Query<HashMap<String, String>>, headers: HeaderMap) -> Response {
    let basic = format!("Basic {}", STANDARD.encode("robot:secret"));
    let known = headers.get("authorization").is_some_and(|value| value.to_str().unwrap() == basic);
    let asked_right = asked["scope"] == "repository:team/code:pull" && asked["service"] == "shelf";
    match known && asked_right {
        true => axum::Json(json!({"access_token": "good"})).into_response(),
        false => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// A fetcher that may speak to servers on loopback, in plain HTTP.
fn open() -> Fetcher {
    let open = fetcher(1 << 20, &["127.0.0.1"]);
    Fetcher { rules: Arc::new(Rules { plain: vec!["127.0.0.1".to_owned()], ..open.rules.as_ref().clone() }), ..open }
}

async fn fetch(registry: &str, digest: &str) -> Result<Bytes, FetchError> {
    open().oci(&format!("{registry}/team/code@{digest}"), &[]).await
}

type Entry<'a> = (&'a str, EntryType, &'a str);
use tar::EntryType;

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        match kind {
            EntryType::Regular => {
                header.set_size(content.len() as u64);
                archive.append_data(&mut header, name, content.as_bytes()).unwrap();
            }
            EntryType::Symlink | EntryType::Link => {
                header.set_size(0);
                archive.append_link(&mut header, name, content).unwrap();
            }
            _ => {
                header.set_size(0);
                archive.append_data(&mut header, name, std::io::empty()).unwrap();
            }
        }
    }
    archive.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn files(archive: &[u8]) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(archive);
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        (name, text)
    };
    archive.entries().unwrap().map(read).collect()
}

fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn one_layer_that_is_an_archive_is_the_package_as_it_is() {
    let shelf = Shelf::default();
    let layer = gzip(&tar(&[("main.py", EntryType::Regular, "x")]));
    let digest = shelf.manifest(&[shelf.layer(TAR, &layer, "")]);
    assert_eq!(fetch(&shelf.serve().await, &digest).await.unwrap(), layer);
}

#[tokio::test]
async fn files_of_an_artifact_become_one_archive() {
    let shelf = Shelf::default();
    let layers = [shelf.layer(PLAIN, b"two", "lib/b.py"), shelf.layer(PLAIN, b"one", "main.py")];
    let digest = shelf.manifest(&layers);
    let archive = fetch(&shelf.serve().await, &digest).await.unwrap();
    assert_eq!(files(&archive), owned(&[("lib/b.py", "two"), ("main.py", "one")]));
}

#[tokio::test]
async fn later_layers_lie_over_earlier_ones_with_what_they_remove() {
    let shelf = Shelf::default();
    use EntryType::{Directory, Link, Regular, Symlink};
    let below = tar(&[
        ("./a", Regular, "old"),
        ("gone", Regular, "x"),
        ("dir/", Directory, ""),
        ("dir/one", Regular, "1"),
        ("kept/two", Regular, "2"),
        ("twin", Link, "a"),
    ]);
    let above = tar(&[
        (".wh.gone", Regular, ""),
        ("dir/.wh..wh..opq", Regular, ""),
        ("dir/three", Regular, "3"),
        ("a", Regular, "new"),
        ("link", Symlink, "kept/two"),
    ]);
    let layers =
        [shelf.layer(TAR, &gzip(&below), ""), shelf.layer("application/vnd.oci.image.layer.v1.tar", &above, "")];
    let digest = shelf.manifest(&layers);
    let archive = fetch(&shelf.serve().await, &digest).await.unwrap();
    let wanted = [("a", "new"), ("dir/three", "3"), ("kept/two", "2"), ("link", "2"), ("twin", "old")];
    assert_eq!(files(&archive), owned(&wanted));
}

#[tokio::test]
async fn hostile_layers_are_refused() {
    use EntryType::{Char, Regular, Symlink};
    for (name, kind, content) in [
        ("a/../../b", Regular, "x"),
        ("device", Char, ""),
        ("out", Symlink, "../../etc/passwd"),
        ("absolute", Symlink, "/etc/passwd"),
    ] {
        let shelf = Shelf::default();
        // The writer would refuse the first of them as well.
        let layer = match name.contains("..") {
            true => {
                String::from_utf8(tar(&[("a/XX/XX/b", kind, content)])).unwrap().replace("a/XX/XX/b", name).into_bytes()
            }
            false => tar(&[(name, kind, content)]),
        };
        let layer = fixed(layer);
        let layers = [shelf.layer(PLAIN, b"x", "file"), shelf.layer(TAR, &layer, "")];
        let digest = shelf.manifest(&layers);
        let error = fetch(&shelf.serve().await, &digest).await.unwrap_err();
        assert_eq!(error.reason(), "SourceInvalid", "{name}: {error}");
    }
    let shelf = Shelf::default();
    let bomb = gzip(&tar(&[("zeros", Regular, &"0".repeat(3 << 20))]));
    let digest = shelf.manifest(&[shelf.layer(PLAIN, b"x", "file"), shelf.layer(TAR, &bomb, "")]);
    let error = fetch(&shelf.serve().await, &digest).await.unwrap_err();
    assert!(matches!(error, FetchError::Tree(_)) && error.to_string().contains("524288"), "{error}");
}

/// With the checksum of what its first header says now.
fn fixed(mut archive: Vec<u8>) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&archive[..512]);
    header.set_cksum();
    archive[..512].copy_from_slice(header.as_bytes());
    archive
}

#[tokio::test]
async fn what_is_not_what_its_digest_says_is_refused() {
    let shelf = Shelf::default();
    let layer = shelf.layer(TAR, b"layer", "");
    let digest = shelf.manifest(std::slice::from_ref(&layer));
    let registry = shelf.serve().await;
    let of_layer = layer["digest"].as_str().unwrap().to_owned();
    shelf.blobs.lock().unwrap().insert(of_layer, b"other".to_vec());
    assert!(matches!(fetch(&registry, &digest).await.unwrap_err(), FetchError::Digest { .. }));
    shelf.blobs.lock().unwrap().insert(digest.clone(), b"{}".to_vec());
    assert!(matches!(fetch(&registry, &digest).await.unwrap_err(), FetchError::Digest { .. }));
    let large = json!({"mediaType": TAR, "digest": names::digest(b""), "size": 1u64 << 40});
    let large = shelf.manifest(&[large]);
    assert!(matches!(fetch(&registry, &large).await.unwrap_err(), FetchError::TooLarge { .. }));
    let none = shelf.manifest(&[]);
    assert_eq!(fetch(&registry, &none).await.unwrap_err().reason(), "SourceInvalid");
}

#[tokio::test]
async fn of_an_index_the_manifest_for_our_nodes_is_taken() {
    let shelf = Shelf::default();
    let manifest = shelf.manifest(&[shelf.layer(TAR, b"ours", "")]);
    let other = shelf.manifest(&[shelf.layer(TAR, b"theirs", "")]);
    let entry = |digest: &str, os: &str, architecture: &str| json!({"mediaType": "m", "digest": digest, "size": 1, "platform": {"os": os, "architecture": architecture}});
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let index = |entries: Vec<Value>| shelf.put(json!({"manifests": entries}).to_string().as_bytes());
    let ours = index(vec![entry(&other, "windows", arch), entry(&manifest, "linux", arch)]);
    let theirs = index(vec![entry(&other, "linux", "s390x"), entry(&other, "windows", arch)]);
    let registry = shelf.serve().await;
    assert_eq!(fetch(&registry, &ours).await.unwrap(), "ours");
    assert!(fetch(&registry, &theirs).await.unwrap_err().to_string().contains("no manifest for linux"));
}

#[tokio::test]
async fn a_pull_secret_opens_the_registry_that_it_is_for() {
    let shelf = Shelf::default();
    let digest = shelf.manifest(&[shelf.layer(TAR, b"private", "")]);
    let registry = shelf.serve().await;
    let challenge = format!("Bearer realm=\"http://{registry}/token\",service=\"shelf\",scope=\"anything\"");
    *shelf.challenge.lock().unwrap() = Some(challenge);
    let image = format!("{registry}/team/code@{digest}");
    let secret = |host: &str| {
        let config = json!({"auths": {host: {"auth": STANDARD.encode("robot:secret")}}}).to_string();
        logins(config.as_bytes()).unwrap()
    };
    assert_eq!(open().oci(&image, &secret(&registry)).await.unwrap(), "private");
    for logins in [Vec::new(), secret("registry.example.com")] {
        let error = open().oci(&image, &logins).await.unwrap_err();
        assert!(matches!(error, FetchError::Credentials { .. }) && error.to_string().contains("login"), "{error}");
    }
    assert!(!format!("{:?}", secret(&registry)).contains("secret"));
    assert!(logins(b"no json").is_none());
}

#[tokio::test]
async fn a_registry_sends_nobody_to_where_nothing_is_fetched_from() {
    let canary = Canary::new().await;
    let shelf = Shelf::default();
    let digest = shelf.manifest(&[shelf.layer(TAR, b"x", "")]);
    let registry = shelf.serve().await;
    // Only that very registry may lie inside: not where it sends us.
    let mut only = open();
    only.rules = Arc::new(Rules { internal: vec![registry.clone()], ..only.rules.as_ref().clone() });
    let image = format!("{registry}/team/code@{digest}");
    for realm in [format!("http://{}/token", canary.address), "http://169.254.169.254/token".to_owned()] {
        *shelf.challenge.lock().unwrap() = Some(format!("Bearer realm=\"{realm}\",service=\"shelf\""));
        let error = only.oci(&image, &[]).await.unwrap_err();
        assert!(matches!(error, FetchError::Address { .. } | FetchError::Host { .. }), "{error}");
    }
    *shelf.challenge.lock().unwrap() = None;
    *shelf.elsewhere.lock().unwrap() = Some(format!("http://{}/blob", canary.address));
    let error = only.oci(&image, &[]).await.unwrap_err();
    assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
    canary.is_untouched().await;
}

#[test]
fn references_name_their_registry() {
    let digest = names::digest(b"");
    for good in
        ["registry.example.com/a/b-c.d@", "localhost:5000/a@", "r.example.com:5000/a/b:tag@", "10.0.0.1:5000/a@"]
    {
        assert!(Reference::parse(&format!("{good}{digest}")).is_ok(), "{good}");
    }
    for bad in
        ["code@", "team/code@", "r.example.com/../x@", "r.example.com/A@", "r.example.com//a@", "r.example.com/a?b@"]
    {
        assert!(Reference::parse(&format!("{bad}{digest}")).is_err(), "{bad}");
    }
    assert!(Reference::parse("r.example.com/a:latest").is_err());
}

//! An OCI artifact or image, by digest: the registry's manifest, then its layers.
//!
//! One layer that is an archive is the package as it is. Of several, or of plain files as `oras push` makes them, one
//! archive is made: later layers over earlier ones, with what they remove.

mod auth;
mod layer;

use bytes::Bytes;
use muon_crds::names;
use reqwest::header::{ACCEPT, HeaderValue};
use serde::Deserialize;

use super::guard::body;
use super::tree::Tree;
use super::{FetchError, Fetcher, Session};
use auth::Access;
pub use auth::{Login, logins};

/// A manifest has at most this many bytes.
const MAX_MANIFEST: u64 = 4 << 20;
const MAX_LAYERS: usize = 64;
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// `host[:port]/name@sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Host and port of the registry, as written.
    pub registry: String,
    name: String,
    digest: String,
}

impl Reference {
    /// Reads it. The registry must be named: there is no default one.
    pub fn parse(text: &str) -> Result<Self, FetchError> {
        let bad = || {
            FetchError::Reference(format!(
                "{text} is not of the form registry.example.com/name@sha256:…, registry included"
            ))
        };
        let (whole, digest) = text.split_once('@').ok_or_else(bad)?;
        let (registry, name) = whole.split_once('/').ok_or_else(bad)?;
        let is_host = registry.contains(['.', ':']) || registry == "localhost";
        // A tag beside the digest says nothing.
        let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
        let part = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let bytes = part.as_bytes();
            bytes.first().copied().is_some_and(plain)
                && bytes.last().copied().is_some_and(plain)
                && bytes.iter().all(|&byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
        };
        let fine = is_host && names::is_digest(digest) && name.split('/').all(part);
        let (registry, name, digest) = (registry.to_owned(), name.to_owned(), digest.to_owned());
        fine.then_some(Self { registry, name, digest }).ok_or_else(bad)
    }
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// What a manifest says of a blob.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize, Clone, Debug)]
struct Platform {
    architecture: String,
    os: String,
}

/// Fetches what the reference names, as one archive.
pub(super) async fn fetch(fetcher: &Fetcher, image: &str, logins: &[Login]) -> Result<Bytes, FetchError> {
    let session = fetcher.session()?;
    let reference = Reference::parse(image)?;
    let login = logins.iter().find(|login| login.registry == reference.registry);
    let mut registry = Registry::new(&session, &reference, login)?;
    let mut manifest = registry.manifest(&reference.digest).await?;
    if !manifest.manifests.is_empty() {
        let chosen = choose(&manifest.manifests)?;
        manifest = registry.manifest(&chosen).await?;
    }
    let layers = manifest.layers;
    if layers.is_empty() || layers.len() > MAX_LAYERS {
        return Err(FetchError::Content(format!(
            "the manifest has {} layers: between 1 and {MAX_LAYERS} are taken",
            layers.len()
        )));
    }
    match layers.as_slice() {
        [only] if layer::is_archive(&only.media_type) => registry.blob(only, fetcher.max_bytes).await,
        several => {
            let mut tree = Tree::new(fetcher.tree_bytes());
            for descriptor in several {
                let content = registry.blob(descriptor, fetcher.tree_bytes()).await?;
                tree = layer::lay(tree, descriptor.clone(), content).await?;
            }
            Ok(tree.archive()?)
        }
    }
}

/// Of an index: the only manifest, or the one for what nodes like ours run.
fn choose(manifests: &[Descriptor]) -> Result<String, FetchError> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let runs = |descriptor: &&Descriptor| {
        descriptor.platform.as_ref().is_some_and(|it| it.os == "linux" && it.architecture == architecture)
    };
    match manifests {
        [only] => Ok(only.digest.clone()),
        several => several.iter().find(runs).map(|found| found.digest.clone()).ok_or_else(|| {
            FetchError::Content(format!(
                "the index names no manifest for linux/{architecture}: give the digest of a manifest"
            ))
        }),
    }
}

/// One repository of a registry.
struct Registry<'a> {
    session: &'a Session,
    base: String,
    access: Access<'a>,
}

impl<'a> Registry<'a> {
    fn new(session: &'a Session, reference: &Reference, login: Option<&'a Login>) -> Result<Self, FetchError> {
        let (host, port) = match reference.registry.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| FetchError::Url(reference.registry.clone()))?),
            None => (reference.registry.as_str(), 443),
        };
        let scheme = session.rules().scheme_of(host, port);
        let base = format!("{scheme}://{}/v2/{}", reference.registry, reference.name);
        Ok(Self { session, base, access: Access::new(session, &reference.name, login) })
    }

    /// A manifest, which is what its digest says.
    async fn manifest(&mut self, digest: &str) -> Result<Manifest, FetchError> {
        let bytes = self.get(&format!("manifests/{digest}"), MAX_MANIFEST).await?;
        check(digest, &bytes)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| FetchError::Content(format!("the manifest cannot be read: {error}")))
    }

    async fn blob(&mut self, descriptor: &Descriptor, max: u64) -> Result<Bytes, FetchError> {
        if descriptor.size > max {
            return Err(FetchError::TooLarge { max });
        }
        if !names::is_digest(&descriptor.digest) {
            return Err(FetchError::Content("the manifest names a layer without a sha256 digest".to_owned()));
        }
        let bytes = self.get(&format!("blobs/{}", descriptor.digest), descriptor.size).await?;
        check(&descriptor.digest, &bytes).map(|()| bytes)
    }

    async fn get(&mut self, path: &str, max: u64) -> Result<Bytes, FetchError> {
        let url = self.session.rules().url(&format!("{}/{path}", self.base))?;
        let request = || self.session.get(&url).header(ACCEPT, HeaderValue::from_static(MANIFESTS));
        body(self.access.ask(&url, request).await?, max).await
    }
}

fn check(expected: &str, bytes: &[u8]) -> Result<(), FetchError> {
    let found = names::digest(bytes);
    match found == expected {
        true => Ok(()),
        false => Err(FetchError::Digest { expected: expected.to_owned(), found }),
    }
}

#[cfg(test)]
mod tests;

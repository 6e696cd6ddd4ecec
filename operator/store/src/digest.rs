//! Digests as names of blobs, and hashing that leads to one.

use muon_crds::names;
use object_store::path::Path;
use sha2::{Digest as _, Sha256};

use crate::failure::StoreError;

/// Where all blobs lie: `packages/<namespace>/<two digits>/<64 digits>`.
pub(crate) const BLOBS: &str = "packages";
/// Where it is written what builds came to: `builds/<namespace>/<64 digits of the key>`.
pub(crate) const BUILDS: &str = "builds";
/// Where those lie that were found damaged.
pub(crate) const QUARANTINE: &str = "quarantine";

/// A digest in the store's form, `sha256:` and 64 hexadecimal digits: always a safe name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        if names::is_digest(text) { Ok(Self(text.to_owned())) } else { Err(StoreError::DigestInvalid) }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A blob of a namespace. The same content of two namespaces is two blobs: neither can tell what the other has, and
/// each is counted to whom it belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The namespace: a DNS label, so always a safe name.
    pub namespace: String,
    /// The content.
    pub digest: Digest,
}

impl Name {
    /// The blob of this digest in a namespace.
    pub fn new(namespace: &str, digest: Digest) -> Result<Self, StoreError> {
        match is_label(namespace) {
            true => Ok(Self { namespace: namespace.to_owned(), digest }),
            false => Err(StoreError::NamespaceInvalid),
        }
    }

    /// Where the blob lies.
    pub(crate) fn path(&self) -> Path {
        let hex = self.digest.hex();
        Path::from_iter([BLOBS, &self.namespace, &hex[..2], hex])
    }

    /// The blob that lies there, if it is one.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let parts: Vec<_> = path.parts().collect();
        let [_, namespace, _, hex] = parts.as_slice() else { return None };
        let digest = Digest::parse(&format!("sha256:{}", hex.as_ref())).ok()?;
        let name = Self::new(namespace.as_ref(), digest).ok()?;
        (name.path() == *path).then_some(name)
    }

    /// Where it lies once it was found damaged.
    pub(crate) fn quarantine(&self) -> Path {
        Path::from_iter([QUARANTINE, &self.namespace, self.digest.hex()])
    }

    /// Where it is written what the build with this key came to.
    pub(crate) fn build(&self) -> Path {
        Path::from_iter([BUILDS, &self.namespace, self.digest.hex()])
    }

    /// The key of the build of which it is written there, if it is one.
    pub(crate) fn of_build(path: &Path) -> Option<Self> {
        let parts: Vec<_> = path.parts().collect();
        let [_, namespace, hex] = parts.as_slice() else { return None };
        let key = Self::new(namespace.as_ref(), Digest::parse(&format!("sha256:{}", hex.as_ref())).ok()?).ok()?;
        (key.build() == *path).then_some(key)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of namespace {}", self.digest, self.namespace)
    }
}

/// Whether it is a DNS label, as names of namespaces are.
fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.first().copied().is_some_and(plain)
        && bytes.last().copied().is_some_and(plain)
        && bytes.iter().all(|&byte| plain(byte) || byte == b'-')
}

/// The digest of bytes that come in pieces.
#[derive(Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(format!("sha256:{}", hex::encode(self.0.finalize())))
    }
}

/// The digest of bytes that are all there.
pub(crate) fn of(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blobs_name_is_found_again_in_its_path_and_nothing_else_is() {
        let name = Name::new("demo", of(b"x")).unwrap();
        assert_eq!(Name::at(&name.path()), Some(name.clone()));
        for other in [name.quarantine(), Path::from("probe"), Path::from("packages/demo/ab/cd"), Path::from("a/b/c/d")]
        {
            assert_eq!(Name::at(&other), None, "{other}");
        }
        assert_eq!(Name::of_build(&name.build()), Some(name.clone()));
        for other in [name.path(), name.quarantine(), Path::from("builds/demo/ab")] {
            assert_eq!(Name::of_build(&other), None, "{other}");
        }
    }

    #[test]
    fn only_names_of_namespaces_are_taken() {
        for bad in ["", ".", "..", "a/b", "A", "-a", "a-", "a.b", &"a".repeat(64)] {
            assert!(Name::new(bad, of(b"x")).is_err(), "{bad}");
        }
    }
}

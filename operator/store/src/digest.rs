//! Digests as names of blobs, and hashing that leads to one.

use muon_crds::names;
use object_store::path::Path;
use sha2::{Digest as _, Sha256};

use crate::failure::StoreError;

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

    /// Where the blob lies.
    pub(crate) fn path(&self) -> Path {
        let hex = self.hex();
        Path::from_iter(["blobs", "sha256", &hex[..2], hex])
    }

    /// Where it lies once it was found damaged.
    pub(crate) fn quarantine(&self) -> Path {
        Path::from_iter(["quarantine", self.hex()])
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

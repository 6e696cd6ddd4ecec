//! Who may do what: decided by the order in the header alone.

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use muon_crds::words::header::ORDER;
use muon_order::{Order, Verifier};

use crate::digest::{self, Digest, Name};
use crate::failure::StoreError;

/// What a call wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Read an archive.
    Read,
    /// Write an archive.
    Write,
    /// Remove an archive.
    Remove,
    /// Write down, or look up, what a build came to.
    Remember,
}

fn order(verifier: &Verifier, headers: &HeaderMap) -> Result<Order, StoreError> {
    let token = headers.get(ORDER).and_then(|token| token.to_str().ok());
    let token =
        token.ok_or_else(|| StoreError::Unauthorised(format!("a signed order is needed in the header {ORDER}")))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    verifier.check(token, now).map_err(|refused| StoreError::Unauthorised(refused.to_string()))
}

/// A blob that the order gives access to.
pub(crate) struct Granted {
    /// The blob, in the namespace of the order.
    pub(crate) name: Name,
    /// Who asks means to run it, now.
    pub(crate) loads: bool,
}

/// Checks the order for this deed on this digest. Whose blob is meant, the order says.
pub(crate) fn check(
    verifier: &Verifier,
    headers: &HeaderMap,
    deed: Deed,
    digest: &Digest,
) -> Result<Granted, StoreError> {
    let (namespace, named, loads) = match (order(verifier, headers)?, deed) {
        (Order::Put(put), _) => (put.namespace, put.digest, false),
        (Order::Load(load), Deed::Read) => (load.namespace, load.digest, true),
        (Order::Build(build), Deed::Read) => (build.namespace, build.source, false),
        // Its name is its content: no other archive can be changed.
        (Order::Build(build), Deed::Write) => (build.namespace, digest.as_str().to_owned(), false),
        (Order::Build(build), Deed::Remember) => (build.namespace, build.key, false),
        (Order::Load(_) | Order::Build(_) | Order::Peer(_) | Order::Keep(_), _) => {
            return Err(StoreError::Forbidden(digest.clone()));
        }
    };
    match named == digest.as_str() {
        true => Ok(Granted { name: Name::new(&namespace, digest.clone())?, loads }),
        false => Err(StoreError::Forbidden(digest.clone())),
    }
}

/// Checks the order to keep the store, which is bound to the body.
pub(crate) fn check_keep(verifier: &Verifier, headers: &HeaderMap, body: &[u8]) -> Result<(), StoreError> {
    match order(verifier, headers)? {
        Order::Keep(keep) if keep.body == digest::of(body).as_str() => Ok(()),
        _ => Err(StoreError::NotKeeper),
    }
}

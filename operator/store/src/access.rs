//! Who may do what: decided by the order in the header alone.

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use muon_crds::words::header::ORDER;
use muon_order::{Order, Verifier};

use crate::digest::Digest;
use crate::failure::StoreError;

/// What a call wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Read,
    Write,
}

/// Checks the order for this deed on this digest.
pub(crate) fn check(verifier: &Verifier, headers: &HeaderMap, deed: Deed, digest: &Digest) -> Result<(), StoreError> {
    let token = headers.get(ORDER).and_then(|token| token.to_str().ok());
    let token =
        token.ok_or_else(|| StoreError::Unauthorised(format!("a signed order is needed in the header {ORDER}")))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let order = verifier.check(token, now).map_err(|refused| StoreError::Unauthorised(refused.to_string()))?;
    let allowed = match (&order, deed) {
        (Order::Put(put), Deed::Read | Deed::Write) => put.digest == digest.as_str(),
        (Order::Load(load), Deed::Read) => load.digest == digest.as_str(),
        (Order::Load(_), Deed::Write) | (Order::Peer(_), _) => false,
    };
    if allowed { Ok(()) } else { Err(StoreError::Forbidden(digest.clone())) }
}

//! How a call to the store fails.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use muon_crds::wire::{Component, Executed, Failure};

use crate::digest::{Digest, Name};

/// A call that failed, or was refused.
#[derive(thiserror::Error, Debug)]
pub enum StoreError {
    /// Not a digest.
    #[error("the path names no digest: sha256: and 64 lower-case hexadecimal digits are expected")]
    DigestInvalid,
    /// Not a name of a namespace.
    #[error("the order names no namespace")]
    NamespaceInvalid,
    /// No order, or none that can be taken.
    #[error("{0}")]
    Unauthorised(String),
    /// An order for something else.
    #[error("the order does not allow this call on {0}")]
    Forbidden(Digest),
    /// An order for something else, or another body than the order's.
    #[error("the order does not allow to keep the store with this body")]
    NotKeeper,
    /// It is not here.
    #[error("there is no blob {0}")]
    Missing(Name),
    /// It is damaged; it was set aside.
    #[error("the blob {0} was damaged in storage and has been set aside: upload it again")]
    Corrupt(Name),
    /// What came is something else.
    #[error("the body has digest {got}, the path says {said}")]
    DigestMismatch {
        /// The path's.
        said: Digest,
        /// The body's.
        got: Digest,
    },
    /// Over the bound.
    #[error("a blob may have {0} bytes")]
    TooLarge(u64),
    /// The namespace has no room for it.
    #[error(
        "namespace {namespace} stores {used} of {quota} bytes, and {wanted} more do not fit: delete Packages that are not needed (what they stored goes an hour or so later), or have the installation's --quota-bytes or --quota-of raised"
    )]
    Quota {
        /// Whose.
        namespace: String,
        /// What it stores, with what is on its way.
        used: u64,
        /// What it may.
        quota: u64,
        /// What came.
        wanted: u64,
    },
    /// The client stopped sending.
    #[error("no more of the body came for {} seconds", .0.as_secs())]
    Stalled(Duration),
    /// The client's body broke off.
    #[error("the body broke off: {0}")]
    Body(String),
    /// Too many at once.
    #[error("too many {0} at once: try again in a moment")]
    Busy(&'static str),
    /// The storage underneath failed.
    #[error("the storage failed: {0}")]
    Storage(#[from] object_store::Error),
    /// The directory cannot be used.
    #[error("the directory {path:?} cannot be used: {error}")]
    Directory {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// What was written just now cannot be read.
    #[error("what was written to the storage just now reads differently")]
    Probe,
}

impl StoreError {
    fn attributes(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NamespaceInvalid => (StatusCode::BAD_REQUEST, "NamespaceInvalid"),
            Self::NotKeeper => (StatusCode::FORBIDDEN, "OrderRefused"),
            Self::Quota { .. } => (StatusCode::INSUFFICIENT_STORAGE, "QuotaExceeded"),
            Self::DigestInvalid => (StatusCode::BAD_REQUEST, "DigestInvalid"),
            Self::Unauthorised(_) => (StatusCode::UNAUTHORIZED, "OrderRefused"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "OrderRefused"),
            Self::Missing(_) => (StatusCode::NOT_FOUND, "BlobMissing"),
            Self::Corrupt(_) => (StatusCode::INTERNAL_SERVER_ERROR, "BlobCorrupt"),
            Self::DigestMismatch { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "DigestMismatch"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "BlobTooLarge"),
            Self::Stalled(_) => (StatusCode::REQUEST_TIMEOUT, "BodyStalled"),
            Self::Body(_) => (StatusCode::BAD_REQUEST, "BodyBroken"),
            Self::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "Busy"),
            Self::Storage(_) | Self::Directory { .. } | Self::Probe => {
                (StatusCode::INTERNAL_SERVER_ERROR, "StorageFailed")
            }
        }
    }
}

impl IntoResponse for StoreError {
    fn into_response(self) -> Response {
        let (status, reason) = self.attributes();
        if status.is_server_error() && status != StatusCode::INSUFFICIENT_STORAGE {
            tracing::error!(reason, error = %self, "request failed");
        }
        let mut response = (status, Json(failure(reason, self.to_string()))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The body of a failed call.
pub(crate) fn failure(reason: &str, message: String) -> Failure {
    Failure {
        component: Component::Store,
        reason: reason.to_owned(),
        message,
        request_id: None,
        executed: Executed::No,
    }
}

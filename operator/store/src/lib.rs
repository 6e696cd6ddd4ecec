//! Muon's package storage: archives by their digest, over HTTP.
//!
//! ```text
//!   operator ── PUT ──► /v1/blobs/sha256:… ◄── GET ── agents
//!                              │
//!                        any object_store (a directory on a volume; S3 alike)
//! ```
//!
//! # Guarantees
//!
//! - What is answered under a digest has that digest: hashed when it comes, hashed again whenever it is read. A damaged
//!   blob is never answered whole (its last bytes are held back until the digest is known); it is set aside
//!   (`quarantine/`), counted, and a later PUT heals it.
//! - A blob is there whole or not at all, and what was answered 201 survives a power cut.
//! - Every call needs an order signed by Muon's key: [`Put`](muon_order::Put) for this namespace and digest to write and
//!   delete, the same or a [`Load`](muon_order::Load) of them to read, [`Keep`](muon_order::Keep) to sweep. What a
//!   namespace has stored, no other can read, or find out about.
//! - What nothing refers to goes after a grace period; what a namespace stores has a bound.
//! - Size, uploads and downloads at once, and memory have bounds.
//!
//! | call | answers |
//! | --- | --- |
//! | `PUT /v1/blobs/<digest>` | 201 stored, 200 was there, 422 another digest, 413 too large, 507 over the namespace's quota |
//! | `GET`, `HEAD /v1/blobs/<digest>` | 200, 404 |
//! | `DELETE /v1/blobs/<digest>` | 204, also when it was not there |
//! | `POST /v1/sweep` | 200, what is not in use is deleted, or waits; what of it is not here |
//! | `POST /v1/lost` | 200, what could not be given since the last such call |
//! | `PUT /v1/builds/<key>`, a digest in the body | 201 written down, 404 when that blob is not here |
//! | `GET /v1/builds/<key>` | 200 and the digest, 404 |
//!
//! `/healthz`, `/readyz` and `/metrics` belong to the process that serves this: see [`Store::ready`] and
//! [`Store::register`].

mod access;
mod blobs;
mod builds;
mod cache;
mod digest;
mod download;
mod failure;
mod ledger;
mod metrics;
mod routes;
mod s3;
mod sweep;
mod upload;

pub use blobs::{Limits, Settings, Store};
pub use digest::{Digest, Name};
pub use failure::StoreError;
pub use ledger::Quotas;
pub use metrics::catalogue;
pub use routes::router;
pub use s3::Bucket;
pub use sweep::Sweeping;

#[cfg(test)]
mod tests;

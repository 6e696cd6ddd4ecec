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
//! - Every call needs an order signed by Muon's key: [`Put`](muon_order::Put) for this digest to write and delete,
//!   the same or a [`Load`](muon_order::Load) of this digest to read.
//! - Size, uploads and downloads at once, and memory have bounds.
//!
//! | call | answers |
//! | --- | --- |
//! | `PUT /v1/blobs/<digest>` | 201 stored, 200 was there, 422 another digest, 413 too large |
//! | `GET`, `HEAD /v1/blobs/<digest>` | 200, 404 |
//! | `DELETE /v1/blobs/<digest>` | 204, also when it was not there |
//!
//! `/healthz`, `/readyz` and `/metrics` belong to the process that serves this: see [`Store::ready`] and
//! [`Store::register`].

mod access;
mod blobs;
mod cache;
mod digest;
mod download;
mod failure;
mod metrics;
mod routes;
mod upload;

pub use blobs::{Limits, Store};
pub use digest::Digest;
pub use failure::StoreError;
pub use routes::router;

#[cfg(test)]
mod tests;

//! The schema rung: what the API server takes and what it refuses, with a message that names the field.
#![allow(clippy::unwrap_used, clippy::panic)]

mod accepted;
mod kubectl;
mod refused;

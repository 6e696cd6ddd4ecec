//! What a function in Rust is written with, and nothing but the standard library below it.
//!
//! A function is `pub fn name(request: &mut Request) -> R`, where `R` is text, bytes, a [`Response`], `()`, or a
//! `Result` of one of them; an error is logged and answered with 500.

mod http;
mod json;
pub mod log;
mod order;
mod panics;
mod request;
mod response;
mod serve;
mod signals;
mod upgrade;

pub use request::Request;
pub use response::{IntoResponse, Response};
pub use serve::{handler, serve, Handler};
pub use upgrade::Upgraded;

/// Writes a record of level INFO with the request's id.
#[macro_export]
macro_rules! info { ($($words:tt)*) => { $crate::log::function("INFO", &format!($($words)*)) } }
/// Writes a record of level WARNING with the request's id.
#[macro_export]
macro_rules! warn { ($($words:tt)*) => { $crate::log::function("WARNING", &format!($($words)*)) } }
/// Writes a record of level ERROR with the request's id.
#[macro_export]
macro_rules! error { ($($words:tt)*) => { $crate::log::function("ERROR", &format!($($words)*)) } }

/// An id for a request that came without one.
pub(crate) fn request_id() -> String {
    use std::hash::{BuildHasher, Hasher};
    // The standard library's only source of chance: the keys of its hash maps.
    format!("{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish())
}

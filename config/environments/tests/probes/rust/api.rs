//! A handler in a module.

use muon::Request;

pub fn greet(_request: &mut Request) -> &'static str {
    "greetings"
}

//! The `muon` binary.
fn main() {}

//! The sidecar of every function pod: fetch, verify, unpack, load, drain.

//! What the tests of the upper three rungs share.
//!
//! | rung | test | runs against |
//! | --- | --- | --- |
//! | schema | `tests/admit` | a real etcd and kube-apiserver: what may be applied |
//! | API | `tests/api` | the same, with the reconcilers in the test's own process |
//! | cluster | `tests/e2e` | a node that `hack/test` brought up, through the Ingress |
//!
//! Everything here reports trouble by a panic: it is only ever called by a test, and a panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

pub mod audit;
pub mod cluster;
pub mod control_plane;
pub mod load;
pub mod manifest;
pub mod route;
pub mod scene;
pub mod socket;
pub mod space;
pub mod wait;

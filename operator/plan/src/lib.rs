//! Pure: spec and what was observed, to desired objects and findings.
//!
//! One folder per kind, and in each the same three files:
//!
//! ```text
//!   driver (reconcile)          here
//!   observe ──► Observed ──► validate ──► Valid ──► build ──► Resources ──► apply (driver)
//!                   │            └─► Invalid ┐                                  │
//!                   └──────────────────────► report ◄───────────────────────────┘
//!                                              └─► Report { status, notes }
//! ```
//!
//! Nothing here does IO or reads a clock: times are passed in. `build` and `report` cannot fail. An absent object
//! is data (`Option`), not an error. What applying met (a name conflict, an API server that does not answer) is an
//! [`Invalid`] too, and goes into `report` like one that `validate` found.

pub mod builds;
pub mod conditions;
pub mod environment;
pub mod expand;
pub mod finding;
pub mod function;
pub mod gateway;
pub mod http_trigger;
pub mod meta;
pub mod network_policy;
pub mod pack;
pub mod package;
pub mod pod;
pub mod quantity;
pub mod revision;
pub mod seen;
pub mod settings;
pub mod shrink;

pub use finding::{Heals, Invalid, Note, NoteType, Report};
pub use seen::{PodRef, SeenDeployment, SeenPod};
pub use settings::Settings;
pub use shrink::OldStep;

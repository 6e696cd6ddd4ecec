//! Pure: watch events to an immutable route table and a pod index.
//!
//! ```text
//!   HTTPTrigger ─┐                          ┌─ Table      host, path, method → route → function   (read by proxies)
//!   Function    ─┼─ Event ──► Book, PodIndex┤
//!   Pod         ─┘                          └─ PodIndex   free pods, a function's pods            (behind one lock)
//! ```
//!
//! One writer applies events to a [`Book`]; readers hold the [`Table`] it publishes, a value that never changes and
//! shares all that did not change with the one before: one event costs what it touches, not what there is.
//! A lookup is synchronous and cannot fail or panic, whatever the request says. The operator asks the same
//! crate which trigger wins ([`findings`]), so what status says and what requests meet agree.

mod book;
mod conflict;
mod entry;
mod event;
mod function;
mod home;
mod host;
mod map;
mod path;
mod pattern;
mod pod;
mod pods;
mod route;
mod selector;
mod table;
mod tree;
mod weight;

pub use book::{Book, FunctionChange};
pub use conflict::{Finding, findings};
pub use entry::{FunctionEntry, TriggerEntry};
pub use event::{Event, resource_version};
pub use function::Function;
pub use home::{home, score};
pub use host::{ClusterName, InCluster, host_name};
pub use path::{BadPath, check_path};
pub use pattern::{BadPattern, Pattern};
pub use pod::Pod;
pub use pods::{Changed, Meant, PodIndex};
pub use route::{Key, Methods, Param, Route, Target};
pub use selector::selects;
pub use table::{Listener, Match, Outcome, Table, Unserved};
pub use weight::{BadWeight, DEFAULT_WEIGHT, weight};

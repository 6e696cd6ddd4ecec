//! What is measured: one module a subject, each with `rows(&Context) -> Result<Vec<Row>, Error>`.

pub(crate) mod bare;
pub(crate) mod burst;
pub(crate) mod cold;
pub(crate) mod idle;
pub(crate) mod kill;
pub(crate) mod overload;
pub(crate) mod own;
pub(crate) mod scale;
pub(crate) mod trace;
pub(crate) mod trigger;
pub(crate) mod warm;
pub(crate) mod weakened;

//! What is measured: one module a subject, each with `rows(&Context) -> Result<Vec<Row>, Error>`.

pub(crate) mod burst;
pub(crate) mod cold;
pub(crate) mod warm;

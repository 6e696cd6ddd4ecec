//! Pure: watch events to an immutable route table and a pod index.

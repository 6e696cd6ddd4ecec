//! Tests named by altitude: admit_, api_, e2e_.

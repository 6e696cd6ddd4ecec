//! The reconcilers: observe, apply and report against the API server.

//! The data plane: one request, routed, claimed for, loaded, forwarded, answered.

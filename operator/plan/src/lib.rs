//! Pure: spec and what was observed, to desired objects and findings.

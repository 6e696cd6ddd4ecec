//! Rules of the structure, as tests.

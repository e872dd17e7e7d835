//! Nothing but a test, `tests/tidy.rs`: rules for source files that neither the compiler nor clippy
//! checks.

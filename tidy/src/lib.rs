//! Nothing but the test in `tests`: rules for source files that neither the compiler nor clippy checks.

#[cfg(test)]
mod tests;

//! Rules for source files that neither the compiler nor clippy checks (in `tests`), and the pages of the
//! book that are written from the sources.

mod errors_page;
mod metrics_page;
#[cfg(test)]
mod parameters;
mod problems_page;
mod reference_page;
#[cfg(test)]
mod tests;

/// The pages that are written from the sources: their paths in the repository, and their texts.
pub fn generated_pages() -> Vec<(&'static str, String)> {
    vec![
        ("docs/src/errors.md", errors_page::render()),
        ("docs/src/reference.md", reference_page::render()),
        ("docs/src/metrics.md", metrics_page::render()),
        ("docs/src/problems.md", problems_page::render()),
    ]
}

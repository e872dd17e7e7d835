//! The book's page on error codes, from their meanings and remedies.

use shared::error::Code;

const INTRODUCTION: &str = "\
# Errors

<!-- Written by `cargo run -p tidy` from shared/src/error.rs. -->

The codes of error responses of both daemons: what each means, and what to do. Which requests are refused with which codes is described in \
`/openapi.json` of each daemon, and in the [reference](reference.md). Clients should decide by the code; the message is for people.
";

/// The page as Markdown, with a heading for each code.
pub fn render() -> String {
    let mut page = INTRODUCTION.to_owned();
    for code in Code::ALL {
        let (name, status) = (code.as_str(), code.status());
        let (meaning, remedy) = (code.meaning(), code.remedy());
        page += &format!("\n## {name}\n\n{status}. {meaning}\n\n**What to do:** {remedy}\n");
    }
    page
}

//! The book's page on problems, from their catalogue.

use shared::problem::catalogue::{ALL, Daemons, ProblemKind};

const INTRODUCTION: &str = "\
# Problems

<!-- Written by `cargo run -p tidy` from shared/src/problem/catalogue.rs. -->

What each problem means, and what to do. How problems are shown is described in [Operation](operating.md#problems). An **error** means that \
something does not work now; a **warning** that it works, but not for ever, or worse than it could. The text of a problem names \
what is concerned, the cause and the remedy in this case.
";

/// The page as Markdown, with a heading for each code.
pub fn render() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += "\n| code | daemon | severity |\n| --- | --- | --- |\n";
    for kind in ALL {
        let (code, daemons, severity) = (kind.code, daemons(kind), kind.severity);
        page += &format!("| [`{code}`](#{code}) | {daemons} | {severity} |\n");
    }
    for kind in ALL {
        page += &section(kind);
    }
    page
}

fn section(kind: &ProblemKind) -> String {
    let reading = kind.reading.iter();
    let links: Vec<String> = reading
        .map(|(title, link)| format!("[{title}]({link})"))
        .collect();
    format!(
        "\n## {}\n\n{} ({}). {}\n\n**What to do:** {} See also: {}.\n",
        kind.code,
        capitalised(kind.severity.as_str()),
        daemons(kind),
        kind.meaning,
        kind.remedy,
        links.join(", "),
    )
}

fn daemons(kind: &ProblemKind) -> &'static str {
    match kind.daemons {
        Daemons::Queue => "queue",
        Daemons::Monitor => "monitor",
        Daemons::Both => "both",
    }
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

//! The book's page on each request, from the descriptions that the daemons serve.

use serde_json::Value;

const INTRODUCTION: &str = "\
# Reference of the HTTP API

<!-- Written by `cargo run -p tidy` from the descriptions that the daemons serve as /openapi.json. -->

Every request of both daemons, as `GET /openapi.json` of each describes it in OpenAPI 3.1, with schemas and examples. How the requests belong \
together is described in [HTTP API](http-api.md), what to do about each error in [Errors](errors.md). Every request may also be refused with \
`wrong_host`, requests other than GET with `cross_site`, and anything with `internal`.
";

/// Codes that the introduction explains.
const COMMON: [&str; 3] = ["wrong_host", "cross_site", "internal"];

/// The page as Markdown.
pub fn render() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += &section("The queue", &queue::openapi());
    page += &section("A monitor", &monitor::openapi());
    page
}

fn section(title: &str, description: &Value) -> String {
    let mut text =
        format!("\n## {title}\n\n| request | what it does | parameters | answers | errors |\n");
    text += "| --- | --- | --- | --- | --- |\n";
    for (path, item) in object(&description["paths"]) {
        for (method, operation) in object(item) {
            let request = format!("{} {path}", method.to_uppercase());
            let summary = operation["summary"].as_str().unwrap_or_default();
            let parameters = parameters(operation);
            let (answers, errors) = responses(operation);
            text += &format!("| `{request}` | {summary} | {parameters} | {answers} | {errors} |\n");
        }
    }
    text
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Those that are not in the path; required ones are bold.
fn parameters(operation: &Value) -> String {
    let all = operation["parameters"].as_array();
    let all = all.into_iter().flatten().filter(|it| it["in"] != "path");
    let names = all.map(|parameter| {
        let name = parameter["name"].as_str().unwrap_or_default();
        match parameter["required"].as_bool() {
            Some(true) => format!("**`{name}`**"),
            _ => format!("`{name}`"),
        }
    });
    names.collect::<Vec<_>>().join(", ")
}

/// The answers, and the codes of the errors.
fn responses(operation: &Value) -> (String, String) {
    let (mut answers, mut errors) = (Vec::new(), Vec::new());
    for (status, response) in object(&operation["responses"]) {
        let text = response["description"].as_str().unwrap_or_default();
        if status.starts_with(['2', '3']) {
            answers.push(format!("{status}: {text}"));
        } else {
            let codes = text.split(", ").map(|code| code.trim_matches('`'));
            let codes = codes.filter(|code| !COMMON.contains(code));
            errors.extend(codes.map(|code| format!("[`{code}`](errors.md#{code})")));
        }
    }
    (answers.join("<br>"), errors.join(", "))
}

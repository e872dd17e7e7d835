//! The parameters in the descriptions of both APIs are those that the handlers read: the fields of what they parse
//! the query into, and the headers of their extractors.

use std::collections::BTreeSet;

use serde_json::Value;

use super::tests::workspace;

/// Parameters that a handler gets from an extractor with a name: where they are, and what they are called.
const OF_EXTRACTORS: [(&str, &[(&str, &str)]); 6] = [
    ("Operator,", &[("header", "CI-Runners-Author")]),
    ("PreferredWait,", &[("header", "Prefer")]),
    ("LastEventId,", &[("header", "Last-Event-ID")]),
    ("JobTicket,", &[("query", "token")]),
    ("AccessibleJob", &[("query", "token")]),
    ("HistoryAccess,", &[("query", "token")]),
];

type Parameters = BTreeSet<(String, String)>;

/// A source file.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn read(path: &str) -> Option<Self> {
        let text = std::fs::read_to_string(workspace().join(path)).ok()?;
        let path = path.to_owned();
        Some(Self { path, text })
    }

    /// The module of this name in the folder `api`.
    fn of_module(folder: &str, module: &str) -> Self {
        let paths = [
            format!("{folder}/{module}.rs"),
            format!("{folder}/{module}/mod.rs"),
        ];
        let mut found = paths.iter().filter_map(|path| Self::read(path));
        found
            .next()
            .unwrap_or_else(|| panic!("{folder} has no module {module}"))
    }

    /// The parameters of the handler with this name.
    fn parameters_of(&self, handler: &str, folder: &str) -> Parameters {
        let begin = format!("async fn {handler}(");
        let (_, rest) = self
            .text
            .split_once(&begin)
            .unwrap_or_else(|| panic!("{}: {handler}", self.path));
        let ends = ["\n) ->", ") ->", "\n) {"]
            .iter()
            .filter_map(|end| rest.find(end));
        let arguments = &rest[..ends.min().unwrap()];
        let mut found = Parameters::new();
        // The last argument in a line has no comma.
        let listed = format!("{arguments},");
        for (extractor, parameters) in OF_EXTRACTORS {
            if listed.contains(&format!(": {extractor}"))
                || listed.contains(&format!("Result<{extractor}"))
            {
                let owned = parameters
                    .iter()
                    .map(|(place, name)| ((*place).to_owned(), (*name).to_owned()));
                found.extend(owned);
            }
        }
        for (_, parsed) in arguments
            .match_indices("Query<")
            .map(|(at, _)| arguments[at..].split_at(6))
        {
            let (name, _) = parsed.split_once(['>', '<']).unwrap();
            // Names of profiles, and a note.
            let fields = match name {
                "Vec" => vec!["linux".to_owned(), "note".to_owned()],
                name => self.fields_of(name, folder),
            };
            found.extend(fields.into_iter().map(|field| ("query".to_owned(), field)));
        }
        found
    }

    /// The names in the query of the fields of a type, which is defined in this file, or where extractors are.
    fn fields_of(&self, name: &str, folder: &str) -> Vec<String> {
        let elsewhere = [
            format!("{folder}/take.rs"),
            format!("{folder}/extract.rs"),
            "daemon/src/web/extract.rs".to_owned(),
        ];
        let mut texts = vec![self.text.clone()];
        texts.extend(
            elsewhere
                .iter()
                .filter_map(|path| Some(Self::read(path)?.text)),
        );
        let begin = format!("struct {name} {{\n");
        let mut bodies = texts
            .iter()
            .filter_map(|text| Some(text.split_once(&begin)?.1));
        let body = bodies
            .next()
            .unwrap_or_else(|| panic!("{}: {name} is not found", self.path));
        let (body, _) = body.split_once("\n}").unwrap();
        let mut fields = Vec::new();
        let mut renamed = None;
        for line in body.lines().map(str::trim) {
            if let Some((_, rest)) = line.split_once("rename = \"") {
                renamed = rest.split('"').next().map(str::to_owned);
            }
            let is_field = !line.starts_with(['/', '#']);
            if let Some((field, _)) = line.split_once(": ").filter(|_| is_field) {
                let field = field.trim_start_matches("pub ").to_owned();
                fields.push(renamed.take().unwrap_or(field));
            }
        }
        fields
    }
}

/// The method, the path and the handler of each route in this file.
fn handlers(text: &str) -> Vec<(&'static str, String, String)> {
    let mut handlers = Vec::new();
    for rest in text.split("route(\"").skip(1) {
        let (path, rest) = rest.split_once('"').unwrap();
        let chain = rest.split("route(").next().unwrap_or_default();
        for (call, method) in [
            (".get(", "get"),
            (".get_with_effect(", "get"),
            (".post(", "post"),
            (".delete(", "delete"),
        ] {
            let Some((_, handler)) = chain.split_once(call) else {
                continue;
            };
            let handler = handler.split(')').next().unwrap_or_default();
            let is_name = !handler.is_empty()
                && handler
                    .chars()
                    .all(|it| it.is_alphanumeric() || it == '_' || it == ':');
            if is_name && !path.is_empty() {
                handlers.push((method, path.replace(":.*", ""), handler.to_owned()));
            }
        }
    }
    handlers
}

/// The parameters of the query, and the headers among those of extractors, that a description has.
fn described(description: &Value, path: &str, method: &str) -> Parameters {
    let operation = &description["paths"][path][method];
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.map(|parameter| {
        let text = |key: &str| parameter[key].as_str().unwrap_or_default().to_owned();
        (text("in"), text("name"))
    });
    let headers = OF_EXTRACTORS.iter().flat_map(|(_, parameters)| *parameters);
    let headers: Vec<&str> = headers.map(|(_, name)| *name).collect();
    let is_compared = |place: &str, name: &str| {
        place == "query" || (place == "header" && headers.contains(&name))
    };
    parameters
        .filter(|(place, name)| is_compared(place, name))
        .collect()
}

#[test]
fn the_described_parameters_are_those_that_handlers_read() {
    let mut compared = 0;
    for (folder, description) in [
        ("queue/src/api", queue::openapi()),
        ("monitor/src/api", monitor::openapi()),
    ] {
        let own = Source::read(&format!("{folder}/mod.rs")).unwrap();
        let common = Source::read("daemon/src/reload.rs").unwrap();
        for (method, path, handler) in handlers(&own.text)
            .into_iter()
            .chain(handlers(&common.text))
        {
            let read = match handler.rsplit_once("::") {
                Some((module, name)) => {
                    Source::of_module(folder, module).parameters_of(name, folder)
                }
                None => common.parameters_of(&handler, folder),
            };
            assert_eq!(
                described(&description, &path, method),
                read,
                "{method} {path}: {handler}"
            );
            compared += read.len();
        }
    }
    assert!(compared > 40, "{compared}");
}

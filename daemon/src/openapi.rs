//! The description of an HTTP API in OpenAPI 3.1, which a daemon serves as `/openapi.json`.
//!
//! Responsible for its form, and for what all operations have in common. The schemas follow from the types that
//! handlers read and answer with; which operations there are, each daemon says.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use shared::values::{Count, ProfileKey, QualifiedRepo, RunId, UniqueId};
use utoipa::{ToSchema, openapi::RefOr};

use crate::{error::Code, reload::Reloaded};

const JSON: &str = "application/json";

/// What authorises an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing is needed.
    Open,
    /// The API token shows more.
    Optional,
    /// The API token.
    ApiToken,
    /// The ticket of the job, or the API token.
    Ticket,
    /// The API token, or the token of a queue.
    Queue,
    /// The secret of an artifact, if it has one.
    Artifact,
    /// A guest, recognised by its address and secret.
    Guest,
}

impl Access {
    fn security(self) -> Value {
        match self {
            Self::Open | Self::Guest => json!([]),
            Self::Optional => json!([{}, {"api_token": []}]),
            Self::ApiToken => json!([{"api_token": []}]),
            Self::Ticket => json!([{"ticket": []}, {"api_token": []}]),
            Self::Queue => json!([{"api_token": []}, {"queue_token": []}]),
            Self::Artifact => json!([{}, {"artifact_secret": []}]),
        }
    }

    /// The codes with which a request without the right credentials is refused.
    fn codes(self) -> &'static [Code] {
        match self {
            Self::Open | Self::Guest => &[],
            Self::Optional => &[Code::WrongToken],
            Self::ApiToken | Self::Queue => &[Code::Unauthorised, Code::WrongToken],
            Self::Ticket => &[Code::Unauthorised, Code::WrongToken, Code::WrongTicket],
            Self::Artifact => &[Code::NotAuthorised],
        }
    }
}

/// One method of one path.
#[derive(Clone, Debug)]
pub struct Operation {
    method: &'static str,
    path: String,
    json: Map<String, Value>,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
    codes: Vec<Code>,
    waiting: Option<(Value, Value)>,
    schemas: BTreeMap<String, Value>,
}

impl Operation {
    /// `method` of `path`, whose parameters are in braces, as the daemon registers it. `summary` is one line.
    pub fn new(method: &'static str, path: &str, summary: &str, access: Access) -> Self {
        let path = path.replace(":.*", "");
        let mut json = Map::new();
        let words = path.split(['/', '{', '}', '.', '-']);
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let id = format!("{}_{}", method.to_lowercase(), words.join("_"));
        json.insert("operationId".into(), id.trim_end_matches('_').into());
        json.insert("summary".into(), summary.into());
        json.insert("security".into(), access.security());
        let mut operation = Self {
            method,
            parameters: Vec::new(),
            responses: Map::new(),
            codes: vec![Code::WrongHost, Code::Internal],
            waiting: None,
            schemas: BTreeMap::new(),
            json,
            path: path.clone(),
        };
        operation.codes.extend(access.codes());
        if method != "GET" {
            operation.codes.push(Code::CrossSite);
        }
        for part in path.split('{').skip(1) {
            let name = part.split('}').next().unwrap_or_default();
            operation = operation.path_parameter(name);
        }
        operation
    }

    fn path_parameter(mut self, name: &str) -> Self {
        let (schema, example) = match name {
            "unique_id" => (self.schema_of::<UniqueId>(), json!("5f0c7a52-job")),
            "profile_key" => (self.schema_of::<ProfileKey>(), json!("linux")),
            "count" => (self.schema_of::<Count>(), json!(2)),
            "id" => (json!({"type": "integer", "minimum": 0}), json!(7)),
            _ => (json!({"type": "string", "minLength": 1}), json!("servo")),
        };
        self.parameters.push(
            json!({"name": name, "in": "path", "required": true, "schema": schema,
            "example": example}),
        );
        if name != "id" && name != "path" && name != "name" {
            self.codes.push(Code::BadRequest);
        }
        self
    }

    /// What it does, beyond the summary, in Markdown.
    pub fn description(mut self, text: &str) -> Self {
        self.json.insert("description".into(), text.into());
        self
    }

    /// A parameter of the query with the schema of `T`.
    pub fn query<T: ToSchema>(
        self,
        name: &str,
        is_required: bool,
        text: &str,
        example: Value,
    ) -> Self {
        let mut operation = self;
        let schema = operation.schema_of::<T>();
        operation.parameter("query", name, is_required, text, schema, example)
    }

    /// The parameters that name a job and the workflow run that it belongs to.
    pub fn job(self) -> Self {
        let repo = json!("servo/servo");
        self.query::<UniqueId>(
            "unique_id",
            true,
            "The name of the job.",
            json!("5f0c7a52-job"),
        )
        .query::<QualifiedRepo>("qualified_repo", true, "The repository.", repo)
        .query::<RunId>("run_id", true, "The workflow run.", json!(42))
    }

    /// A parameter of the query that is true or false.
    pub fn flag(self, name: &str, text: &str) -> Self {
        let schema = json!({"type": "boolean", "default": false});
        self.parameter("query", name, false, text, schema, json!(true))
    }

    /// A parameter, in the query or in a header, with a schema of its own.
    pub fn parameter(
        mut self,
        place: &str,
        name: &str,
        is_required: bool,
        text: &str,
        schema: Value,
        example: Value,
    ) -> Self {
        self.parameters.push(
            json!({"name": name, "in": place, "required": is_required, "description": text,
            "schema": schema, "example": example}),
        );
        if place == "query" && !self.codes.contains(&Code::BadRequest) {
            self.codes.push(Code::BadRequest);
        }
        self
    }

    /// The parameter with the ticket of a job.
    pub fn ticket(self) -> Self {
        let text = "The ticket, instead of the header Authorization.";
        let schema = json!({"type": "string"});
        self.parameter("query", "token", false, text, schema, json!("eyJ0"))
    }

    /// The parameter `note` of what an operator orders.
    pub fn note(self) -> Self {
        let schema = json!({"type": "string", "maxLength": 200});
        let text = "Why; every reader of a dashboard sees it.";
        self.parameter("query", "note", false, text, schema, json!("new disk"))
            .author()
    }

    /// The header with the name of the operator who sends it.
    pub fn author(self) -> Self {
        let schema = json!({"type": "string"});
        let text = "The name of the operator, at most 100 characters in UTF-8 with percent-encoding; every reader \
                    of a dashboard sees it.";
        let mut operation = self;
        operation.codes.push(Code::BadRequest);
        operation.parameter(
            "header",
            "CI-Runners-Author",
            false,
            text,
            schema,
            json!("alice@laptop"),
        )
    }

    /// Answers with 200 and a `T` as JSON.
    pub fn json<T: ToSchema>(mut self, text: &str, example: &impl Serialize) -> Self {
        let schema = self.schema_of::<T>();
        let example = serde_json::to_value(example).unwrap_or_default();
        self.answer(200, text, Some((JSON, schema, example)))
    }

    /// Answers with 200 and a `T` as JSON, or `null`.
    pub fn json_or_null<T: ToSchema>(mut self, text: &str, example: &impl Serialize) -> Self {
        let schema = json!({"oneOf": [{"type": "null"}, self.schema_of::<T>()]});
        let example = serde_json::to_value(example).unwrap_or_default();
        self.answer(200, text, Some((JSON, schema, example)))
    }

    /// Answers with 200 and JSON of this schema.
    pub fn json_with(self, text: &str, schema: Value, example: Value) -> Self {
        self.answer(200, text, Some((JSON, schema, example)))
    }

    /// Answers with 200 and a text of this media type.
    pub fn text(self, media_type: &str, text: &str, example: &str) -> Self {
        let schema = json!({"type": "string"});
        self.answer(200, text, Some((media_type, schema, example.into())))
    }

    /// Answers with another media type beside the one that was given before.
    pub fn also(mut self, media_type: &str) -> Self {
        let content = &mut self.responses["200"]["content"];
        content[media_type] = json!({"schema": {"type": "string"}});
        self
    }

    /// Answers with this status and no body.
    pub fn empty(self, status: u16, text: &str) -> Self {
        self.answer(status, text, None)
    }

    /// Answers with 503 and a body of its own while something is waited for.
    pub fn waiting(mut self, schema: &str, example: Value) -> Self {
        self.waiting = Some((json!({"$ref": schema}), example));
        self.codes.push(Code::Waiting);
        self
    }

    /// Refuses with these codes, beside those of all operations.
    pub fn errors(mut self, codes: &[Code]) -> Self {
        self.codes.extend(codes);
        self
    }

    /// The `$ref` to the schema of `T`, which becomes a component.
    pub fn schema_of<T: ToSchema>(&mut self) -> Value {
        let mut schemas = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut schemas);
        for (name, schema) in schemas {
            if let RefOr::T(schema) = schema {
                let schema = serde_json::to_value(schema).unwrap_or_default();
                self.schemas.insert(name, schema);
            }
        }
        json!({"$ref": format!("#/components/schemas/{}", T::name())})
    }

    fn answer(mut self, status: u16, text: &str, content: Option<(&str, Value, Value)>) -> Self {
        let mut response = json!({"description": text});
        if let Some((media_type, schema, example)) = content {
            response["content"][media_type] = json!({"schema": schema, "example": example});
        }
        self.responses.insert(status.to_string(), response);
        self
    }

    /// The operation as OpenAPI has it.
    fn build(mut self) -> Value {
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in self.codes {
            let codes = by_status.entry(code.status()).or_default();
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
        for (status, codes) in by_status {
            let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
            let examples = codes.iter().map(|code| {
                let example = json!({"code": code.as_str(), "message": code.meaning()});
                (code.as_str().to_owned(), json!({"value": example}))
            });
            let mut examples: Map<String, Value> = examples.collect();
            let text = names.iter().map(|name| format!("`{name}`"));
            let text = text.collect::<Vec<_>>().join(", ");
            let mut schema = json!({"allOf": [{"$ref": "#/components/schemas/Error"},
                {"properties": {"code": {"enum": names}}}]});
            if let Some((waiting, example)) = self.waiting.take_if(|_| status == 503) {
                examples.insert("waiting".to_owned(), json!({"value": example}));
                schema = json!({"anyOf": [schema, waiting]});
            }
            let mut response = json!({"description": text});
            response["content"][JSON] = json!({"schema": schema, "examples": examples});
            self.responses.insert(status.to_string(), response);
        }
        let mut json = self.json;
        if !self.parameters.is_empty() {
            json.insert("parameters".into(), Value::Array(self.parameters));
        }
        json.insert("responses".into(), Value::Object(self.responses));
        Value::Object(json)
    }
}

/// What both daemons have for operators and monitoring. `alive` and `ready` say what `/healthz` and `/readyz` tell.
pub fn of_both(alive: &str, ready: &str) -> Vec<Operation> {
    let get = |path: &str, summary: &str| Operation::new("GET", path, summary, Access::Open);
    let any = json!({"type": "object"});
    let is_ready = json!({"ready": true, "reason": null, "problems": [], "more_problems": 0});
    let event_id = json!({"type": "string"});
    vec![
        Operation::new("POST", "/reload", "Read the settings again", Access::ApiToken)
            .author()
            .json::<Reloaded>(
                "The names of the settings that have changed and are in force, and of those that need a restart.",
                &json!({"applied": [], "needs_restart": ["log_filter"]}),
            )
            .errors(&[Code::InvalidSettings]),
        Operation::new("GET", "/events", "What happens, as server-sent events", Access::Optional)
            .parameter("header", "Last-Event-ID", false, "Go on after this event.", event_id, json!("0"))
            .text("text/event-stream", "The events.", ": hello\n\n")
            .errors(&[Code::NotReady]),
        get("/metrics", "Metrics for Prometheus").text("application/openmetrics-text", "The metrics.", "# EOF\n"),
        get("/healthz", alive).text("text/plain", "Yes.", "alive\n"),
        get("/readyz", ready)
            .json_with("Yes.", any.clone(), is_ready)
            .errors(&[Code::NotReady]),
        get("/openapi.json", "This description").json_with("The description.", any, json!({"openapi": "3.1.0"})),
        get("/assets/page.css", "The style of the pages").text("text/css", "The style.", "body {}"),
        get("/assets/page.js", "The script of the pages").text("text/javascript", "The script.", "{}"),
    ]
}

/// The description of the API of `daemon`.
pub fn document(daemon: &str, operations: Vec<Operation>) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    schemas.insert("Error".into(), json!({"type": "object", "required": ["code", "message"],
        "description": "Why a request was refused. The body of a response with the status 408, 429 or 5xx is empty \
            unless the request's Accept names application/json.",
        "properties": {"code": {"type": "string", "description": "Stable, for programs."},
            "message": {"type": "string", "description": "One sentence, for people."}}}));
    for operation in operations {
        schemas.extend(operation.schemas.clone());
        let method = operation.method.to_lowercase();
        let path = paths.entry(operation.path.clone());
        path.or_insert_with(|| json!({}))[method] = operation.build();
    }
    let bearer = |text: &str| json!({"type": "http", "scheme": "bearer", "description": text});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("CI Runners: {daemon}"), "version": env!("CARGO_PKG_VERSION"),
            "description": "See docs/src/http-api.md for how the requests belong together.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "./"}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {
            "api_token": bearer("The value of SERVO_CI_MONITOR_API_TOKEN."),
            "queue_token": bearer("The value of SERVO_CI_MONITOR_QUEUE_TOKEN of the monitor."),
            "ticket": bearer("The ticket that the enqueue of the job returned."),
            "artifact_secret": bearer("The secret whose SHA-256 is in the artifact."),
        }},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_its_parameters_its_answer_and_its_errors_by_status() {
        let operation = Operation::new("POST", "/take/{unique_id}", "Take", Access::Ticket)
            .text("text/plain", "done", "x")
            .errors(&[Code::UnknownJob]);
        let document = document("queue", vec![operation]);
        let operation = &document["paths"]["/take/{unique_id}"]["post"];
        assert_eq!(operation["operationId"], "post_take_unique_id");
        let parameter = &operation["parameters"][0];
        assert_eq!(parameter["schema"]["$ref"], "#/components/schemas/UniqueId");
        assert!(document["components"]["schemas"]["UniqueId"]["pattern"].is_string());
        let responses = operation["responses"].as_object().unwrap();
        let statuses: Vec<&str> = responses.keys().map(String::as_str).collect();
        assert_eq!(statuses, ["200", "400", "401", "403", "404", "500"]);
        let refused = &responses["403"]["content"]["application/json"]["examples"];
        assert!(refused["wrong_ticket"]["value"]["message"].is_string());
    }
}

//! One event: its fields, its forms as JSON and as a line of the log, and what strangers may see of it.
//!
//! An event contains no secret: no token, ticket, JIT configuration or label.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::Value;
use shared::{
    clock::Timestamp,
    settings::LogFormat,
    text::printable_json,
    values::{ProfileKey, QualifiedRepo, RunId, UniqueId},
};

/// The target of the lines in the log, to which the log adds the name of the daemon.
pub(crate) const LOG_TARGET: &str = "daemon::journal";
/// The longest text of a fact, in bytes; the rest of a longer one is cut off.
const TEXT_LENGTH_MAX: usize = 4096;
/// The most facts of one event.
const FACTS_MAX: usize = 32;
/// The longest name of an event, in bytes.
const NAME_LENGTH_MAX: usize = 64;
/// The name of events that strangers do not see at all.
const AUDIT: &str = "audit";

/// The names that no fact may have: fields of events, and of lines of the log in JSON.
const FIELDS: [&str; 14] = [
    "id",
    "at",
    "event",
    "unique_id",
    "public_id",
    "qualified_repo",
    "run_id",
    "profile_key",
    "server",
    "runner",
    "time",
    "level",
    "target",
    "message",
];

/// The facts that strangers may see, of events that they may see. Others are left out for them, because a
/// new one may contain something that pages without a token do not show.
const PUBLIC_FACTS: [&str; 14] = [
    "code",
    "severity",
    "subject",
    "cause",
    "remedy",
    "count",
    "by",
    "reason",
    "began_at",
    "enqueued_at",
    "assigned_at",
    "started_at",
    "silent_since",
    "exit_status",
];

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number: microseconds since the Unix epoch, made strictly increasing. 0 until it is recorded.
    pub id: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, in snake case, such as `job_enqueued`.
    pub event: Cow<'static, str>,
    /// The job that it concerns.
    pub unique_id: Option<UniqueId>,
    /// The repository of the job.
    pub qualified_repo: Option<QualifiedRepo>,
    /// The workflow run of the job.
    pub run_id: Option<RunId>,
    /// The profile of the job or of the runner.
    pub profile_key: Option<ProfileKey>,
    /// The URL of the server that it concerns.
    pub server: Option<String>,
    /// The id of the runner that it concerns, on that server.
    pub runner: Option<u64>,
    /// More facts, in the order in which they are shown. A number whose name ends in `_at` or `_since` is
    /// a time in microseconds since the Unix epoch.
    pub facts: Vec<(Cow<'static, str>, Value)>,
}

impl Entry {
    /// An event without any facts.
    pub fn new(at: Timestamp, event: &'static str) -> Self {
        Self {
            id: 0,
            at,
            event: Cow::Borrowed(event),
            unique_id: None,
            qualified_repo: None,
            run_id: None,
            profile_key: None,
            server: None,
            runner: None,
            facts: Vec::new(),
        }
    }

    /// A change that was authorised by credentials: what (`withdraw`), which credentials (`api_token`), and
    /// the address of the client. Further fields and facts name what was changed.
    pub fn audit(
        at: Timestamp,
        action: &'static str,
        authorised_by: &'static str,
        client_address: impl fmt::Display,
    ) -> Self {
        Self::new(at, AUDIT)
            .fact("action", action)
            .fact("authorised_by", authorised_by)
            .fact("client_address", client_address.to_string())
    }

    /// Whether it is a change that was authorised by credentials.
    pub fn is_audit(&self) -> bool {
        self.event == AUDIT
    }

    /// Adds a fact, unless there are too many. A long text is cut off.
    pub fn fact(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        debug_assert!(!FIELDS.contains(&name), "{name} is a field");
        if self.facts.len() < FACTS_MAX {
            let value = match value.into() {
                Value::String(text) => Value::String(cut(text)),
                value => value,
            };
            self.facts.push((Cow::Borrowed(name), value));
        }
        self
    }

    /// Adds a fact that is a time. Its name ends in `_at` or `_since`.
    pub fn time(self, name: &'static str, value: Timestamp) -> Self {
        debug_assert!(is_name_of_time(name), "{name} is not shown as a time");
        self.fact(name, value.as_micros())
    }

    /// The fact with this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let fact = self.facts.iter().find(|(other, _)| other == name);
        fact.map(|(_, value)| value)
    }

    /// The fact with this name, if it is a time.
    pub fn get_time(&self, name: &str) -> Option<Timestamp> {
        let micros = self.get(name)?.as_u64()?;
        Some(Timestamp::from_micros(micros))
    }

    /// As one line of JSON with all fields and facts.
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// As JSON for clients without a token, which shows no more than pages do: a job by its `public_id`,
    /// and not which runner it has. `None` if they may not see it at all.
    pub fn to_public_json(&self) -> Option<String> {
        (!self.is_audit()).then(|| to_json(&Public(self)))
    }

    /// As a line of the log: the name of the event, then `key=value` for each field and fact.
    pub fn to_text(&self) -> String {
        let mut text = self.event.clone().into_owned();
        let mut add = |name: &str, value: &dyn fmt::Display| {
            text.push_str(&format!(" {name}={value}"));
        };
        if let Some(unique_id) = &self.unique_id {
            add("unique_id", unique_id);
        }
        if let Some(qualified_repo) = &self.qualified_repo {
            add("qualified_repo", qualified_repo);
        }
        if let Some(run_id) = &self.run_id {
            add("run_id", run_id);
        }
        if let Some(profile_key) = &self.profile_key {
            add("profile_key", profile_key);
        }
        if let Some(server) = &self.server {
            add("server", &quoted(server));
        }
        if let Some(runner) = &self.runner {
            add("runner", runner);
        }
        for (name, value) in &self.facts {
            add(name, &value_text(name, value));
        }
        text
    }

    /// Writes it to the log, at the level `info`.
    pub(super) fn log(&self, format: LogFormat) {
        if log::log_enabled!(target: LOG_TARGET, log::Level::Info) {
            match format {
                LogFormat::Text => log::info!(target: LOG_TARGET, "{}", self.to_text()),
                LogFormat::Json => log::info!(target: LOG_TARGET, "{}", self.to_json()),
            }
        }
    }

    /// About how many bytes it occupies in memory.
    pub(super) fn size(&self) -> usize {
        let texts = self.facts.iter().map(|(name, value)| {
            let length = match value {
                Value::String(text) => text.len(),
                Value::Array(values) => values.iter().map(value_size).sum(),
                _ => 0,
            };
            name.len() + length + size_of::<(Cow<'static, str>, Value)>()
        });
        size_of::<Self>() + self.server.as_ref().map_or(0, String::len) + texts.sum::<usize>()
    }

    fn serialize<M: SerializeMap>(&self, map: &mut M, is_public: bool) -> Result<(), M::Error> {
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("at", &self.at)?;
        map.serialize_entry("event", &self.event)?;
        // Of a job, strangers see which run it belongs to; of a runner, what it does. Which runner a job
        // has is not shown to them.
        let is_of_job = self.event.starts_with("job_");
        let shows_job = !is_public || is_of_job;
        let shows_runner = !is_public || !is_of_job;
        if let Some(unique_id) = self.unique_id.as_ref().filter(|_| shows_job) {
            if is_public {
                map.serialize_entry("public_id", &unique_id.public_id())?;
            } else {
                map.serialize_entry("unique_id", unique_id)?;
            }
        }
        if let Some(qualified_repo) = self.qualified_repo.as_ref().filter(|_| shows_job) {
            map.serialize_entry("qualified_repo", qualified_repo)?;
        }
        if let Some(run_id) = self.run_id.as_ref().filter(|_| shows_job) {
            map.serialize_entry("run_id", run_id)?;
        }
        if let Some(profile_key) = &self.profile_key {
            map.serialize_entry("profile_key", profile_key)?;
        }
        if let Some(server) = self.server.as_ref().filter(|_| shows_runner) {
            map.serialize_entry("server", server)?;
        }
        if let Some(runner) = self.runner.as_ref().filter(|_| shows_runner) {
            map.serialize_entry("runner", runner)?;
        }
        for (name, value) in &self.facts {
            if !is_public || PUBLIC_FACTS.contains(&&**name) {
                map.serialize_entry(name, value)?;
            }
        }
        Ok(())
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.serialize(&mut map, false)?;
        map.end()
    }
}

/// An event as strangers see it.
struct Public<'a>(&'a Entry);

impl Serialize for Public<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.serialize(&mut map, true)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut entry = Entry::new(Timestamp::default(), "");
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            match &*name {
                "id" => entry.id = map.next_value()?,
                "at" => entry.at = map.next_value()?,
                "event" => entry.event = Cow::Owned(map.next_value()?),
                "unique_id" => entry.unique_id = map.next_value()?,
                "qualified_repo" => entry.qualified_repo = map.next_value()?,
                "run_id" => entry.run_id = map.next_value()?,
                "profile_key" => entry.profile_key = map.next_value()?,
                "server" => entry.server = map.next_value()?,
                "runner" => entry.runner = map.next_value()?,
                _ => {
                    let value = map.next_value()?;
                    if entry.facts.len() < FACTS_MAX {
                        entry.facts.push((Cow::Owned(name.into_owned()), value));
                    }
                }
            }
        }
        if entry.id == 0 || !is_name(&entry.event) {
            return Err(serde::de::Error::custom(
                "an event has an id and a name in snake case",
            ));
        }
        Ok(entry)
    }
}

fn to_json(entry: &impl Serialize) -> String {
    // Keys are text and values are plain, so this cannot fail.
    printable_json(serde_json::to_string(entry).unwrap_or_default())
}

/// Whether it can be the name of an event. Streams contain it as it is, so that it must have no line breaks.
fn is_name(name: &str) -> bool {
    let is_snake_case = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (1..=NAME_LENGTH_MAX).contains(&name.len()) && name.bytes().all(is_snake_case)
}

fn is_name_of_time(name: &str) -> bool {
    name.ends_with("_at") || name.ends_with("_since")
}

/// The value of a fact in a line of the log.
fn value_text(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text).into_owned(),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(|value| value_text("", value)).collect();
            values.join(",")
        }
        // A runner of a job: runner#server.
        Value::Object(fields) => {
            let values: Vec<String> = fields
                .iter()
                .map(|(name, it)| value_text(name, it))
                .collect();
            values.join("#")
        }
        Value::Number(number) => match number.as_u64().filter(|_| is_name_of_time(name)) {
            Some(micros) => Timestamp::from_micros(micros).date_and_time(),
            None => number.to_string(),
        },
        value => value.to_string(),
    }
}

fn value_size(value: &Value) -> usize {
    size_of::<Value>() + value.as_str().map_or(0, str::len)
}

/// A text as it is, or in quotation marks if it would otherwise be unclear where it ends.
fn quoted(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b',');
    if !text.is_empty() && text.bytes().all(is_plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(Value::from(text).to_string())
    }
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT_LENGTH_MAX {
        let end = (0..=TEXT_LENGTH_MAX).rfind(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry() -> Entry {
        Entry {
            id: 7,
            unique_id: Some("my-job".parse().unwrap()),
            qualified_repo: Some("servo/servo".parse().unwrap()),
            run_id: Some(RunId(42)),
            profile_key: Some("linux".parse().unwrap()),
            server: Some("http://ci1:8000/".to_owned()),
            runner: Some(9),
            ..Entry::new(Timestamp::from_micros(5), "job_assigned")
        }
        .fact("count", 2)
        .fact(
            "runners",
            json!([{"server": "http://ci1:8000/", "runner": 9}, "a b"]),
        )
        .time("enqueued_at", Timestamp::from_seconds(1_798_106_405))
        .fact("said", "a \"b\"\n\u{202e}")
    }

    #[test]
    fn the_line_in_the_log_has_all_fields_and_facts() {
        assert_eq!(
            entry().to_text(),
            "job_assigned unique_id=my-job qualified_repo=servo/servo run_id=42 profile_key=linux \
             server=http://ci1:8000/ runner=9 count=2 runners=9#http://ci1:8000/,\"a b\" \
             enqueued_at=2026-12-24T10:00:05Z said=\"a \\\"b\\\"\\n\u{202e}\""
        );
        let bare = Entry::new(Timestamp::default(), "started").fact("empty", "");
        assert_eq!(bare.to_text(), "started empty=\"\"");
    }

    #[test]
    fn an_event_survives_its_json_with_the_order_of_its_facts() {
        let json = entry().to_json();
        assert!(!json.contains('\n') && !json.contains('\u{202e}'), "{json}");
        assert!(json.starts_with(
            r#"{"id":7,"at":5,"event":"job_assigned","unique_id":"my-job","qualified_repo":"servo/servo","run_id":42,"profile_key":"linux","server":"http://ci1:8000/","runner":9,"count":2,"#
        ), "{json}");
        assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry());
    }

    #[test]
    fn json_that_is_no_event_is_refused() {
        for json in [
            "{}",
            "[]",
            r#"{"id":0,"event":"a"}"#,
            r#"{"id":1}"#,
            r#"{"id":-1,"event":"a"}"#,
            r#"{"id":1,"event":""}"#,
            r#"{"id":1,"event":"a\n\nevent: job_finished"}"#,
            r#"{"id":1,"event":"job finished"}"#,
            &format!(r#"{{"id":1,"event":"{}"}}"#, "a".repeat(65)),
            r#"{"id":1,"event":"a","unique_id":"a b"}"#,
            r#"{"id":1,"event":"a""#,
        ] {
            assert!(serde_json::from_str::<Entry>(json).is_err(), "{json}");
        }
        let least = serde_json::from_str::<Entry>(r#"{"id":1,"event":"a"}"#);
        assert_eq!(least.unwrap().to_text(), "a");
    }

    #[test]
    fn strangers_see_of_a_job_neither_its_name_nor_its_runners() {
        let public = entry().to_public_json().unwrap();
        let public: Value = serde_json::from_str(&public).unwrap();
        let public_id = "my-job".parse::<UniqueId>().unwrap().public_id();
        assert_eq!(
            public,
            json!({"id": 7, "at": 5, "event": "job_assigned", "public_id": public_id, "qualified_repo": "servo/servo",
                "run_id": 42, "profile_key": "linux", "count": 2, "enqueued_at": 1_798_106_405_000_000_u64})
        );
    }

    #[test]
    fn strangers_see_of_a_runner_not_whose_job_it_has() {
        let event = Entry {
            event: "runner_reserved".into(),
            ..entry()
        };
        let public: Value = serde_json::from_str(&event.to_public_json().unwrap()).unwrap();
        assert_eq!(
            public,
            json!({"id": 7, "at": 5, "event": "runner_reserved", "profile_key": "linux", "server": "http://ci1:8000/",
                "runner": 9, "count": 2, "enqueued_at": 1_798_106_405_000_000_u64})
        );
    }

    #[test]
    fn strangers_see_no_audit_events() {
        let audit = Entry::audit(Timestamp::default(), "withdraw", "api_token", "192.0.2.1");
        assert_eq!(audit.to_public_json(), None);
        assert_eq!(
            audit.to_text(),
            "audit action=withdraw authorised_by=api_token client_address=192.0.2.1"
        );
    }

    #[test]
    fn texts_and_numbers_of_facts_are_limited() {
        let mut event = Entry::new(Timestamp::default(), "a").fact("text", "é".repeat(5000));
        assert_eq!(event.get("text").unwrap().as_str().unwrap().len(), 4096);
        for _ in 0..100 {
            event = event.fact("n", 1);
        }
        assert_eq!(event.facts.len(), FACTS_MAX);
        assert!(event.size() > 4096);
    }
}

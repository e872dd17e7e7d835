//! The log: to standard error, filtered by `RUST_LOG`.
//!
//! Responsible for log targets: all of our records have a target that begins with the name of the
//! daemon, whichever crate they come from. So `RUST_LOG=monitor=info`, which existing units set,
//! shows them all. Characters that could forge or hide lines are escaped, and what actix reports about
//! connections of strangers is counted (`repeated`). Not responsible for the writing (`log_output`).

use std::{
    backtrace::BacktraceStatus,
    borrow::Cow,
    io::{self, Write},
    panic,
};

use env_logger::{Target, WriteStyle, fmt::Formatter};
use log::{Level, LevelFilter, Log, Metadata, Record};
use serde_json::json;

use crate::{journal, log_output, repeated};
use shared::{settings::LogFormat, text::printable};

/// What is logged if `RUST_LOG` is not set.
const DEFAULT_FILTER: &str = "info,actix_server=warn";

/// Our crates whose names do not begin with `monitor` or `queue`, as `monitor_core` does.
const CRATES: [&str; 4] = ["daemon", "github", "http_client", "shared"];

/// Starts the log of `daemon`, in colour if it is for people and standard error is a terminal that shows it.
/// `filter` is the value of `RUST_LOG`.
pub(super) fn start(daemon: &'static str, filter: Option<&str>, format: LogFormat) {
    let filter = filter.unwrap_or(DEFAULT_FILTER);
    let mistake = mistake_in(filter);
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(mistake.as_ref().map_or(filter, |_| DEFAULT_FILTER));
    builder.write_style(match anstream::AutoStream::choice(&io::stderr()) {
        anstream::ColorChoice::Never => WriteStyle::Never,
        _ => WriteStyle::Always,
    });
    builder.target(Target::Pipe(Box::new(log_output::start())));
    if format == LogFormat::Json {
        builder.write_style(WriteStyle::Never);
        builder.format(write_json);
    }
    let logger = builder.build();
    let level = logger.filter();
    // An error means that there is a log already, as in tests.
    if log::set_boxed_logger(Box::new(TargetPrefix { daemon, logger })).is_ok() {
        log::set_max_level(level);
        // The default hook writes to standard error itself, which may block.
        panic::set_hook(Box::new(log_panic));
    }
    if let Some(mistake) = mistake {
        log::warn!(
            "RUST_LOG is {filter:?}, which is not used because {mistake}; set it to a level (error, warn, \
             info, debug, trace) or to a list such as \"info,{daemon}::api=debug\""
        );
    }
}

/// What makes `filter` unusable, if anything does.
///
/// `env_logger` ignores a level that it does not know, and takes a word that is none, such as `warning`, for
/// the name of a module: either way the log would be empty.
fn mistake_in(filter: &str) -> Option<String> {
    let modules = match filter.split('/').collect::<Vec<_>>()[..] {
        [modules] | [modules, _] => modules,
        _ => return Some("it contains more than one /".to_owned()),
    };
    let is_level = |text: &str| text.parse::<LevelFilter>().is_ok();
    let names_us = |text: &str| {
        ["monitor", "queue"]
            .iter()
            .any(|name| text.starts_with(name))
    };
    let no_level = |text: &str| Some(format!("{text:?} is no level"));
    let mut unknown_word = None;
    let mut has_effect = false;
    for part in modules.split(',').map(str::trim) {
        match part.split_once('=') {
            Some((_, level)) if level.is_empty() || is_level(level.trim()) => has_effect = true,
            Some((_, level)) => return no_level(level),
            None if part.is_empty() => {}
            None if is_level(part) || names_us(part) => has_effect = true,
            None => unknown_word = unknown_word.or(Some(part)),
        }
    }
    unknown_word.filter(|_| !has_effect).and_then(no_level)
}

/// Writes a record as one JSON object: `time`, `level`, `target`, and `message`, or instead of the message
/// the fields of an event.
fn write_json(line: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let head = json!({
        "time": line.timestamp_micros().to_string(),
        "level": record.level().as_str(),
        "target": record.target(),
    });
    let head = head.to_string();
    let text = record.args().to_string();
    let is_event = record.target().ends_with(journal::LOG_TARGET);
    match text.strip_prefix('{').filter(|_| is_event) {
        Some(fields) => writeln!(line, "{},{fields}", head.trim_end_matches('}')),
        None => {
            let message = json!(text);
            writeln!(
                line,
                "{},\"message\":{message}}}",
                head.trim_end_matches('}')
            )
        }
    }
}

fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let backtrace = std::backtrace::Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => log_lines(&format!("{panic}\n{backtrace}")),
        _ => log_lines(&panic.to_string()),
    }
}

/// Logs each line by itself: a line break within a record is escaped.
fn log_lines(text: &str) {
    for line in text.lines() {
        log::error!("{line}");
    }
}

/// What actix reports about a connection as an error or a warning. Any client can cause it as often as it
/// likes, for example by bytes that are not HTTP, so it is counted instead of logged.
fn count_connection_error(record: &Record<'_>) -> bool {
    let is_from = |crate_name: &str| {
        let rest = record.target().strip_prefix(crate_name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let cause = match record.level() {
        Level::Error | Level::Warn if is_from("actix_http") => "malformed_http",
        Level::Error | Level::Warn if is_from("actix_server::accept") => "connection_not_accepted",
        _ => return false,
    };
    repeated::count(cause, || record.args().to_string());
    true
}

/// Passes records on to `logger`, with the targets of [`CRATES`] moved below `daemon`:
/// `github::client` becomes `monitor::github::client`. The filter sees the new target.
struct TargetPrefix<L> {
    daemon: &'static str,
    logger: L,
}

impl<L> TargetPrefix<L> {
    fn target<'a>(&self, target: &'a str) -> Cow<'a, str> {
        let name = target.split("::").next().unwrap_or_default();
        if CRATES.contains(&name) {
            Cow::Owned(format!("{}::{target}", self.daemon))
        } else {
            Cow::Borrowed(target)
        }
    }
}

impl<L: Log> Log for TargetPrefix<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = self.target(metadata.target());
        let level = metadata.level();
        let metadata = Metadata::builder().level(level).target(&target).build();
        self.logger.enabled(&metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let target = self.target(record.target());
        let level = record.level();
        let metadata = Metadata::builder().level(level).target(&target).build();
        if !self.logger.enabled(&metadata) || count_connection_error(record) {
            return;
        }
        let text = record.args().to_string();
        self.logger.log(
            &Record::builder()
                .args(format_args!("{}", printable(&text)))
                .level(record.level())
                .target(&target)
                .module_path(record.module_path())
                .file(record.file())
                .line(record.line())
                .build(),
        );
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::mpsc::{Receiver, Sender, channel},
    };

    use log::Level;
    use shared::clock::Timestamp;

    use super::*;

    struct Sink(Sender<Vec<u8>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A log of the monitor with that filter, and what it writes.
    fn log_with(filter: &str) -> (TargetPrefix<env_logger::Logger>, Receiver<Vec<u8>>) {
        let (sender, lines) = channel();
        let mut builder = env_logger::Builder::new();
        builder.parse_filters(filter).format_timestamp(None);
        builder.target(env_logger::Target::Pipe(Box::new(Sink(sender))));
        let logger = builder.build();
        let daemon = "monitor";
        (TargetPrefix { daemon, logger }, lines)
    }

    /// What a record with that target becomes, if it is logged.
    fn line(filter: &str, target: &str) -> Option<String> {
        let (log, lines) = log_with(filter);
        let metadata = Metadata::builder()
            .level(Level::Info)
            .target(target)
            .build();
        let is_enabled = log.enabled(&metadata);
        log.log(
            &Record::builder()
                .level(Level::Info)
                .target(target)
                .args(format_args!("text"))
                .build(),
        );
        log.flush();
        drop(log);
        let bytes: Vec<u8> = lines.try_iter().flatten().collect();
        assert_eq!(is_enabled, !bytes.is_empty(), "{filter} {target}");
        is_enabled.then(|| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn the_filter_monitor_shows_the_records_of_all_our_crates() {
        for (target, shown) in [
            ("monitor", "monitor"),
            ("monitor::app", "monitor::app"),
            ("monitor_core::plan", "monitor_core::plan"),
            ("github::client", "monitor::github::client"),
            ("http_client::client", "monitor::http_client::client"),
            ("daemon::web", "monitor::daemon::web"),
            ("daemon", "monitor::daemon"),
        ] {
            let line = line("monitor=info", target);
            assert_eq!(line, Some(format!("[INFO  {shown}] text\n")));
        }
    }

    /// What a record with that level, target and text becomes.
    fn lines_of(level: Level, target: &str, text: &str) -> String {
        let (log, lines) = log_with("info");
        log.log(
            &Record::builder()
                .level(level)
                .target(target)
                .args(format_args!("{text}"))
                .build(),
        );
        drop(log);
        let bytes: Vec<u8> = lines.try_iter().flatten().collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_record_is_one_line_without_characters_that_deceive() {
        let text = "job a\n[ERROR monitor] forged\r\u{1b}[2J \u{202e}txt\u{2028}\u{200b}";
        assert_eq!(
            lines_of(Level::Info, "monitor", text),
            "[INFO  monitor] job a\\n[ERROR monitor] forged\\r\\u{1b}[2J \\u{202e}txt\\u{2028}\\u{200b}\n"
        );
    }

    #[test]
    fn as_json_each_record_is_an_object_and_an_event_has_its_fields() {
        let (sender, lines) = channel();
        let mut builder = env_logger::Builder::new();
        builder.parse_filters("info").format(write_json);
        builder.target(env_logger::Target::Pipe(Box::new(Sink(sender))));
        let logger = builder.build();
        let log = TargetPrefix {
            daemon: "queue",
            logger,
        };
        let event = journal::Entry {
            id: 7,
            ..journal::Entry::new(Timestamp::from_micros(5), "job_started")
        };
        let event = event.fact("said", "a \"b\"\n\u{202e}");
        for (target, text) in [
            ("github::client", "a \"b\"\n{}".to_owned()),
            (journal::LOG_TARGET, event.to_json()),
            (journal::LOG_TARGET, "no event".to_owned()),
        ] {
            let mut record = Record::builder();
            record.level(Level::Info).target(target);
            log.log(&record.args(format_args!("{text}")).build());
        }
        drop(log);
        let bytes: Vec<u8> = lines.try_iter().flatten().collect();
        let lines = String::from_utf8(bytes).unwrap();
        let lines = lines.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            let time = line.as_object_mut().unwrap().remove("time").unwrap();
            assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
            line
        });
        let lines: Vec<_> = lines.collect();
        let target = "queue::daemon::journal";
        assert_eq!(
            lines,
            [
                json!({"level": "INFO", "target": "queue::github::client", "message": "a \"b\"\\n{}"}),
                json!({"level": "INFO", "target": target, "id": 7, "at": 5, "event": "job_started",
                    "said": "a \"b\"\n\u{202e}"}),
                json!({"level": "INFO", "target": target, "message": "no event"}),
            ]
        );
    }

    #[test]
    fn errors_of_connections_are_counted_and_not_logged() {
        let count = |cause| repeated::totals().get(cause).copied().unwrap_or_default();
        for (target, cause) in [
            ("actix_http::h1::dispatcher", "malformed_http"),
            ("actix_server::accept", "connection_not_accepted"),
        ] {
            let before = count(cause);
            for level in [Level::Error, Level::Warn] {
                assert_eq!(lines_of(level, target, "stream error: x"), "");
            }
            assert!(count(cause) >= before + 2, "{cause}");
        }
        for target in ["actix_httpd", "actix_server::worker", "monitor::actix_http"] {
            assert_ne!(lines_of(Level::Error, target, "x"), "", "{target}");
        }
    }

    #[test]
    fn other_crates_keep_their_targets() {
        assert_eq!(line("monitor=info", "actix_server::worker"), None);
        assert_eq!(line("monitor=info", "githubber"), None);
        let expected = Some("[INFO  actix_server::worker] text\n".to_owned());
        assert_eq!(line("info", "actix_server::worker"), expected);
    }

    #[test]
    fn a_crate_can_be_filtered_by_its_new_target() {
        assert_eq!(line("info,monitor::github=warn", "github::client"), None);
        assert_eq!(line("monitor=warn", "github::client"), None);
    }

    #[test]
    fn a_filter_that_would_hide_the_whole_log_is_a_mistake() {
        for filter in [
            "info",
            "WARN",
            "off",
            "",
            "info,actix_server=warn",
            "monitor=info",
            "monitor::api=debug,queue",
            "monitor=",
            "monitor",
            "info,hyper",
            "info/take",
        ] {
            assert_eq!(mistake_in(filter), None, "{filter}");
        }
        for (filter, mistake) in [
            ("warning", "\"warning\" is no level"),
            ("verbose, all", "\"verbose\" is no level"),
            ("1", "\"1\" is no level"),
            ("info,monitor=loud", "\"loud\" is no level"),
            ("a=b=c", "\"b=c\" is no level"),
            ("info/a/b", "it contains more than one /"),
            ("\u{fffd}", "\"\u{fffd}\" is no level"),
        ] {
            assert_eq!(mistake_in(filter).as_deref(), Some(mistake), "{filter}");
        }
    }
}

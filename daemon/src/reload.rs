//! Reading the settings again while the daemon runs: on SIGHUP and by `POST /reload`.
//!
//! Responsible for what has changed, and for mistakes, which change nothing and are a problem until they are
//! corrected. What a setting means is known to the daemon, which applies those that need no restart.

use std::{collections::BTreeSet, io, sync::Arc};

use actix_web::{
    HttpResponse,
    web::{self, Data, ServiceConfig},
};
use parking_lot::Mutex;
use serde::Serialize;
use shared::{
    clock::Clock,
    format,
    problem::catalogue::SETTINGS_NOT_RELOADED,
    settings::{Settings, User},
};
use utoipa::ToSchema;

use crate::{
    auth::Authorised,
    error::{ApiError, Code},
    journal::{Entry, Journal},
    problems::ProblemBoard,
    startup::hangups,
    web::{Operator, route},
};

/// See [`Reloadable`].
const PRESENT: &str = "{present}";
/// The subject of the problem.
const SUBJECT: &str = "settings";

/// Which settings a daemon applies without a restart. In the names `*` stands for any text without a dot, and
/// `{present}` for the name of a table that there was at the start and is still: a profile that is added or removed needs
/// a restart.
#[derive(Clone, Copy, Debug)]
pub struct Reloadable {
    /// The settings that it applies.
    pub applied: &'static [&'static str],
    /// Which daemon it is: settings that it does not use are not mentioned.
    pub daemon: User,
}

/// Reads the settings again. Cheap to clone.
#[derive(Clone)]
pub struct Reloader(Arc<Shared>);

struct Shared {
    reloadable: Reloadable,
    started_with: Settings,
    /// Held while the settings are read and applied.
    current: Mutex<Settings>,
    apply: Box<dyn Fn(&Settings) + Send + Sync>,
    problem_board: ProblemBoard,
    journal: Journal,
    clock: Clock,
}

/// What a reload has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reloaded {
    /// The settings that have changed since they were last read, and are in force now.
    pub applied: BTreeSet<String>,
    /// The settings that differ from those that the daemon was started with, and need a restart.
    pub needs_restart: BTreeSet<String>,
}

/// What has caused a reload.
enum By {
    /// SIGHUP.
    Signal,
    /// A request with the API token.
    Operator(Operator),
}

impl Reloader {
    /// A reloader of a daemon that was started with `settings`. `apply` puts those in force that are
    /// `reloadable`, and must leave all others as they are.
    pub fn new(
        settings: &Settings,
        reloadable: Reloadable,
        problem_board: ProblemBoard,
        journal: Journal,
        clock: Clock,
        apply: impl Fn(&Settings) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            reloadable,
            started_with: settings.clone(),
            current: Mutex::new(settings.clone()),
            apply: Box::new(apply),
            problem_board,
            journal,
            clock,
        }))
    }

    /// Reads the settings again and applies what has changed. Blocks while it reads the files.
    ///
    /// # Errors
    /// The mistake in the settings, in one sentence. Then nothing has changed.
    fn reload(&self, by: &By) -> Result<Reloaded, String> {
        let shared = &*self.0;
        let mut current = shared.current.lock();
        let new = current.reread().map_err(|error| {
            let cause = format!("they were not reloaded: {error}");
            let remedy = "correct it until `--check` reports nothing, then reload the settings again; a restart \
                          with this mistake would fail";
            shared
                .problem_board
                .report(&SETTINGS_NOT_RELOADED, SUBJECT, cause, remedy);
            error.to_string()
        })?;
        let Reloadable { applied, daemon } = shared.reloadable;
        let is_there = |table: &str| shared.started_with.has_table(table) && new.has_table(table);
        let is_applied = |key: &String| {
            let mut patterns = applied.iter();
            patterns.any(|pattern| matches(pattern, key) && tables(pattern, key).all(is_there))
        };
        let mut reloaded = Reloaded {
            applied: current.differences(&new),
            needs_restart: shared.started_with.differences(&new),
        };
        reloaded.applied.retain(|key| is_applied(key));
        let is_left = |key: &String| new.is_used_by(daemon, key) && !is_applied(key);
        reloaded.needs_restart.retain(is_left);
        (shared.apply)(&new);
        *current = new;
        shared
            .problem_board
            .resolve(&SETTINGS_NOT_RELOADED, SUBJECT);
        log::info!(
            "reloaded the settings; in force now: {}; after a restart: {}",
            list(&reloaded.applied),
            list(&reloaded.needs_restart)
        );
        let entry = match by {
            By::Signal => Entry::audit(shared.clock.now(), "reload", "signal", "this host"),
            By::Operator(operator) => operator.audit(shared.clock.now(), "reload", "api_token"),
        };
        let entry = entry.fact("applied", list(&reloaded.applied));
        let needs_restart = list(&reloaded.needs_restart);
        shared
            .journal
            .record(entry.fact("needs_restart", needs_restart));
        Ok(reloaded)
    }

    /// Reloads on each SIGHUP, also on those since the start of the process. Never returns.
    pub fn run(self) -> impl Future<Output = ()> {
        let hangups = hangups();
        async move {
            match hangups {
                Ok(mut hangups) => {
                    while hangups.recv().await.is_some() {
                        // The problem, which is logged, has the mistake.
                        let _ = self.in_background(By::Signal).await;
                    }
                }
                Err(error) => {
                    let error = format::with_causes(&error);
                    log::error!("failed to install a handler of SIGHUP: {error}");
                }
            }
            std::future::pending::<()>().await;
        }
    }

    async fn in_background(&self, by: By) -> io::Result<Result<Reloaded, String>> {
        let reloader = self.clone();
        let reloaded = web::block(move || reloader.reload(&by)).await;
        reloaded.map_err(io::Error::other)
    }
}

/// Registers `POST /reload`.
pub fn configure(config: &mut ServiceConfig, reloader: Reloader) {
    config
        .app_data(Data::new(reloader))
        .service(route("/reload").post(reload));
}

/// `POST /reload`
async fn reload(
    _: Authorised,
    operator: Operator,
    reloader: Data<Reloader>,
) -> Result<HttpResponse, ApiError> {
    let reloaded = reloader.in_background(By::Operator(operator)).await;
    let reloaded = reloaded.map_err(|error| {
        log::error!("failed to reload the settings: {error}");
        ApiError::new(
            Code::Internal,
            "the settings could not be read; the log has the details",
        )
    })?;
    let reloaded = reloaded.map_err(|mistake| {
        let message = format!("nothing was changed: {mistake}");
        ApiError::new(Code::InvalidSettings, message)
    })?;
    Ok(HttpResponse::Ok().json(reloaded))
}

fn list(keys: &BTreeSet<String>) -> String {
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    match keys.is_empty() {
        true => "none".to_owned(),
        false => keys.join(", "),
    }
}

/// Whether a name fits a pattern, segment by segment.
fn matches(pattern: &str, key: &str) -> bool {
    let (pattern, key): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), key.split('.').collect());
    pattern.len() == key.len()
        && pattern
            .iter()
            .zip(&key)
            .all(|(pattern, key)| ["*", PRESENT, *key].contains(pattern))
}

/// The tables of a name that stand where its pattern has [`PRESENT`]: `profiles.linux` of `profiles.linux.target_count`.
fn tables<'a>(pattern: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    let ends = key.match_indices('.').map(|(end, _)| end);
    let segments = pattern.split('.').zip(ends);
    segments
        .filter(|(segment, _)| *segment == PRESENT)
        .map(|(_, end)| &key[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_one_segment() {
        for (pattern, key, is_match) in [
            (
                "profiles.*.target_count",
                "profiles.linux.target_count",
                true,
            ),
            ("profiles.*.target_count", "profiles.linux.driver", false),
            (
                "profiles.*.target_count",
                "profiles.a.b.target_count",
                false,
            ),
            ("queue.jobs_max", "queue.jobs_max", true),
            ("queue.jobs_max", "jobs_max", false),
        ] {
            assert_eq!(matches(pattern, key), is_match, "{pattern} {key}");
        }
    }

    #[test]
    fn the_table_that_has_to_be_present_is_found() {
        let of = |pattern, key| tables(pattern, key).collect::<Vec<_>>();
        let key = "profiles.linux.target_count";
        assert!(matches("profiles.{present}.target_count", key));
        assert_eq!(
            of("profiles.{present}.target_count", key),
            ["profiles.linux"]
        );
        assert_eq!(of("profiles.*.target_count", key), [""; 0]);
        assert_eq!(of("queue.jobs_max", "queue.jobs_max"), [""; 0]);
    }
}

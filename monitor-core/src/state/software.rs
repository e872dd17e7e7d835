//! The runner software: which version each profile has, and until when GitHub supports it.
//!
//! Responsible for which versions GitHub is asked about and when, and for warning before support
//! ends. The version of a profile is what its runners reported to GitHub when they connected; what
//! its image contains is not known here. Nothing survives a restart: the next lists show it again.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    backoff::{Backoff, Failures},
    clock::Timestamp,
    software::Support,
    values::ProfileKey,
};

use crate::RunnerId;

/// How long an answer is valid. GitHub sets the end of support weeks ahead.
const ANSWER_TIMEOUT: Duration = Duration::from_hours(6);
/// The pauses after failed queries. They may be long: nothing waits for the answer.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_mins(5),
    max: Duration::from_hours(6),
    jitter_percent: 50,
};
/// How long before the end of support there are warnings; GitHub sets it some 30 days ahead.
const WARNING_PERIOD: Duration = Duration::from_hours(14 * 24);
/// Maximum number of versions that GitHub is asked about.
const VERSIONS_MAX: usize = 16;
/// Maximum length of a version, in bytes.
const VERSION_LENGTH_MAX: usize = 32;

/// What is known of the runner software.
#[derive(Default)]
pub struct Software {
    /// The newest runner of each profile that ever connected, and its version.
    by_profile: BTreeMap<ProfileKey, (RunnerId, String)>,
    versions: BTreeMap<String, Version>,
}

#[derive(Default)]
struct Version {
    support: Option<Support>,
    query_at: Timestamp,
    failures: Failures,
}

/// The runner software of a profile, as the dashboard shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoftwareView {
    /// Such as `2.337.0`.
    pub version: String,
    /// None until GitHub has answered.
    pub support: Option<Support>,
}

impl SoftwareView {
    /// The end of its support, if that is over or soon.
    pub fn support_end(&self, now: Timestamp) -> Option<SupportEnd> {
        let Some(Support::Until(ends_at)) = self.support else {
            return None;
        };
        if now + WARNING_PERIOD < ends_at {
            return None;
        }
        let version = &self.version;
        let date = ends_at.date();
        let has_ended = ends_at <= now;
        let what = match has_ended {
            true => format!("has not been supported by GitHub since {date}"),
            false => format!("is supported by GitHub until {date} only"),
        };
        Some(SupportEnd {
            has_ended,
            since: if has_ended {
                ends_at
            } else {
                ends_at - WARNING_PERIOD
            },
            cause: format!("its runner software {version} {what}"),
        })
    }

    /// What an operator has to do, as the end of a sentence about the profile; none if support does
    /// not end soon.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let end = self.support_end(now)?;
        Some(format!("{}; {NEWER_VERSION}", end.cause))
    }
}

/// What to do about runner software without support.
pub(crate) const NEWER_VERSION: &str = "put a newer version into its image";

/// Runner software whose support has ended, or ends soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportEnd {
    pub has_ended: bool,
    /// Since when that is a problem.
    pub since: Timestamp,
    /// What is wrong, as a clause about the profile.
    pub cause: String,
}

impl Software {
    /// The versions that GitHub is to be asked about now.
    pub fn start_queries(&mut self, now: Timestamp) -> Vec<String> {
        let versions = self.versions.iter_mut();
        let due = versions.filter(|(_, version)| version.query_at <= now);
        due.map(|(name, version)| {
            version.query_at = now + ANSWER_TIMEOUT;
            name.clone()
        })
        .collect()
    }

    /// GitHub has answered how long a version is supported, or the query has failed; then
    /// `Err(Some(_))` is the pause that GitHub asked for.
    pub fn record_answer(
        &mut self,
        name: &str,
        answer: Result<Support, Option<Duration>>,
        now: Timestamp,
    ) {
        // No profile may have the version any more.
        let Some(version) = self.versions.get_mut(name) else {
            return;
        };
        match answer {
            Ok(support) => {
                version.support = Some(support);
                version.failures.reset();
                version.query_at = now + ANSWER_TIMEOUT;
            }
            Err(retry_after) => {
                let at_least = retry_after.unwrap_or_default();
                version.failures.record(now, BACKOFF, at_least);
                version.query_at = version.failures.retry_at();
            }
        }
    }

    /// A runner reported its version to GitHub. The version of a profile is that of its newest
    /// runner.
    pub fn record_version(&mut self, id: RunnerId, profile_key: &ProfileKey, version: &str) {
        let known = self.by_profile.get(profile_key);
        if is_version(version) && known.is_none_or(|(newest, _)| *newest <= id) {
            let entry = (id, version.to_owned());
            self.by_profile.insert(profile_key.clone(), entry);
        }
    }

    /// Forgets profiles that are gone and versions that no profile has, and begins to ask about the
    /// versions that are new.
    pub fn update_versions(&mut self, has_profile: impl Fn(&ProfileKey) -> bool) {
        self.by_profile
            .retain(|profile_key, _| has_profile(profile_key));
        let in_use = || self.by_profile.values().map(|(_, version)| version);
        self.versions
            .retain(|name, _| in_use().any(|version| version == name));
        for name in self.by_profile.values().map(|(_, version)| version) {
            if self.versions.len() < VERSIONS_MAX {
                self.versions.entry(name.clone()).or_default();
            }
        }
    }

    /// The software of each profile of which any runner has connected.
    pub fn views(&self) -> BTreeMap<ProfileKey, SoftwareView> {
        let profiles = self.by_profile.iter();
        profiles
            .map(|(profile_key, (_, version))| {
                let known = self.versions.get(version);
                let view = SoftwareView {
                    version: version.clone(),
                    support: known.and_then(|known| known.support),
                };
                (profile_key.clone(), view)
            })
            .collect()
    }
}

/// Whether a text looks like a version, such as `2.337.0` or `3.0.0-rc.1`. Runners report it
/// themselves, so it is not trusted to be one.
fn is_version(text: &str) -> bool {
    let mut bytes = text.bytes();
    (1..=VERSION_LENGTH_MAX).contains(&text.len())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
}

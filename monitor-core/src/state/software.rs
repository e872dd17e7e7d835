//! The runner software in our guests: which version each profile has, and until when GitHub
//! supports it.
//!
//! Owns when GitHub is asked about a version, and when its end is near enough to warn of. What an
//! image contains is nobody's business here: the version is what runners told GitHub when they
//! connected, and GitHub's list passes on.

use std::{collections::BTreeMap, time::Duration};

use shared::{clock::Timestamp, software::Support, values::ProfileKey};

use crate::{BackOff, Monitor, RunnerId, state::back_off::Pauses};

/// How long an answer is good for. A date is set when the next release comes, weeks before.
const ANSWER_TIMEOUT: Duration = Duration::from_hours(6);
/// The pauses after questions that failed. Nobody waits for the answer.
const PAUSES: Pauses = Pauses {
    first: Duration::from_mins(5),
    longest: Duration::from_hours(6),
};
/// An end is warned of so long before; GitHub sets it some 30 days before.
const WARNED_BEFORE: Duration = Duration::from_hours(14 * 24);
/// The most versions that GitHub is asked about.
const VERSIONS_MAX: usize = 16;
/// The longest text that is taken for a version, in bytes.
const VERSION_LENGTH_MAX: usize = 32;

/// What is known of the runner software. All of it is found again by looking.
#[derive(Default)]
pub struct Software {
    /// What the newest runner of each profile has that ever connected.
    of_profiles: BTreeMap<ProfileKey, (RunnerId, String)>,
    versions: BTreeMap<String, Version>,
}

#[derive(Default)]
struct Version {
    support: Option<Support>,
    ask_at: Timestamp,
    back_off: BackOff,
}

/// The runner software of a profile, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoftwareView {
    /// Such as `2.337.0`.
    pub version: String,
    /// What GitHub says of it; none if it was not asked yet.
    pub support: Option<Support>,
}

impl SoftwareView {
    /// What an operator has to do something about, as the end of a sentence about the profile.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let Some(Support::Until(ends_at)) = self.support else {
            return None;
        };
        if now + WARNED_BEFORE < ends_at {
            return None;
        }
        let version = &self.version;
        let date = ends_at.date();
        let what = match ends_at <= now {
            true => format!("is not supported by GitHub since {date}"),
            false => format!("is supported by GitHub until {date} only"),
        };
        Some(format!(
            "its runner software {version} {what}: put a newer one into its image"
        ))
    }
}

impl Monitor {
    /// The versions that GitHub is to be asked about now. Whoever calls this asks, and hands in
    /// each answer.
    pub fn start_software_queries(&mut self, now: Timestamp) -> Vec<String> {
        let versions = self.software.versions.iter_mut();
        let due = versions.filter(|(_, version)| version.ask_at <= now);
        due.map(|(name, version)| {
            version.ask_at = now + ANSWER_TIMEOUT;
            name.clone()
        })
        .collect()
    }

    /// GitHub has said until when a version is supported, or could not be asked; then
    /// `Err(Some(_))` is how long it wants to be left alone. Says what there is to warn of.
    pub fn handle_software_support(
        &mut self,
        name: &str,
        answer: Result<Support, Option<Duration>>,
        now: Timestamp,
    ) -> Vec<String> {
        let Some(version) = self.software.versions.get_mut(name) else {
            return Vec::new();
        };
        match answer {
            Ok(support) => {
                version.support = Some(support);
                version.back_off.succeed();
                version.ask_at = now + ANSWER_TIMEOUT;
            }
            Err(retry_after) => {
                let at_least = retry_after.unwrap_or_default();
                version.back_off.fail(now, PAUSES, at_least);
                version.ask_at = version.back_off.until();
            }
        }
        let views = self.software_views().into_iter();
        let of_version = views.filter(|(_, view)| view.version == name);
        of_version
            .filter_map(|(profile_key, view)| {
                let warning = view.warning(now)?;
                Some(format!("profile {profile_key}: {warning}"))
            })
            .collect()
    }

    /// The software of each profile, as far as any of its runners has connected.
    pub(crate) fn software_views(&self) -> BTreeMap<ProfileKey, SoftwareView> {
        let of_profiles = self.software.of_profiles.iter();
        of_profiles
            .map(|(profile_key, (_, version))| {
                let known = self.software.versions.get(version);
                let view = SoftwareView {
                    version: version.clone(),
                    support: known.and_then(|known| known.support),
                };
                (profile_key.clone(), view)
            })
            .collect()
    }

    /// Notes which software runners have, as GitHub's latest list shows it.
    pub(crate) fn note_software(&mut self) {
        let listing = self.observed.registrations.iter();
        for (id, registration) in listing.flat_map(|listing| &listing.seen) {
            let record = self.durable.runners.get(id);
            let version = registration.version.as_deref().filter(|it| is_version(it));
            let (Some(record), Some(version)) = (record, version) else {
                continue;
            };
            let noted = self.software.of_profiles.get(&record.profile_key);
            if noted.is_none_or(|(newest, _)| newest <= id) {
                let noted = (*id, version.to_owned());
                let profile_key = record.profile_key.clone();
                self.software.of_profiles.insert(profile_key, noted);
            }
        }
        let Software {
            of_profiles,
            versions,
        } = &mut self.software;
        of_profiles.retain(|profile_key, _| self.policy.profiles.contains_key(profile_key));
        versions.retain(|name, _| of_profiles.values().any(|(_, version)| version == name));
        for (_, name) in of_profiles.values() {
            if versions.len() < VERSIONS_MAX {
                versions.entry(name.clone()).or_default();
            }
        }
    }
}

/// Whether a text looks like a version, such as `2.337.0` or `3.0.0-rc.1`. What a runner tells
/// GitHub of itself is not to be trusted.
fn is_version(text: &str) -> bool {
    let mut bytes = text.bytes();
    (1..=VERSION_LENGTH_MAX).contains(&text.len())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
}

#[cfg(test)]
mod tests;

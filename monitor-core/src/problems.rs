//! What is wrong on this server, derived from the state: for dashboards, metrics and the log.
//!
//! Not responsible for problems outside of the core: adapters report those themselves.

use std::time::Duration;

use shared::{
    backoff::Failures,
    clock::Timestamp,
    problem::{Problem, catalogue},
    values::ProfileKey,
};

use crate::{
    Monitor, RunnerId,
    state::{
        monitor::CreationFailures, observed::Presence, runner::RunnerRecord,
        software::NEWER_VERSION,
    },
};

/// How long a runner may lack evidence of the end of its job before that is a problem, and before its
/// capacity no longer counts for queues.
const EVIDENCE_MAX: Duration = Duration::from_mins(10);
/// How long a registration without a guest here must have been alive to be that of another server.
const FOREIGN_MIN: Duration = Duration::from_mins(1);
/// How long after it became due the build of an image may not have succeeded.
const BUILD_DELAY_MAX: Duration = Duration::from_hours(1);
/// Failed creations in a row that are a problem.
const FAILURES_MIN: u32 = 2;
/// The most lines of the output of a guest that a problem repeats.
const LINES_SHOWN_MAX: usize = 3;

impl Monitor {
    /// Everything that is wrong, in a fixed order.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let runners = self.durable.runners.iter();
        let ended = self.durable.runners.iter();
        runners
            .filter_map(|(id, record)| not_destroyed(*id, record))
            .chain(ended.filter_map(|(id, record)| self.kept(*id, record)))
            .chain(
                self.creation_failures
                    .iter()
                    .filter_map(|it| self.not_created(it)),
            )
            .chain(self.images.failures().filter_map(not_built))
            .chain(
                self.policy
                    .profiles
                    .keys()
                    .filter_map(|it| self.no_image(it)),
            )
            .chain(
                self.policy
                    .profiles
                    .keys()
                    .filter_map(|it| self.too_old(it)),
            )
            .chain(
                self.policy
                    .profiles
                    .keys()
                    .filter_map(|it| self.unreachable(it)),
            )
            .chain(self.shared_suffix())
            .chain(self.outdated_software())
            .collect()
    }

    /// Since when the job of a runner may have ended without evidence of that, if for so long that an
    /// operator should know.
    pub(crate) fn lacks_evidence_since(
        &self,
        id: RunnerId,
        record: &RunnerRecord,
    ) -> Option<Timestamp> {
        let is_kept = record.was_busy
            && !record.has_evidence()
            && record.unregistered.is_none()
            && record.in_flight.is_none()
            && self.observed.guest(id, record) != Presence::Absent;
        let since = record.unlisted_since.filter(|_| is_kept)?;
        self.is_long_ago(since).then_some(since)
    }

    /// Whether something has lasted for so long since then that it will not end by itself.
    pub(crate) fn is_long_ago(&self, since: Timestamp) -> bool {
        self.now.since(since) >= EVIDENCE_MAX
    }

    /// A runner that was busy, that GitHub no longer lists, and whose guest is kept because nothing
    /// proves that its job has ended.
    fn kept(&self, id: RunnerId, record: &RunnerRecord) -> Option<Problem> {
        let since = self.lacks_evidence_since(id, record)?;
        let cause = "it had a job and GitHub no longer shows it, but nothing proves that the job has ended, so \
                     its guest is kept and counts against capacity";
        let remedy = format!(
            "check whether the guest still works; if not, run `ci-runners destroy-runner --monitor \
             {} {id}`; to avoid this, configure webhooks for workflow_job events, or let the credentials \
             read Actions",
            self.policy.base_url
        );
        let subject = format!("runner {}.{id}", record.profile_key);
        Some(catalogue::RUNNER_KEPT_WITHOUT_EVIDENCE.problem(subject, cause, remedy, since))
    }

    /// A profile that has no image and for which none is built here.
    fn no_image(&self, profile_key: &ProfileKey) -> Option<Problem> {
        let profile = self.policy.profiles.get(profile_key)?;
        let is_wanted = profile.target_count > 0 && !profile.builds_image;
        let is_missing = self.images.is_known() && self.lacks_image(profile_key);
        if !is_wanted || !is_missing {
            return None;
        }
        let cause = "it has no image, so there are no runners of it";
        let remedy = format!(
            "provide an image for it, or describe in profiles/{profile_key}/image.toml how it is built; to \
             have no runners of it, set its target_count to 0"
        );
        let subject = format!("profile {profile_key}");
        Some(catalogue::PROFILE_WITHOUT_IMAGE.problem(subject, cause, remedy, self.started_at))
    }

    /// An image that should have been replaced by now.
    fn too_old(&self, profile_key: &ProfileKey) -> Option<Problem> {
        let profile = self.policy.profiles.get(profile_key)?;
        let built_at = self.images.built_at(profile_key)?;
        let since = built_at + self.policy.image_max_age;
        let grace = match profile.builds_image {
            true => BUILD_DELAY_MAX,
            false => Duration::ZERO,
        };
        if profile.target_count == 0 || self.now <= since + grace {
            return None;
        }
        let cause = format!(
            "it is of {}, which is longer ago than base_image_max_age",
            built_at.date()
        );
        let remedy = match profile.builds_image {
            true => "see on the page of the monitor why no newer one is built",
            false => "import a newer one with `ci-runners import`, or raise base_image_max_age",
        };
        let subject = format!("image of {profile_key}");
        Some(catalogue::IMAGE_TOO_OLD.problem(subject, cause, remedy, since))
    }

    /// A profile whose runners cannot be created, or end at once.
    fn not_created(
        &self,
        (profile_key, known): (&ProfileKey, &CreationFailures),
    ) -> Option<Problem> {
        let since = known
            .own_since
            .filter(|_| known.own_count >= FAILURES_MIN)?;
        let id = known.last?;
        let counts = self.counts();
        let is_waiting = counts
            .get(profile_key)
            .is_some_and(|counts| counts.wanted > 0);
        let retry_at = known.failures.retry_at();
        let next = match retry_at > self.now {
            true => format!("next attempt at {}", retry_at.date_and_time()),
            false if is_waiting => "the next attempt waits for room".to_owned(),
            false => "the next attempt is under way".to_owned(),
        };
        let cause = format!(
            "{} of its runners in a row could not be created, or ended without having had a job; the last one was {}; {next}",
            known.own_count,
            known.last_failure(),
        );
        let remedy = format!(
            "read with the API token at {}runner/{id} what happened to it and what its guest printed last, or run \
             `grep runner={id}` on the log of the monitor; if GitHub rejects the runner software, put a newer \
             version into the image",
            self.policy.base_url
        );
        let problem =
            catalogue::RUNNERS_FAIL.problem(format!("profile {profile_key}"), cause, remedy, since);
        let lines = known.output.iter().rev().take(LINES_SHOWN_MAX).rev();
        let lines: Vec<&str> = lines.map(String::as_str).collect();
        Some(match lines.is_empty() {
            true => problem,
            false => problem.with_details(format!("last output: {}", lines.join(" | "))),
        })
    }

    /// A target that the capacity does not allow.
    fn unreachable(&self, profile_key: &ProfileKey) -> Option<Problem> {
        if !self.is_ready() || self.lacks_image(profile_key) {
            return None;
        }
        // Targets that follow demand are within the capacity.
        let targets = self.base_targets();
        let target = targets.get(profile_key).copied()?;
        let reachable = self.reachable_targets(targets, false);
        let reachable = reachable.get(profile_key).copied().unwrap_or_default();
        if reachable >= target {
            return None;
        }
        let cause = format!(
            "its target is {target}, but there is room for {reachable} beside the runners of the other \
             profiles, so the queue hears of {reachable}"
        );
        let remedy = "lower target_count, or raise what the settings allow runners to use";
        let subject = format!("profile {profile_key}");
        Some(catalogue::TARGET_NOT_REACHABLE.problem(subject, cause, remedy, self.started_at))
    }

    /// Runner software that GitHub does not support, or not for long.
    fn outdated_software(&self) -> impl Iterator<Item = Problem> {
        let views = self.software.views().into_iter();
        views.filter_map(|(profile_key, software)| {
            let end = software.support_end(self.now)?;
            let kind = match end.has_ended {
                true => &catalogue::RUNNER_SOFTWARE_UNSUPPORTED,
                false => &catalogue::RUNNER_SOFTWARE_SUPPORT_ENDS,
            };
            let subject = format!("profile {profile_key}");
            Some(kind.problem(subject, end.cause, NEWER_VERSION, end.since))
        })
    }

    /// Registrations that are alive, whose names are those of runners of this server, and that have no
    /// guest here.
    fn shared_suffix(&self) -> Option<Problem> {
        let unclaimed = self.observed.unclaimed.iter();
        // A runner here that is being registered may be listed before its registration is known.
        let alive = unclaimed.filter(|(id, found)| {
            let record = self.durable.runners.get(id);
            record.is_none_or(|it| !self.is_named(**id, it, &found.registration.name))
        });
        let mut alive = alive.filter_map(|(_, found)| {
            let since = found.alive_since?;
            let is_lasting = found.last_alive_at.since(since) >= FOREIGN_MIN;
            is_lasting.then_some((since, &found.registration.name))
        });
        let (since, name) = alive.next()?;
        let cause = format!(
            "{name} works according to GitHub, but this server has no such guest: another monitor seems to \
             use the same suffix"
        );
        let remedy = "give each server a github_api_suffix of its own";
        let subject = format!("github_api_suffix {}", self.policy.names.suffix);
        Some(catalogue::SUFFIX_SHARED.problem(subject, cause, remedy, since))
    }
}

/// A runner that cannot be destroyed: it counts against capacity until it is gone.
fn not_destroyed(id: RunnerId, record: &RunnerRecord) -> Option<Problem> {
    let failures = &record.destroy_failures;
    let since = failures
        .since()
        .filter(|_| record.is_stuck() && !record.lacks_access)?;
    Some(catalogue::RUNNER_NOT_DESTROYED.problem(
        format!("runner {}.{id}", record.profile_key),
        format!(
            "destroying it has failed {} times, and it still counts against capacity",
            failures.count()
        ),
        "find the reason in the log of the monitor and mend it; the monitor tries again by itself",
        since,
    ))
}

/// An image whose builds fail.
fn not_built((profile_key, failures, cause): (&ProfileKey, &Failures, &str)) -> Option<Problem> {
    Some(catalogue::IMAGE_NOT_BUILT.problem(
        format!("image of {profile_key}"),
        match failures.count() {
            1 => format!("its build failed: failed to {cause}"),
            count => format!("its build failed {count} times in a row: failed to {cause}"),
        },
        "read its console on the page of the monitor and mend its build; the monitor tries again by itself",
        failures.since()?,
    ))
}

#[cfg(test)]
mod tests;

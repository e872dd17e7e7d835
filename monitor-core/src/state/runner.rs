//! The record of one runner, from before it exists until nothing of it is left.
//!
//! Responsible for what is remembered of a runner. Not responsible for what the hypervisor and
//! GitHub show of it, which is in `observed`.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use shared::{
    backoff::Failures,
    clock::Timestamp,
    values::{ProfileKey, QualifiedRepo, RunId},
};

use super::runner_event::{Cause, GuestEnd};
use crate::Resources;

/// After so many failures to destroy it, a runner no longer delays the creation of others.
const STUCK_FAILURES: u32 = 2;
/// Lists of the hypervisor in a row that must lack a guest whose end it has not reported.
const LISTS_WITHOUT_GUEST: u32 = 2;
/// The same where GitHub still lists the runner: they follow each other at once, so that one disturbance
/// may be in several.
const LISTS_AGAINST_GITHUB: u32 = 5;
/// How long after the removal of a label a job may start that GitHub had assigned by it before.
const ASSIGNMENT_MAX: Duration = Duration::from_secs(5);
/// How long GitHub's lists must consistently show that a runner is gone, or no longer busy. They are
/// known to lack entries, and to show runners as offline or not busy, for some seconds.
const CONFIRMATION: Duration = Duration::from_secs(15);

/// Where a registration was made. GitHub knows it only there, whatever the settings say later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registrar {
    /// `/orgs/<owner>` or `/repos/<owner>/<repo>`.
    pub scope: String,
    /// The end of the runner's name, after an `@`.
    pub suffix: String,
}

/// A registration, for requests to GitHub about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationRef {
    /// Where it was made.
    pub scope: String,
    /// GitHub's id of it.
    pub id: u64,
}

/// The run of a workflow job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowRun {
    pub qualified_repo: QualifiedRepo,
    pub run_id: RunId,
}

/// What is remembered of one runner.
///
/// Fields that are skipped do not survive a restart and need not: the next polls show the result of
/// whatever was under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunnerRecord {
    pub profile_key: ProfileKey,
    /// What it uses of the server. Kept here so that it counts even when its profile is no longer
    /// in the settings; none if the profile was gone before the runner was first seen.
    pub needs: Option<Resources>,
    /// Whether its guest is a virtual machine; none for runners that were found, and in files of older
    /// releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_virtual: Option<bool>,
    /// Its own label, given at registration; none if it has the labels of its profile.
    pub own_label: Option<String>,
    /// When its creation began.
    pub created_at: Timestamp,
    /// GitHub's id of its registration, once known.
    pub registration_id: Option<u64>,
    /// Where it was registered; none in files of older releases, and then where the settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registrar: Option<Registrar>,
    /// How its registration ended, once it has.
    pub unregistered: Option<Unregistered>,
    /// Whether GitHub ever listed it. GitHub's lists lag, so a runner that was in none of them may
    /// still appear.
    pub was_listed: bool,
    /// Whether it was ever ready for a job.
    pub came_online: bool,
    /// Whether GitHub ever showed that it runs a job. From then on neither a list without it nor a
    /// response 404 proves that the job has ended.
    #[serde(default, skip_serializing_if = "is_false")]
    pub was_busy: bool,
    /// Whether GitHub has shown its job: in a list, by a webhook or in the jobs of its run. A refused
    /// deletion is no such sign, because GitHub refuses it for runners that do nothing, too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub job_was_seen: bool,
    /// When GitHub first showed its job; none before, and in files of older releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_since: Option<Timestamp>,
    /// Whether GitHub has reported that its job has completed: by a webhook or the jobs of the run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub job_completed: bool,
    /// The run of its job, if a webhook has reported it, or that of its former reservation. That of a
    /// reservation is in the reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_run: Option<WorkflowRun>,
    /// Whether it has had a job, or was online for long enough, so that its profile works.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_proven: bool,
    /// Why it is to be destroyed as soon as it is not busy.
    #[serde(rename = "condemned")]
    pub must_destroy: Option<MustDestroy>,
    /// Labels of an ended reservation that GitHub still has on it. Until they are removed the
    /// runner is not idle: a job that asks for one of them would get it.
    pub labels_to_remove: Vec<String>,
    /// Whether labels were removed from it a moment ago: a job that GitHub had assigned to it by one of
    /// them may still start.
    #[serde(default, skip_serializing_if = "is_false")]
    pub may_be_assigned: bool,
    #[serde(skip)]
    pub in_flight: Option<InFlight>,
    /// When its creation ended. A list that was requested earlier proves nothing about it.
    #[serde(skip)]
    pub creation_ended_at: Timestamp,
    /// When GitHub last refused to delete its registration because it runs a job.
    #[serde(skip)]
    pub found_busy_at: Option<Timestamp>,
    /// Failed attempts to destroy it.
    #[serde(skip)]
    pub destroy_failures: Failures,
    /// Whether the last of them was one of access to GitHub.
    #[serde(skip)]
    pub lacks_access: bool,
    /// Since when it has been missing in GitHub's lists, or invisible there.
    #[serde(skip)]
    pub unlisted_since: Option<Timestamp>,
    /// Since when lists have not shown it as busy, after it was.
    #[serde(skip)]
    pub not_busy_since: Option<Timestamp>,
    /// Since when lists have shown it as not busy, after labels were removed from it.
    #[serde(skip)]
    pub free_since: Option<Timestamp>,
    /// Since when lists have shown it as online.
    #[serde(skip)]
    pub online_since: Option<Timestamp>,
    /// Since when lists have shown it as offline.
    #[serde(skip)]
    pub offline_since: Option<Timestamp>,
    /// Whether the hypervisor has reported that its guest has ended.
    #[serde(skip)]
    pub guest_has_ended: bool,
    /// Number of the hypervisor's lists in a row without its guest.
    #[serde(skip)]
    pub lists_without_guest: u32,
    /// Whether it is being destroyed because it ended or failed by itself.
    #[serde(skip)]
    pub has_failed: bool,
    /// Why it is being destroyed.
    #[serde(skip)]
    pub destroyed_for: Option<Cause>,
    /// Whether the lists of the hypervisor lack its guest, without a report of its end.
    #[serde(skip)]
    pub is_guest_missing: bool,
    /// How its guest ended by itself, once it has.
    #[serde(skip)]
    pub guest_end: Option<GuestEnd>,
    /// Queries about the jobs of its run that have not proven that its job has completed.
    #[serde(skip)]
    pub job_queries: Failures,
    #[serde(skip)]
    pub is_job_query_in_flight: bool,
    /// Whether a query about its job has been answered, or has failed, after its guest had ended.
    #[serde(skip)]
    pub was_queried_after_end: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// The effect that is under way for a runner. Until it ends no other begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFlight {
    /// It is being registered and its guest created.
    Creating,
    /// It is being unregistered and its guest destroyed.
    Destroying,
    /// Labels are being added or removed.
    Labelling,
}

/// How a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unregistered {
    /// GitHub deleted it at our request. No job ran on it: a runner does one job, and then GitHub
    /// removes the registration itself.
    Unused,
    /// It was already gone when we asked, so its job is done. (Rarely GitHub loses a registration;
    /// that cannot be distinguished.)
    Used,
}

/// Why a runner is to be destroyed regardless of targets and timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MustDestroy {
    /// Its reservation was released, but a workflow may already know its label.
    Released,
    /// It was found without a record, so it is unknown whether it is reserved.
    Unknown,
    #[serde(rename = "half_made")]
    PartiallyCreated,
    /// The labels of an earlier reservation cannot be removed from it.
    #[serde(rename = "stray_labels")]
    LeftoverLabels,
    /// An operator wants it destroyed, which also is the word that its job has ended.
    Removed,
    /// An operator wants it destroyed even if GitHub reports that it runs a job.
    RemovedByForce,
    /// The settings have another scope now, so no job finds it unless it was reserved before.
    RegisteredElsewhere,
}

impl MustDestroy {
    /// Whether there certainly was a guest.
    pub fn had_guest(self) -> bool {
        !matches!(self, Self::Unknown | Self::PartiallyCreated)
    }

    /// Whether an operator wants it.
    pub fn is_by_operator(self) -> bool {
        matches!(self, Self::Removed | Self::RemovedByForce)
    }

    /// Its name in snake case.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Unknown => "unknown",
            Self::PartiallyCreated => "partially_created",
            Self::LeftoverLabels => "leftover_labels",
            Self::Removed => "removed",
            Self::RemovedByForce => "removed_by_force",
            Self::RegisteredElsewhere => "registered_elsewhere",
        }
    }
}

impl fmt::Display for MustDestroy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Released => "its reservation was released after its label may have been used",
            Self::Unknown => "there is no record of it",
            Self::PartiallyCreated => "its creation failed",
            Self::LeftoverLabels => "the labels of an earlier reservation cannot be removed",
            Self::Removed => "an operator has removed it",
            Self::RemovedByForce => "an operator has removed it by force",
            Self::RegisteredElsewhere => "github_api_scope was another when it was registered",
        })
    }
}

impl RunnerRecord {
    /// A runner that is about to be created.
    pub fn new(
        profile_key: ProfileKey,
        needs: Resources,
        is_virtual: bool,
        registrar: Registrar,
        now: Timestamp,
    ) -> Self {
        Self {
            needs: Some(needs),
            is_virtual: Some(is_virtual),
            registrar: Some(registrar),
            in_flight: Some(InFlight::Creating),
            ..Self::blank(profile_key, None, now)
        }
    }

    /// A runner that a list shows and that has no record yet.
    pub fn unknown(
        profile_key: ProfileKey,
        needs: Option<Resources>,
        registrar: Registrar,
        seen_at: Timestamp,
    ) -> Self {
        Self {
            registrar: Some(registrar),
            must_destroy: Some(MustDestroy::Unknown),
            ..Self::blank(profile_key, needs, seen_at)
        }
    }

    /// Whether something other than GitHub's lists and responses to deletions shows that its job has
    /// ended: GitHub's report of the job, or an operator.
    pub fn has_evidence(&self) -> bool {
        self.job_completed || self.must_destroy.is_some_and(MustDestroy::is_by_operator)
    }

    /// Whether GitHub's lists have consistently shown something since `since`, until the list that was
    /// requested at `asked_at`: one odd reading is not acted upon.
    pub fn is_confirmed(since: Option<Timestamp>, asked_at: Timestamp) -> bool {
        since.is_some_and(|since| asked_at.since(since) >= CONFIRMATION)
    }

    /// Whether the lists of the hypervisor suffice to consider its guest as gone, if GitHub lists the
    /// runner or does not. A runner whose creation failed has none.
    pub fn is_guest_gone(&self, is_listed: bool) -> bool {
        let lists = match is_listed {
            true => LISTS_AGAINST_GITHUB,
            false => LISTS_WITHOUT_GUEST,
        };
        self.guest_has_ended
            || self.lists_without_guest >= lists
            || self.must_destroy == Some(MustDestroy::PartiallyCreated)
    }

    /// A list that was requested at `asked_at` shows it as not busy. Returns whether from now on no job
    /// can start on it by a label that was removed.
    pub fn note_free(&mut self, asked_at: Timestamp) -> bool {
        let since = *self.free_since.get_or_insert(asked_at);
        let is_over = self.may_be_assigned && asked_at.since(since) >= ASSIGNMENT_MAX;
        self.may_be_assigned &= !is_over;
        is_over
    }

    /// Whether there is a cause to destroy it, now that it is not busy.
    pub fn must_be_destroyed(&self, is_reserved: bool) -> bool {
        match self.must_destroy {
            Some(MustDestroy::RegisteredElsewhere) => !is_reserved,
            cause => cause.is_some(),
        }
    }

    /// Whether destroying it has failed often enough that nothing waits for it any longer.
    pub fn is_stuck(&self) -> bool {
        self.destroy_failures.count() >= STUCK_FAILURES
    }

    /// A record of which nothing is known yet and for which nothing is under way.
    fn blank(profile_key: ProfileKey, needs: Option<Resources>, created_at: Timestamp) -> Self {
        Self {
            profile_key,
            needs,
            is_virtual: None,
            own_label: None,
            created_at,
            registration_id: None,
            unregistered: None,
            was_listed: false,
            came_online: false,
            must_destroy: None,
            labels_to_remove: Vec::new(),
            in_flight: None,
            creation_ended_at: Timestamp::default(),
            found_busy_at: None,
            destroy_failures: Failures::default(),
            lacks_access: false,
            registrar: None,
            was_busy: false,
            job_was_seen: false,
            busy_since: None,
            job_completed: false,
            workflow_run: None,
            is_proven: false,
            unlisted_since: None,
            not_busy_since: None,
            may_be_assigned: false,
            free_since: None,
            online_since: None,
            offline_since: None,
            guest_has_ended: false,
            lists_without_guest: 0,
            has_failed: false,
            destroyed_for: None,
            is_guest_missing: false,
            guest_end: None,
            job_queries: Failures::default(),
            is_job_query_in_flight: false,
            was_queried_after_end: false,
        }
    }
}

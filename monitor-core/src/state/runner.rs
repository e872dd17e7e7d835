//! The record of one runner, from before it exists until nothing of it is left.
//!
//! Responsible for what is remembered of a runner. Not responsible for what the hypervisor and
//! GitHub show of it, which is in `observed`.

use std::fmt;

use serde::{Deserialize, Serialize};
use shared::{backoff::Failures, clock::Timestamp, values::ProfileKey};

use crate::Resources;

/// After so many failures to destroy it, a runner no longer delays the creation of others.
const STUCK_FAILURES: u32 = 2;

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
    /// Its own label, given at registration; none if it has the labels of its profile.
    pub own_label: Option<String>,
    /// When its creation began.
    pub created_at: Timestamp,
    /// GitHub's id of its registration, once known.
    pub registration_id: Option<u64>,
    /// How its registration ended, once it has.
    pub unregistered: Option<Unregistered>,
    /// Whether GitHub ever listed it. GitHub's lists lag, so a runner that was in none of them may
    /// still appear.
    pub was_listed: bool,
    /// Whether it was ever ready for a job.
    pub came_online: bool,
    /// Why it is to be destroyed as soon as it is not busy.
    #[serde(rename = "condemned")]
    pub must_destroy: Option<MustDestroy>,
    /// Labels of an ended reservation that GitHub still has on it. Until they are removed the
    /// runner is not idle: a job that asks for one of them would get it.
    pub labels_to_remove: Vec<String>,
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
}

impl fmt::Display for MustDestroy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Released => "its reservation was released after its label may have been used",
            Self::Unknown => "there is no record of it",
            Self::PartiallyCreated => "its creation failed",
            Self::LeftoverLabels => "the labels of an earlier reservation cannot be removed",
        })
    }
}

impl RunnerRecord {
    /// A runner that is about to be created.
    pub fn new(profile_key: ProfileKey, needs: Resources, now: Timestamp) -> Self {
        Self {
            needs: Some(needs),
            in_flight: Some(InFlight::Creating),
            ..Self::blank(profile_key, None, now)
        }
    }

    /// A runner that a list shows and that has no record yet.
    pub fn unknown(profile_key: ProfileKey, needs: Option<Resources>, seen_at: Timestamp) -> Self {
        Self {
            must_destroy: Some(MustDestroy::Unknown),
            ..Self::blank(profile_key, needs, seen_at)
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
        }
    }
}

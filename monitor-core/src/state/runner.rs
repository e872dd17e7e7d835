//! What is remembered of one runner, from before it exists until nothing of it is left.
//!
//! Owns the record and its words. What the outside says about the runner is in `observed`.

use std::fmt;

use serde::{Deserialize, Serialize};
use shared::{clock::Timestamp, values::ProfileKey};

use crate::{BackOff, Resources};

/// From so many failures on, a runner that is to be destroyed holds up nobody else.
const HOPELESS_FAILURES: u32 = 2;

/// A runner's id on this server. Ids only grow, also over restarts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RunnerId(pub u64);

impl fmt::Display for RunnerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One runner, as we meant it to be. What is skipped is forgotten by a restart and not missed:
/// whatever was under way then shows in the next look at the world.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunnerRecord {
    /// What kind of runner it is.
    pub profile_key: ProfileKey,
    /// What it takes of the host. Kept here, so that it counts even when its profile has left
    /// the settings; none if that was so before we ever saw the runner.
    pub needs: Option<Resources>,
    /// The label that is its own from birth; none if it carries that of its profile.
    pub own_label: Option<String>,
    /// When its creation began.
    pub created_at: Timestamp,
    /// GitHub's id of its registration, once known.
    pub registration_id: Option<u64>,
    /// How its registration ended, once it has.
    pub unregistered: Option<Unregistered>,
    /// Whether GitHub ever listed it. Its lists lag, so a runner that was never in one may still
    /// be to come.
    pub was_listed: bool,
    /// Whether it was ever seen ready for a job.
    pub came_online: bool,
    /// Why it is to go as soon as it is not busy.
    #[serde(rename = "condemned")]
    pub must_destroy: Option<MustDestroy>,
    /// Labels of an ended reservation that GitHub still has on it. It is not idle before they
    /// are gone: a job that still asks for them would get it.
    pub labels_to_remove: Vec<String>,
    /// What is being done to it right now.
    #[serde(skip)]
    pub flight: Option<InFlight>,
    /// When its creation ended. A list that was asked for earlier proves nothing about it.
    #[serde(skip)]
    pub settled_at: Timestamp,
    /// When GitHub last refused to delete its registration because it runs a job.
    #[serde(skip)]
    pub found_busy_at: Option<Timestamp>,
    /// How often destroying it has failed.
    #[serde(skip)]
    pub destroy_back_off: BackOff,
}

/// What is being done to a runner. While something is, nothing else is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFlight {
    /// It is registered and its guest made.
    Creating,
    /// It is unregistered and its guest destroyed.
    Destroying,
    /// Labels are added to it, or removed from it.
    Labelling,
}

/// How a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unregistered {
    /// GitHub deleted it for us: no job can have run on it, because such a runner does one job
    /// and is then removed by GitHub itself.
    Unused,
    /// It was gone when we asked: its job is done. (Rarely GitHub loses one by itself; that
    /// cannot be told apart.)
    Used,
}

/// Why a runner is to be destroyed whatever else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MustDestroy {
    /// Its reservation was given up, but its label may be known outside.
    Released,
    /// It was found without a record of it, so nobody knows what was promised about it.
    Unknown,
    /// Its creation failed half-way.
    #[serde(rename = "half_made")]
    PartiallyCreated,
    /// The labels of an earlier reservation cannot be removed from it.
    #[serde(rename = "stray_labels")]
    LeftoverLabels,
}

impl fmt::Display for MustDestroy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Released => "its reservation was given up and its label may be known",
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
            flight: Some(InFlight::Creating),
            ..Self::found(profile_key, None, now)
        }
    }

    /// A runner that was met without a record.
    pub fn unknown(profile_key: ProfileKey, needs: Option<Resources>, seen_at: Timestamp) -> Self {
        Self {
            must_destroy: Some(MustDestroy::Unknown),
            ..Self::found(profile_key, needs, seen_at)
        }
    }

    /// Whether it was tried to destroy it, and nobody should wait for that any longer.
    pub fn is_stuck(&self) -> bool {
        self.destroy_back_off.failure_count() >= HOPELESS_FAILURES
    }

    fn found(profile_key: ProfileKey, needs: Option<Resources>, created_at: Timestamp) -> Self {
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
            flight: None,
            settled_at: Timestamp::default(),
            found_busy_at: None,
            destroy_back_off: BackOff::default(),
        }
    }
}

//! Why the plan does something, or does not, in words for the log and the dashboard.
//!
//! Owns those words. Decides nothing.

use std::fmt;

use shared::values::ProfileKey;

use crate::{MustDestroy, Resources};

/// Why something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There are too few of its profile.
    BelowTarget,
    /// Its profile has no image.
    NoImage,
    /// The image is older than it may become.
    ImageTooOld,
    /// Its guest is gone.
    GuestGone,
    /// GitHub no longer knows it.
    RegistrationGone,
    /// It is to go whatever else holds.
    MustDestroy(MustDestroy),
    /// There are too many idle ones of its profile.
    BeyondTarget,
    /// The image of this profile is to be rebuilt, and there is no room.
    RoomForRebuild(ProfileKey),
    /// The settings want every runner gone that is not busy.
    DestroyAll,
    /// It did not come online in time.
    StartTimeout,
    /// Its job did not start in time.
    ReserveTimeout,
    /// A take waits for the labels.
    TakeOutcome,
    /// The reservation has ended.
    Released,
}

/// What stands in the way of creating a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Others have to be destroyed first.
    Destructions,
    /// Enough are being created already.
    Creations,
    /// The host has no room for it.
    Capacity {
        /// What a runner needs.
        needs: Resources,
        /// What those that are there take; unknown if nobody knows what one of them takes.
        in_use: Option<Resources>,
    },
    /// There is no image to make it from.
    NoImage,
    /// The last ones came to nothing.
    BackOff {
        /// How many in a row.
        failure_count: u32,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::BelowTarget => "there are fewer than the target",
            Self::NoImage => "there is none",
            Self::ImageTooOld => "it is older than base_image_max_age",
            Self::GuestGone => "its guest is gone",
            Self::RegistrationGone => "github has removed it",
            Self::MustDestroy(cause) => return cause.fmt(formatter),
            Self::BeyondTarget => "there are more idle ones than the target",
            Self::RoomForRebuild(profile_key) => {
                return write!(
                    formatter,
                    "the image of {profile_key} is to be rebuilt in its place"
                );
            }
            Self::DestroyAll => "destroy_all_non_busy_runners is set",
            Self::StartTimeout => "it did not come online within monitor_start_timeout",
            Self::ReserveTimeout => "its job did not start within monitor_reserve_timeout",
            Self::TakeOutcome => "a take waits for them",
            Self::Released => "their reservation has ended",
        })
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destructions => formatter.write_str("others have to be destroyed first"),
            Self::Creations => formatter.write_str("enough are being created"),
            Self::Capacity {
                needs,
                in_use: Some(in_use),
            } => {
                write!(formatter, "each needs {needs}, and {in_use} are in use")
            }
            Self::NoImage => formatter.write_str("the first image is still to be built"),
            Self::Capacity { in_use: None, .. } => formatter.write_str(
                "there is a guest without a record, of a profile that is not in the settings",
            ),
            Self::BackOff { failure_count } => {
                write!(
                    formatter,
                    "the last {failure_count} came to nothing, so it waits a little"
                )
            }
        }
    }
}

//! Why the plan does something or cannot do it, for the log and the dashboard.

use std::{fmt, time::Duration};

use shared::values::ProfileKey;

use crate::{
    Resources,
    state::{runner::MustDestroy, runner_event::Cause},
};

/// Why an action is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its profile has fewer runners than its target.
    BelowTarget,
    /// The profile has no image yet.
    NoImage,
    /// The image is older than its maximum age.
    ImageTooOld,
    /// An operator has ordered it.
    Ordered,
    GuestGone,
    /// GitHub no longer lists it.
    RegistrationGone,
    /// GitHub has reported that its job has completed.
    JobCompleted,
    /// GitHub lists it, and no longer as busy.
    NoLongerBusy,
    /// It is to be destroyed regardless of targets and timeouts.
    MustDestroy(MustDestroy),
    /// Its profile has more idle runners than its target.
    BeyondTarget,
    /// It makes room for rebuilding the image of this profile.
    Evicted(ProfileKey),
    /// It is beyond the share of its profile, and makes room for a runner of this one.
    BeyondShare(ProfileKey),
    /// The settings want all runners destroyed that are not busy.
    DestroyAll,
    /// It did not come online in time.
    StartTimeout,
    /// It was online, and has been offline for long.
    Offline,
    /// Its job did not start in time.
    ReserveTimeout,
    /// A take waits for the labels.
    Taken,
    /// The reservation of the labels has ended.
    Released,
}

/// Why a runner cannot be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Others have to be destroyed first.
    Destructions,
    /// Enough are being created already.
    Creations,
    /// It does not fit.
    Capacity {
        /// What a runner uses.
        needs: Resources,
        /// What is in use; none if the needs of a guest are unknown.
        in_use: Option<Resources>,
    },
    /// What is left is the share of other profiles.
    Share,
    /// The hypervisor does not answer.
    NoHypervisor,
    /// Its profile has no image.
    NoImage {
        /// Whether this server builds it.
        is_built_here: bool,
    },
    /// Creations failed.
    BackOff {
        /// Failures in a row.
        failure_count: u32,
        /// When the next creation may begin, from now.
        retry_in: Duration,
    },
}

impl Reason {
    /// Whether the runner has ended or failed by itself.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::GuestGone | Self::RegistrationGone | Self::StartTimeout | Self::Offline => true,
            Self::BelowTarget
            | Self::NoImage
            | Self::ImageTooOld
            | Self::Ordered
            | Self::JobCompleted
            | Self::NoLongerBusy
            | Self::MustDestroy(_)
            | Self::BeyondTarget
            | Self::Evicted(_)
            | Self::BeyondShare(_)
            | Self::DestroyAll
            | Self::ReserveTimeout
            | Self::Taken
            | Self::Released => false,
        }
    }

    /// The reason as the history of a runner has it.
    pub fn cause(&self) -> Cause {
        Cause {
            code: self.code(),
            text: self.to_string(),
        }
    }

    /// Its name in snake case.
    const fn code(&self) -> &'static str {
        match self {
            Self::BelowTarget => "below_target",
            Self::NoImage => "no_image",
            Self::ImageTooOld => "image_too_old",
            Self::Ordered => "ordered",
            Self::GuestGone => "guest_gone",
            Self::RegistrationGone => "registration_gone",
            Self::JobCompleted => "job_completed",
            Self::NoLongerBusy => "no_longer_busy",
            Self::MustDestroy(cause) => cause.code(),
            Self::BeyondTarget => "beyond_target",
            Self::Evicted(_) => "evicted",
            Self::BeyondShare(_) => "beyond_share",
            Self::DestroyAll => "destroy_all",
            Self::StartTimeout => "start_timeout",
            Self::Offline => "offline",
            Self::ReserveTimeout => "reserve_timeout",
            Self::Taken => "taken",
            Self::Released => "labels_released",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::BelowTarget => "there are fewer than the target",
            Self::NoImage => "there is none",
            Self::ImageTooOld => "it is older than base_image_max_age",
            Self::Ordered => "an operator has ordered it",
            Self::GuestGone => "its guest is gone",
            Self::RegistrationGone => "GitHub has removed its registration",
            Self::JobCompleted => "GitHub reports that its job has completed",
            Self::NoLongerBusy => "GitHub no longer shows it as busy",
            Self::MustDestroy(cause) => return cause.fmt(formatter),
            Self::BeyondTarget => "there are more idle ones than the target",
            Self::Evicted(profile_key) => {
                return write!(
                    formatter,
                    "it makes room for rebuilding the image of {profile_key}"
                );
            }
            Self::BeyondShare(profile_key) => {
                return write!(
                    formatter,
                    "it is beyond the share of its profile, and makes room for a runner of {profile_key}"
                );
            }
            Self::DestroyAll => "destroy_all_non_busy_runners is set",
            Self::StartTimeout => "it did not come online within monitor_start_timeout",
            Self::Offline => "it was online, and has been offline for a minute",
            Self::ReserveTimeout => "its job did not start within monitor_reserve_timeout",
            Self::Taken => "a take waits for them",
            Self::Released => "their reservation has ended",
        })
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destructions => formatter.write_str("others have to be destroyed first"),
            Self::Creations => formatter.write_str("enough are being created"),
            Self::Share => formatter.write_str("what is left is kept for other profiles"),
            Self::NoHypervisor => formatter.write_str("the hypervisor does not answer"),
            Self::NoImage {
                is_built_here: true,
            } => formatter.write_str("the first image has not been built yet"),
            Self::NoImage {
                is_built_here: false,
            } => formatter.write_str("there is no image"),
            Self::Capacity {
                needs,
                in_use: Some(in_use),
            } => write!(formatter, "each needs {needs}; in use: {in_use}"),
            Self::Capacity { in_use: None, .. } => formatter.write_str(
                "there is a guest without a record, of a profile that is not in the settings",
            ),
            Self::BackOff {
                failure_count,
                retry_in,
            } => {
                match failure_count {
                    1 => formatter.write_str("the last creation failed"),
                    _ => write!(formatter, "{failure_count} creations failed in a row"),
                }?;
                // Rounded up, so that "in 0 s" never means "not yet".
                let seconds = retry_in.as_millis().div_ceil(1000);
                write!(formatter, "; next attempt in {seconds} s")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        RunnerId,
        planning::plan::{Action, Shortfall, Step},
        testing::{hugepages, profile_key},
    };

    #[test]
    fn every_reason_completes_the_description_of_its_action() {
        let create = Action::Create(RunnerId(7), profile_key("linux"));
        let rebuild = Action::Rebuild(profile_key("linux"));
        let destroy = Action::Destroy(RunnerId(7), profile_key("linux"));
        let steps = [
            (create, vec![Reason::BelowTarget]),
            (rebuild, vec![Reason::NoImage, Reason::ImageTooOld]),
            (
                destroy,
                vec![
                    Reason::GuestGone,
                    Reason::RegistrationGone,
                    Reason::JobCompleted,
                    Reason::NoLongerBusy,
                    Reason::MustDestroy(MustDestroy::Released),
                    Reason::MustDestroy(MustDestroy::Unknown),
                    Reason::MustDestroy(MustDestroy::PartiallyCreated),
                    Reason::MustDestroy(MustDestroy::LeftoverLabels),
                    Reason::MustDestroy(MustDestroy::Removed),
                    Reason::MustDestroy(MustDestroy::RemovedByForce),
                    Reason::MustDestroy(MustDestroy::RegisteredElsewhere),
                    Reason::BeyondTarget,
                    Reason::Evicted(profile_key("windows")),
                    Reason::BeyondShare(profile_key("windows")),
                    Reason::DestroyAll,
                    Reason::StartTimeout,
                    Reason::Offline,
                    Reason::ReserveTimeout,
                ],
            ),
            (
                Action::AddLabels("job".parse().unwrap()),
                vec![Reason::Taken],
            ),
            (Action::RemoveLabels(RunnerId(7)), vec![Reason::Released]),
        ];
        let mut lines = Vec::new();
        for (action, reasons) in steps {
            for reason in reasons {
                let action = action.clone();
                lines.push(Step { action, reason }.to_string());
            }
        }
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn every_obstacle_completes_the_description_of_its_shortfall() {
        let needs = hugepages(1);
        let retry_in = Duration::from_millis(39_001);
        let obstacles = [
            Obstacle::Destructions,
            Obstacle::Creations,
            Obstacle::Share,
            Obstacle::NoHypervisor,
            Obstacle::Capacity {
                needs,
                in_use: Some(hugepages(12)),
            },
            Obstacle::Capacity {
                needs,
                in_use: None,
            },
            Obstacle::NoImage {
                is_built_here: true,
            },
            Obstacle::NoImage {
                is_built_here: false,
            },
            Obstacle::BackOff {
                failure_count: 1,
                retry_in,
            },
            Obstacle::BackOff {
                failure_count: 3,
                retry_in,
            },
        ];
        let lines = obstacles.map(|obstacle| {
            let shortfall = Shortfall {
                profile_key: profile_key("linux"),
                count: 2,
                obstacle,
            };
            shortfall.to_string()
        });
        insta::assert_snapshot!(lines.join("\n"));
    }
}

//! Settings of the monitor's pool of runners: intervals, timeouts and switches.
//!
//! Responsible for their defaults and limits. `monitor-core` decides what they cause.

use std::time::Duration;

use super::{BaseUrl, error::SettingsError, kind, network::reachable_url, table::Table};
use crate::units::{DAY, HOUR, SECOND};

/// The shortest interval or timeout: a shorter one would be a busy loop.
const WAIT_MIN: Duration = Duration::from_millis(10);

/// Settings for all runners of a server. Each field is named as its key.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// The interval at which the monitor polls GitHub and the hypervisor.
    pub monitor_poll_interval: Duration,
    /// How long a runner may take from its creation until it is online.
    pub monitor_start_timeout: Duration,
    /// How long a runner is reserved for a job that does not start.
    pub monitor_reserve_timeout: Duration,
    /// Without effect; existing files contain it.
    pub monitor_thread_send_timeout: Duration,
    /// How long a take may wait for its response.
    pub monitor_thread_recv_timeout: Duration,
    /// Whether all runners that are not busy are destroyed.
    pub destroy_all_non_busy_runners: bool,
    /// Whether no runner is registered.
    pub dont_register_runners: bool,
    /// Whether no runner is created; true as well with `destroy_all_non_busy_runners`.
    pub dont_create_runners: bool,
    /// Whether this server belongs to a queue, so that only the queue takes runners.
    pub queue_member: bool,
    /// Where people find the page of the queue, for links.
    pub queue_url: Option<BaseUrl>,
    /// When a runner gets the label that a job puts into `runs-on`.
    pub reservation_labels: ReservationLabels,
}

/// When a runner gets the label that a job puts into `runs-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationLabels {
    /// When it is registered: `runner:<uuid>`, its only label.
    FromBirth,
    /// When it is taken: `reserved-for:<unique_id>`, in addition to the label of its profile.
    OnTake,
}

impl PoolSettings {
    /// Whether the targets of all profiles count as zero.
    pub fn zeroes_targets(&self) -> bool {
        self.dont_create_runners || self.dont_register_runners
    }
}

pub(super) fn read_pool(top: &mut Table<'_>) -> Result<PoolSettings, SettingsError> {
    let wait = kind::duration(WAIT_MIN..=DAY);
    let flag = kind::flag();
    let destroy_all_non_busy_runners = top.or("destroy_all_non_busy_runners", false, &flag)?;
    Ok(PoolSettings {
        monitor_poll_interval: top.or(
            "monitor_poll_interval",
            SECOND * 5,
            &kind::duration(WAIT_MIN..=HOUR),
        )?,
        monitor_start_timeout: top.or("monitor_start_timeout", SECOND * 120, &wait)?,
        monitor_reserve_timeout: top.or("monitor_reserve_timeout", SECOND * 60, &wait)?,
        monitor_thread_send_timeout: top.or("monitor_thread_send_timeout", SECOND * 10, &wait)?,
        monitor_thread_recv_timeout: top.or("monitor_thread_recv_timeout", SECOND * 10, &wait)?,
        destroy_all_non_busy_runners,
        dont_register_runners: top.or("dont_register_runners", false, &flag)?,
        dont_create_runners: top.or("dont_create_runners", false, &flag)?
            || destroy_all_non_busy_runners,
        queue_member: top.or("queue_member", false, &flag)?,
        queue_url: top.optional("queue_url", &reachable_url())?,
        reservation_labels: top.or(
            "reservation_labels",
            ReservationLabels::FromBirth,
            &kind::one_of(&[
                ("from_birth", ReservationLabels::FromBirth),
                ("on_take", ReservationLabels::OnTake),
            ]),
        )?,
    })
}

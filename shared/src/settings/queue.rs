//! The table `[queue]`: settings that only the queue reads.
//!
//! Responsible for their defaults and limits. Some settings outside of it apply to both daemons.

use std::time::Duration;

use super::{base_url::BaseUrl, error::SettingsError, kind, policy, table::Table};
use crate::{
    policy::Policy,
    secret::Secret,
    units::{DAY, HOUR, MINUTE, SECOND},
};

/// The most servers of one queue.
const SERVERS_MAX: usize = 1000;
/// The highest value for limits of jobs and held requests.
const LIMIT_MAX: usize = 1_000_000;

/// The settings of the queue. Each field is named as its key.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// The URLs of its monitors; at least one, without duplicates.
    pub servers: Vec<BaseUrl>,
    /// The port, at the addresses of `listen_on`; 0 selects a free one.
    pub port: u16,
    /// Startup grace period: nothing is dispatched for this long after the start, so that clients can
    /// restore their jobs first.
    pub settle: Duration,
    /// The key that signs tickets; `None` for one that is generated and kept in the data folder.
    pub ticket_key: Option<Secret>,
    /// The most jobs at once.
    pub jobs_max: usize,
    /// The most jobs of one repository at once; `None` for no limit.
    pub jobs_per_repo_max: Option<usize>,
    /// The most requests that are held at once; further ones are answered without waiting.
    pub held_requests_max: usize,
    /// How long a client may be silent before its job counts as abandoned.
    pub abandon_after: Duration,
    /// How long a server may take to respond to a take.
    pub forward_timeout: Duration,
    /// The highest age at which the report of a server is used.
    pub stale_after: Duration,
    /// How long a ticket is valid.
    pub ticket_lifetime: Duration,
    /// Which jobs go first; `None` for the order in which they were enqueued.
    pub policy: Option<Policy>,
}

/// Reads `[queue]`, if there is one.
pub(super) fn read_queue(top: &mut Table<'_>) -> Result<Option<QueueSettings>, SettingsError> {
    let Some(mut table) = top.table("queue")? else {
        return Ok(None);
    };
    let server = kind::parsed("an http or https URL such as \"https://ci0.example.org\"");
    let limit = kind::number(1..=LIMIT_MAX);
    let queue = QueueSettings {
        servers: table.required("servers", &kind::distinct(server, 1..=SERVERS_MAX))?,
        port: table.or("port", 8002, &kind::number(0..=u16::MAX))?,
        settle: table.or(
            "settle",
            SECOND * 5,
            &kind::duration(Duration::ZERO..=MINUTE * 10),
        )?,
        ticket_key: table.optional("ticket_key", &kind::secret(32..=512))?,
        jobs_max: table.or("jobs_max", 100_000, &limit)?,
        jobs_per_repo_max: table.optional("jobs_per_repo_max", &limit)?,
        held_requests_max: table.or("held_requests_max", 10_000, &kind::number(0..=LIMIT_MAX))?,
        abandon_after: table.or(
            "abandon_after",
            SECOND * 30,
            &kind::duration(SECOND * 10..=HOUR),
        )?,
        forward_timeout: table.or(
            "forward_timeout",
            SECOND * 10,
            &kind::duration(SECOND..=MINUTE * 5),
        )?,
        stale_after: table.or("stale_after", SECOND * 15, &kind::duration(SECOND..=HOUR))?,
        ticket_lifetime: table.or("ticket_lifetime", DAY, &kind::duration(MINUTE..=DAY * 30))?,
        policy: policy::read_policy(&mut table)?,
    };
    table.finish()?;
    Ok(Some(queue))
}

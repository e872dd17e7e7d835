//! The parameters of a run: servers, clients, fault rates and pace, derived from a seed or from a
//! [`Workday`].

mod pace;
mod policy;
mod workday;

use std::{sync::Arc, time::Duration};

use shared::policy::Policy;

use crate::rng::Rng;

pub use pace::Pace;
pub use policy::repo_of;
pub use workday::{Outage, Workday};

/// The time limit for recovery: every deadline in the cores is at most two minutes, and several
/// can follow each other.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// Distinguishes the random stream of pauses from the others of a seed.
pub const PAUSES: u64 = 0x9a05_e5e5;
/// Distinguishes the random stream of how long clients wait from the others of a seed.
pub const WAIT_LIMITS: u64 = 0x0011_3175;

/// Distinguishes the random stream of pools that follow demand from the others of a seed.
const DEMAND: u64 = 0xde3a_4d00;

/// The parameters of one run.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// Number of queues with the same key; a client tries the next one when one does not answer.
    pub queue_count: usize,
    /// For each server, the number of runners it keeps of each profile.
    pub targets: Vec<Vec<usize>>,
    pub client_count: usize,
    /// How long jobs arrive and faults occur.
    pub fault_period: Duration,
    /// How long the system may take, after that, to finish all jobs and fill all pools.
    pub recovery_timeout: Duration,
    pub fault_rates: FaultRates,
    pub pace: Pace,
    pub network: NetworkHabits,
    pub workday: Option<Workday>,
    pub habits: Habits,
    /// The scheduling policy of all queues.
    pub policy: Option<Arc<Policy>>,
}

/// How GitHub, guests and clients of a run behave, other than by faults.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// Whether guests stay after their job, as those of the production system do.
    pub guests_linger: bool,
    /// Whether GitHub sends webhooks about jobs to the monitors.
    pub has_webhooks: bool,
    /// Whether runners get the labels that workflows use only when they are taken.
    pub labels_on_take: bool,
    /// The share of clients, in percent, that do not read the label of their runners from the response.
    pub older_clients_percent: u64,
    /// The share of clients, in percent, that state how long they are willing to wait.
    pub limited_clients_percent: u64,
    /// How often an operator pauses a profile at a queue, and resumes it later.
    pub pause_count: u64,
    /// Whether the targets of all servers follow what jobs wait for.
    pub pools_follow_demand: bool,
}

/// What some installations do all the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkHabits {
    /// The first server is in the list of the queues under two URLs.
    pub is_listed_twice: bool,
    /// Monitors answer no poll for some seconds after each take.
    pub polls_fail_after_takes: bool,
    /// Monitors refuse the API token for a while.
    pub tokens_are_refused: bool,
    /// A queue can be started with the clock in 1970, or years ahead of the time.
    pub clocks_are_wrong: bool,
    /// The second server has the suffix of the first, so that their runners cannot be told apart by
    /// their names.
    pub is_suffix_shared: bool,
    /// Guests are virtual machines that authenticate by their address, which may change.
    pub guests_have_leases: bool,
}

/// The probability of each fault, from 0 to 1. The default is no fault at all.
#[derive(Clone, Debug, Default)]
pub struct FaultRates {
    /// A message is lost.
    pub loss: f64,
    /// A message arrives up to half a minute late.
    pub delay: f64,
    /// A message arrives twice.
    pub duplicate: f64,
    /// A connection breaks before the reply.
    pub disconnect: f64,
    /// GitHub rejects a request.
    pub github_error: f64,
    /// GitHub performs a request, and its response is lost.
    pub github_response_lost: f64,
    /// A guest never boots.
    pub guest_boot_failure: f64,
    /// Saving to disk fails.
    pub disk_error: f64,
    /// GitHub's list lacks entries, shows runners as offline or not busy, is empty, or is the last one.
    pub odd_list: f64,
    /// GitHub refuses to delete a registration although its runner is not busy.
    pub ghost: f64,
    /// GitHub answers 404 to the deletion of a registration that exists.
    pub hidden: f64,
    /// The list of guests lacks some of them.
    pub odd_guest_list: f64,
    /// A webhook is lost, or a query about the jobs of a run fails.
    pub lost_evidence: f64,
    /// Number of scheduled faults such as crashes and partitions, see [`crate::events::Fault`].
    pub scheduled_fault_count: u64,
}

impl Scenario {
    pub fn from_seed(seed: u64) -> Self {
        // A random stream of its own, so that a new parameter does not change the events of all
        // seeds.
        let mut rng = Rng::from_seed(seed ^ 0x5ce0_a210);
        let server_count = rng.number(1, 8) as usize;
        let profile_count = rng.number(1, 2) as usize;
        let targets: Vec<Vec<usize>> = (0..server_count)
            .map(|_| {
                (0..profile_count)
                    .map(|_| rng.number(1, 3) as usize)
                    .collect()
            })
            .collect();
        let fault_rates = match rng.number(0, 9) {
            0 => FaultRates::default(),
            1..=3 => FaultRates {
                scheduled_fault_count: rng.number(1, 12),
                ..FaultRates::default()
            },
            _ => FaultRates::random(&mut rng),
        };
        // Added later, so from a stream of its own.
        let mut odd = Rng::from_seed(seed ^ 0x0dd5_0dd5);
        let mut fault_rates = fault_rates;
        if odd.chance(0.6) {
            fault_rates.add_odd_readings(&mut odd);
        }
        let mut habits = Habits::random(&mut odd);
        let mut pauses = Rng::from_seed(seed ^ PAUSES);
        if pauses.chance(0.3) {
            habits.pause_count = pauses.number(1, 8);
        }
        habits.pools_follow_demand = Rng::from_seed(seed ^ DEMAND).chance(0.4);
        let mut limits = Rng::from_seed(seed ^ WAIT_LIMITS);
        if limits.chance(0.3) {
            habits.limited_clients_percent = limits.number(10, 100);
        }
        Self {
            habits,
            seed,
            queue_count: rng.number(1, 2) as usize,
            targets,
            client_count: rng.number(3, 30) as usize,
            fault_period: Duration::from_secs(rng.number(120, 600)),
            recovery_timeout: RECOVERY_TIMEOUT,
            fault_rates,
            pace: Pace::FAST,
            network: NetworkHabits::from_seed(seed),
            workday: None,
            policy: policy::policy(seed).map(Arc::new),
        }
    }

    pub fn from_workday(workday: Workday) -> Self {
        Self {
            seed: 0,
            queue_count: 1,
            targets: vec![vec![workday.runners_per_server]; workday.servers],
            client_count: workday.jobs,
            fault_period: workday.length,
            recovery_timeout: RECOVERY_TIMEOUT,
            fault_rates: FaultRates::default(),
            pace: workday.pace(),
            network: NetworkHabits::default(),
            workday: Some(workday),
            policy: None,
            habits: Habits {
                has_webhooks: workday.has_webhooks,
                ..Habits::default()
            },
        }
    }

    pub fn profile_count(&self) -> usize {
        self.targets[0].len()
    }

    /// What the names of a server's runners end with.
    pub fn suffix(&self, server: usize) -> String {
        match server {
            1 if self.network.is_suffix_shared => self.suffix(0),
            server => format!("host{server}"),
        }
    }

    /// The servers that have the same suffix as another one.
    pub fn servers_with_shared_suffix(&self) -> impl Iterator<Item = usize> {
        let is_shared = self.network.is_suffix_shared && self.targets.len() > 1;
        0..if is_shared { 2 } else { 0 }
    }
}

impl NetworkHabits {
    fn from_seed(seed: u64) -> Self {
        // A random stream of its own here too.
        let mut rng = Rng::from_seed(seed ^ 0x6e65_7477);
        let mut is_so = || rng.chance(0.2);
        Self {
            is_listed_twice: is_so(),
            polls_fail_after_takes: is_so(),
            tokens_are_refused: is_so(),
            clocks_are_wrong: is_so(),
            is_suffix_shared: is_so(),
            guests_have_leases: is_so(),
        }
    }
}

impl FaultRates {
    fn random(rng: &mut Rng) -> Self {
        let mut up_to = |per_mille: u64| rng.number(0, per_mille) as f64 / 1000.0;
        Self {
            loss: up_to(100),
            delay: up_to(100),
            duplicate: up_to(150),
            disconnect: up_to(100),
            github_error: up_to(200),
            github_response_lost: up_to(50),
            guest_boot_failure: up_to(200),
            disk_error: up_to(50),
            scheduled_fault_count: rng.number(0, 15),
            ..Self::default()
        }
    }

    /// Adds readings that contradict each other.
    fn add_odd_readings(&mut self, rng: &mut Rng) {
        let mut up_to = |per_mille: u64| rng.number(0, per_mille) as f64 / 1000.0;
        self.odd_list = up_to(200);
        self.ghost = up_to(200);
        self.hidden = up_to(100);
        self.odd_guest_list = up_to(50);
        self.lost_evidence = up_to(300);
    }
}

impl Habits {
    fn random(rng: &mut Rng) -> Self {
        Self {
            guests_linger: rng.chance(0.4),
            has_webhooks: rng.chance(0.5),
            labels_on_take: rng.chance(0.2),
            older_clients_percent: [0, 30, 100][rng.index(3)],
            limited_clients_percent: 0,
            pause_count: 0,
            pools_follow_demand: false,
        }
    }
}

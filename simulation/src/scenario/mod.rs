//! The parameters of a run: servers, clients, fault rates and pace, derived from a seed or from a
//! [`Workday`].

mod pace;
mod workday;

use std::time::Duration;

use crate::rng::Rng;

pub use pace::Pace;
pub use workday::{Outage, Workday};

/// The time limit for recovery: every deadline in the cores is at most two minutes, and several
/// can follow each other.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(45 * 60);

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
    pub workday: Option<Workday>,
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
        Self {
            seed,
            queue_count: rng.number(1, 2) as usize,
            targets,
            client_count: rng.number(3, 30) as usize,
            fault_period: Duration::from_secs(rng.number(120, 600)),
            recovery_timeout: RECOVERY_TIMEOUT,
            fault_rates,
            pace: Pace::FAST,
            workday: None,
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
            workday: Some(workday),
        }
    }

    pub fn profile_count(&self) -> usize {
        self.targets[0].len()
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
        }
    }
}

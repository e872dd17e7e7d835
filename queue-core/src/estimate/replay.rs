//! Plays the queue's rule on many possible futures at once: when would each job get its runners?
//!
//! The rule is that of `scheduling`: jobs of a profile are assigned in order, and one that needs several
//! runners blocks those behind it until there are enough. Each future has its own durations. They are not
//! random: for each runner and job the futures get quantiles at equal distances, in an order that depends
//! on the number of the runner or job only (Latin hypercube sampling). So the same state gives the same
//! estimate, and one that has changed a little gives a similar one.
//!
//! With a limit of runners for each repository, a job that its repository keeps waiting takes a runner once an
//! earlier one of the repository has ended, and keeps no other job waiting.

use std::collections::BTreeMap;

use super::{
    distribution::Distribution,
    slots::{ANY_REPO, ServerSlots, Slot},
};

/// How many futures there are. With 99, the 50th is the median and the 90th is the 90th percentile.
pub const FUTURES: usize = 99;
const P50: usize = 49;
const P90: usize = 89;

/// The wait of a job over all futures, in seconds since the replay was begun.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wait {
    pub p50: f64,
    pub p90: f64,
}

/// The durations that a replay assumes.
#[derive(Clone, Debug)]
pub struct Durations {
    /// Of jobs, by the number of their repository; 0 stands for any.
    jobs: Vec<Duration>,
    /// From the end of a runner until its successor is idle.
    replacement: Duration,
}

/// A duration: its distribution, and the quantiles of one that begins.
#[derive(Clone, Debug)]
struct Duration {
    distribution: Distribution,
    quantiles: [f64; FUTURES],
}

/// A replay after some jobs have been assigned.
#[derive(Clone, Debug)]
pub struct Replay {
    futures: Vec<Future>,
    /// The most runners that a repository has at once, if there is a limit.
    repo_max: Option<usize>,
}

/// One possible future.
#[derive(Clone, Debug, Default)]
struct Future {
    /// When the runner in each slot is idle, in order.
    idle_at: Vec<f64>,
    /// When the last job was assigned: no later job is before it.
    last_assigned_at: f64,
    /// When each runner of a repository will have ended, in order, if there is a limit.
    held: BTreeMap<usize, Vec<f64>>,
}

impl Future {
    /// When the repository may have `count` more runners.
    fn allowed_at(&self, repo: usize, count: usize, repo_max: usize) -> f64 {
        let ends = self.held.get(&repo).map_or(&[][..], Vec::as_slice);
        let others_max = repo_max.saturating_sub(count);
        match ends.len().checked_sub(others_max + 1) {
            Some(last) => ends[last],
            None => 0.0,
        }
    }

    fn hold(&mut self, repo: usize, until: f64) {
        let ends = self.held.entry(repo).or_default();
        let behind = ends.partition_point(|other| *other <= until);
        ends.insert(behind, until);
    }

    /// Takes `count` runners for the next job, and returns when it has them.
    fn take(&mut self, count: usize, repo: usize, repo_max: Option<usize>) -> f64 {
        // The first runners are idle by then, and wait until there are enough.
        let next_at = self.last_assigned_at.max(self.idle_at[count - 1]);
        let limit = repo_max.filter(|_| repo != ANY_REPO);
        let allowed_at = limit.map_or(0.0, |max| self.allowed_at(repo, count, max));
        if allowed_at <= next_at {
            self.idle_at.drain(..count);
            self.last_assigned_at = next_at;
            return next_at;
        }
        // Those behind it take the runners that are idle before.
        let idle = self
            .idle_at
            .partition_point(|idle_at| *idle_at <= allowed_at);
        self.idle_at.drain(idle - count..idle);
        allowed_at
    }
}

impl Duration {
    fn of(distribution: Distribution) -> Self {
        let mut quantiles = [0.0; FUTURES];
        for (rank, quantile) in quantiles.iter_mut().enumerate() {
            *quantile = distribution.exceeded_with(probability(rank), 0.0);
        }
        Self {
            distribution,
            quantiles,
        }
    }

    /// What is left of one that has lasted for `elapsed` seconds, at the quantile with this rank.
    fn rest(&self, rank: usize, elapsed: f64) -> f64 {
        if elapsed > 0.0 {
            self.distribution.exceeded_with(probability(rank), elapsed) - elapsed
        } else {
            self.quantiles[rank]
        }
    }

    fn mean(&self) -> f64 {
        self.quantiles.iter().sum::<f64>() / FUTURES as f64
    }
}

impl Durations {
    /// Those of jobs, by the number of their repository, of which 0 stands for any; and those of replacements.
    pub fn new(jobs: Vec<Distribution>, replacement: Distribution) -> Self {
        Self {
            jobs: jobs.into_iter().map(Duration::of).collect(),
            replacement: Duration::of(replacement),
        }
    }

    /// The mean time from the assignment of a runner until its successor is idle, in seconds.
    pub fn cycle(&self) -> f64 {
        self.jobs[0].mean() + self.replacement.mean()
    }

    fn of_job(&self, repo: usize) -> &Duration {
        self.jobs.get(repo).unwrap_or(&self.jobs[0])
    }
}

impl Replay {
    /// Begins with these slots. Nothing is assigned before `not_before` seconds have passed.
    /// A repository has at most `repo_max` runners at once, except for one job that needs more.
    pub fn begin(
        servers: &[ServerSlots],
        durations: &Durations,
        not_before: f64,
        repo_max: Option<usize>,
    ) -> Self {
        let mut futures = vec![
            Future {
                last_assigned_at: not_before,
                ..Future::default()
            };
            FUTURES
        ];
        let mut seed = 0;
        for server in servers {
            let mut ends = vec![Vec::new(); FUTURES];
            for slot in &server.slots {
                seed += 2;
                let (job, replacement) = (Order::of(seed), Order::of(seed + 1));
                for (index, future) in futures.iter_mut().enumerate() {
                    let replaced = |elapsed| {
                        let rank = replacement.rank(index);
                        durations.replacement.rest(rank, elapsed)
                    };
                    match *slot {
                        Slot::Idle { after } => future.idle_at.push(after),
                        Slot::Vacant { elapsed } => future.idle_at.push(replaced(elapsed)),
                        Slot::Held { elapsed, repo } => {
                            let end = durations.of_job(repo).rest(job.rank(index), elapsed);
                            ends[index].push((end, end + replaced(0.0)));
                            if repo_max.is_some() && repo != ANY_REPO {
                                future.hold(repo, end);
                            }
                        }
                    }
                }
            }
            for (future, mut ends) in futures.iter_mut().zip(ends) {
                ends.sort_by(|one, other| one.0.total_cmp(&other.0));
                let replaced = ends.into_iter().skip(server.excess);
                future.idle_at.extend(replaced.map(|(_, idle_at)| idle_at));
            }
        }
        for future in &mut futures {
            future.idle_at.sort_by(f64::total_cmp);
        }
        Self { futures, repo_max }
    }

    /// How many slots there are.
    pub fn slot_count(&self) -> usize {
        self.futures[0].idle_at.len()
    }

    /// Assigns the next job, which needs `count` runners, of the repository with this number. `seed` is the
    /// same for the same job in every replay. There must be a slot.
    pub fn assign(&mut self, durations: &Durations, count: usize, repo: usize, seed: u64) -> Wait {
        let count = count.min(self.slot_count());
        let mut waits = [0.0; FUTURES];
        for (wait, future) in waits.iter_mut().zip(&mut self.futures) {
            *wait = future.take(count, repo, self.repo_max);
        }
        for runner in 0..count as u64 {
            let seed = mix(seed).wrapping_add(2 * runner);
            let (job, replacement) = (Order::of(seed), Order::of(seed + 1));
            let took = durations.of_job(repo);
            for (index, future) in self.futures.iter_mut().enumerate() {
                let took = took.quantiles[job.rank(index)];
                let replaced = durations.replacement.quantiles[replacement.rank(index)];
                let ends_at = waits[index] + took;
                let idle_at = ends_at + replaced;
                if self.repo_max.is_some() && repo != ANY_REPO {
                    future.hold(repo, ends_at);
                }
                let behind = future.idle_at.partition_point(|other| *other <= idle_at);
                future.idle_at.insert(behind, idle_at);
            }
        }
        waits.sort_by(f64::total_cmp);
        Wait {
            p50: waits[P50],
            p90: waits[P90],
        }
    }
}

/// The probability to exceed the quantile with this rank.
fn probability(rank: usize) -> f64 {
    (rank as f64 + 0.5) / FUTURES as f64
}

/// Which quantile each future gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    ranks: &'static [u8; FUTURES],
    first: usize,
}

/// How many orders there are, apart from where they begin.
const ORDER_COUNT: usize = 64;

const ORDERS: [[u8; FUTURES]; ORDER_COUNT] = orders();

impl Order {
    /// The order that follows from `seed`.
    fn of(seed: u64) -> Self {
        let mixed = mix(seed);
        Self {
            ranks: &ORDERS[mixed as usize % ORDER_COUNT],
            first: (mixed >> 32) as usize % FUTURES,
        }
    }

    fn rank(self, future: usize) -> usize {
        usize::from(self.ranks[(self.first + future) % FUTURES])
    }
}

/// Shuffled ranks (Fisher and Yates).
const fn orders() -> [[u8; FUTURES]; ORDER_COUNT] {
    let mut orders = [[0; FUTURES]; ORDER_COUNT];
    let mut state = 0;
    let mut order = 0;
    while order < ORDER_COUNT {
        let ranks = &mut orders[order];
        let mut index = 0;
        while index < FUTURES {
            ranks[index] = index as u8;
            index += 1;
        }
        while index > 1 {
            index -= 1;
            state = mix(state);
            ranks.swap(index, (state % (index as u64 + 1)) as usize);
        }
        order += 1;
    }
    orders
}

/// Spreads the bits of a number (the finaliser of SplitMix64).
const fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::distribution::Observation;

    fn always(seconds: f64) -> Distribution {
        let observation = Observation {
            seconds,
            has_ended: true,
        };
        Distribution::of(&vec![observation; 1000]).unwrap()
    }

    /// Jobs of the repository 0 take 100 s, those of the repository 1 take 1000 s, replacements 10 s.
    fn durations() -> Durations {
        Durations::new(vec![always(100.0), always(1000.0)], always(10.0))
    }

    fn server(slots: &[Slot]) -> ServerSlots {
        ServerSlots {
            slots: slots.to_vec(),
            excess: 0,
        }
    }

    /// The medians of the waits of jobs with these counts and repositories, in seconds.
    fn medians(servers: &[ServerSlots], jobs: &[(usize, usize)]) -> Vec<u64> {
        let durations = durations();
        let mut replay = Replay::begin(servers, &durations, 0.0, None);
        let jobs = jobs.iter().enumerate();
        jobs.map(|(seed, (count, repo))| {
            let wait = replay.assign(&durations, *count, *repo, seed as u64);
            wait.p50.round() as u64
        })
        .collect()
    }

    const IDLE: Slot = Slot::Idle { after: 0.0 };
    const BEGUN: Slot = Slot::Held {
        elapsed: 0.0,
        repo: 0,
    };

    #[test]
    fn jobs_take_the_runners_in_order_and_their_successors_after_them() {
        let servers = [server(&[IDLE, IDLE])];
        let jobs = [(1, 0), (1, 1), (1, 0), (1, 0), (1, 0)];
        assert_eq!(medians(&servers, &jobs), [0, 0, 110, 220, 330]);
    }

    #[test]
    fn what_a_job_and_a_replacement_have_taken_already_is_not_waited_for_again() {
        let held = Slot::Held {
            elapsed: 60.0,
            repo: 0,
        };
        let vacant = Slot::Vacant { elapsed: 4.0 };
        let servers = [server(&[held, vacant, Slot::Idle { after: 3.0 }])];
        let jobs = [(1, 0), (1, 0), (1, 0)];
        assert_eq!(medians(&servers, &jobs), [3, 6, 50]);
    }

    #[test]
    fn a_job_that_needs_several_runners_gathers_them_and_blocks_those_behind_it() {
        let servers = [server(&[IDLE, BEGUN, Slot::Idle { after: 50.0 }])];
        assert_eq!(medians(&servers, &[(3, 0), (1, 0)]), [110, 220]);
    }

    #[test]
    fn a_repository_with_all_it_may_have_waits_for_its_own_runners() {
        let held = Slot::Held {
            elapsed: 0.0,
            repo: 1,
        };
        let servers = [server(&[held, IDLE, IDLE, IDLE])];
        let durations = durations();
        let mut replay = Replay::begin(&servers, &durations, 0.0, Some(2));
        let jobs = [(1, 1), (1, 1), (1, 2), (1, 0), (1, 0), (2, 1)];
        let waits =
            jobs.map(|(count, repo)| replay.assign(&durations, count, repo, 1).p50.round() as u64);
        // The second job of repository 1 waits for the end of one of its two runners; those behind it do not.
        assert_eq!(waits, [0, 1000, 0, 110, 220, 2000]);
    }

    #[test]
    fn the_first_runners_beyond_the_target_are_not_replaced() {
        let longer = Slot::Held {
            elapsed: 0.0,
            repo: 1,
        };
        let mut servers = [server(&[longer, BEGUN])];
        assert_eq!(medians(&servers, &[(1, 0)]), [110]);
        servers[0].excess = 1;
        assert_eq!(medians(&servers, &[(1, 0)]), [1010]);
    }

    #[test]
    fn nothing_is_assigned_before_the_startup_grace_period_ends() {
        let durations = durations();
        let mut replay = Replay::begin(&[server(&[IDLE])], &durations, 5.0, None);
        let wait = replay.assign(&durations, 1, 0, 0);
        assert_eq!(wait, Wait { p50: 5.0, p90: 5.0 });
    }

    #[test]
    fn waits_do_not_decrease_with_the_position() {
        let spread = [10.0, 40.0, 90.0, 500.0, 3000.0].map(|seconds| Observation {
            seconds,
            has_ended: true,
        });
        let jobs = vec![Distribution::of(&spread).unwrap()];
        let durations = Durations::new(jobs, always(10.0));
        let mut replay = Replay::begin(&[server(&[BEGUN; 4])], &durations, 0.0, None);
        let mut last = Wait::default();
        for job in 0..100 {
            let wait = replay.assign(&durations, 1 + job % 3, 0, job as u64);
            assert!(wait.p50 >= last.p50 && wait.p90 >= last.p90 && wait.p90 >= wait.p50);
            last = wait;
        }
    }

    #[test]
    fn each_future_gets_another_quantile_in_an_order_that_depends_on_the_seed() {
        let ranks = |seed| -> Vec<usize> {
            let order = Order::of(seed);
            (0..FUTURES).map(|future| order.rank(future)).collect()
        };
        for seed in 0..1000 {
            let mut sorted = ranks(seed);
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..FUTURES), "{seed}");
        }
        assert_eq!(Order::of(7), Order::of(7));
        assert_ne!(ranks(7), ranks(8));
    }
}

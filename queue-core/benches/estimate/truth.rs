//! The true durations of the simulated jobs and runners, and the random numbers they are drawn with.

/// A generator of random numbers (SplitMix64): the same seed gives the same trace.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between 0 and 1, neither of which it ever is.
    pub fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }
}

/// A log-normal duration; a part of them is longer by a factor with a Pareto distribution.
#[derive(Clone, Copy)]
pub struct LogNormal {
    /// In seconds.
    pub mean: f64,
    /// Standard deviation of the logarithm.
    pub sigma: f64,
    /// The share of durations that are longer.
    pub tail: f64,
}

/// The exponent of the Pareto distribution.
const PARETO: f64 = 2.5;

impl LogNormal {
    pub fn draw(&self, random: &mut Random) -> f64 {
        let body = (self.sigma * random.normal()).exp();
        let factor = if random.unit() < self.tail {
            random.unit().powf(-1.0 / PARETO)
        } else {
            1.0
        };
        let mean_factor = 1.0 - self.tail + self.tail * PARETO / (PARETO - 1.0);
        self.mean * body * factor / ((self.sigma * self.sigma / 2.0).exp() * mean_factor)
    }

    /// What is left of one that has lasted for `elapsed` seconds.
    pub fn draw_rest(&self, elapsed: f64, random: &mut Random) -> f64 {
        for _ in 0..100_000 {
            let drawn = self.draw(random);
            if drawn > elapsed {
                return drawn - elapsed;
            }
        }
        elapsed
    }
}

/// A profile: its runners, and the jobs of its repositories.
#[derive(Clone)]
pub struct Profile {
    pub key: &'static str,
    pub runners: usize,
    /// Of jobs of each repository, from their assignment to the end of their runners.
    pub repos: Vec<LogNormal>,
    /// From the end of a runner until its successor is idle.
    pub replacement: LogNormal,
}

impl Profile {
    /// A profile whose jobs take `mean` seconds on average, in three repositories with shorter and longer ones.
    pub fn with_repos(key: &'static str, runners: usize, mean: f64, sigma: f64, tail: f64) -> Self {
        let repos = [0.6, 1.0, 1.4].map(|factor| LogNormal {
            mean: mean * factor,
            sigma,
            tail,
        });
        Self {
            repos: repos.to_vec(),
            ..Self::with_one_repo(key, runners, mean, sigma)
        }
    }

    /// A profile with the jobs of one repository.
    pub fn with_one_repo(key: &'static str, runners: usize, mean: f64, sigma: f64) -> Self {
        let tail = 0.0;
        Self {
            key,
            runners,
            repos: vec![LogNormal { mean, sigma, tail }],
            replacement: LogNormal {
                mean: 70.0,
                sigma: 0.3,
                tail,
            },
        }
    }

    /// The mean time for which a job has its runner.
    pub fn mean_run(&self) -> f64 {
        let jobs: f64 = self.repos.iter().map(|repo| repo.mean).sum();
        jobs / self.repos.len() as f64
    }

    /// The mean time from the assignment of a runner until its successor is idle.
    pub fn cycle(&self) -> f64 {
        self.mean_run() + self.replacement.mean
    }
}

//! What a seed's story is about: how many servers and clients, and how much goes wrong.

use std::time::Duration;

use crate::{
    chance::Chance,
    day::{Day, Outage},
};

/// The cast and the weather of one story.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed it comes from.
    pub seed: u64,
    /// How many queues share the same key; clients turn to the next when one does not answer.
    pub queue_count: usize,
    /// Of each server, how many runners of each profile it keeps.
    pub targets: Vec<Vec<usize>>,
    /// How many jobs there are.
    pub client_count: usize,
    /// Jobs arrive, and faults happen, for so long.
    pub trouble: Duration,
    /// Afterwards everybody has to be served within so long.
    pub patience: Duration,
    /// What goes wrong, and how often.
    pub weather: Weather,
    /// How fast everything goes.
    pub pace: Pace,
    /// Jobs come as on a working day, and GitHub is out of reach for that time.
    pub day: Option<Day>,
}

/// How fast everything goes. Ranges are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often a monitor looks at its guests.
    pub poll_interval: Duration,
    /// How old GitHub's list may be.
    pub cache_timeout: Duration,
    /// How long a guest takes to boot.
    pub boot: (u64, u64),
    /// How long a guest is silent between two words to GitHub.
    pub word: (u64, u64),
    /// How long a job runs.
    pub job: (u64, u64),
}

impl Pace {
    /// Much happens in little time.
    const HURRIED: Self = Self {
        poll_interval: Duration::from_secs(2),
        cache_timeout: Duration::from_secs(10),
        boot: (500, 20_000),
        word: (500, 2000),
        job: (2_000, 60_000),
    };
}

/// How likely each fault is. All zero in calm weather.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// A message is lost.
    pub loss: f64,
    /// A message comes late, up to half a minute.
    pub delay: f64,
    /// A message comes twice.
    pub repeat: f64,
    /// A connection breaks before the answer.
    pub cut: f64,
    /// GitHub answers with an error.
    pub github_error: f64,
    /// GitHub does what it is asked, and its answer is lost.
    pub github_lost: f64,
    /// A guest never comes up.
    pub dud_guest: f64,
    /// Saving to disk fails.
    pub disk_error: f64,
    /// How many crashes, hangs and other blows there are in all.
    pub blow_count: u64,
}

/// The longest that anything in a story may need after the faults have ended: deadlines of a
/// minute or two, one after another.
const PATIENCE: Duration = Duration::from_secs(45 * 60);

impl Scenario {
    /// The story of a seed.
    pub fn of(seed: u64) -> Self {
        // Another stream than the story's own, so that both can grow without disturbing each
        // other.
        let mut chance = Chance::of(seed ^ 0x5ce0_a210);
        let server_count = chance.number(1, 8) as usize;
        let profile_count = chance.number(1, 2) as usize;
        let targets: Vec<Vec<usize>> = (0..server_count)
            .map(|_| {
                (0..profile_count)
                    .map(|_| chance.number(1, 3) as usize)
                    .collect()
            })
            .collect();
        let weather = match chance.number(0, 9) {
            0 => Weather::default(),
            1..=3 => Weather {
                blow_count: chance.number(1, 12),
                ..Weather::default()
            },
            _ => stormy(&mut chance),
        };
        Self {
            seed,
            queue_count: chance.number(1, 2) as usize,
            targets,
            client_count: chance.number(3, 30) as usize,
            trouble: Duration::from_secs(chance.number(120, 600)),
            patience: PATIENCE,
            weather,
            pace: Pace::HURRIED,
            day: None,
        }
    }

    /// A day at a company: calm but for GitHub.
    pub fn of_day(day: Day) -> Self {
        Self {
            seed: 0,
            queue_count: 1,
            targets: vec![vec![day.runners_each]; day.servers],
            client_count: day.jobs,
            trouble: day.length,
            patience: PATIENCE,
            weather: Weather::default(),
            pace: day.pace(),
            day: Some(day),
        }
    }

    /// Whether GitHub is out of reach at so long after the beginning.
    pub fn is_outage(&self, after: Duration) -> bool {
        let outage = self.day.and_then(|day| day.outage);
        outage.is_some_and(|Outage { from, length }| (from..from + length).contains(&after))
    }
}

fn stormy(chance: &mut Chance) -> Weather {
    let mut up_to = |most: u64| chance.number(0, most) as f64 / 1000.0;
    Weather {
        loss: up_to(100),
        delay: up_to(100),
        repeat: up_to(150),
        cut: up_to(100),
        github_error: up_to(200),
        github_lost: up_to(50),
        dud_guest: up_to(200),
        disk_error: up_to(50),
        blow_count: chance.number(0, 15),
    }
}

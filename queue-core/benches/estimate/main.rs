//! How good the estimated waits are: against what then happened, against the estimator before, and against an
//! oracle that knows the true distributions and the state, but not the future.
//!
//! `cargo bench -p queue-core --bench estimate` prints the figures of docs/src/performance.md. Everything is
//! simulated on virtual time with fixed seeds, so that every run prints the same.

#[expect(dead_code, reason = "its tests are kept, but not run")]
mod before;
mod oracle;
mod truth;
mod world;

use shared::wire::Estimate;

use crate::{
    truth::{Profile, Random},
    world::{World, time},
};

/// How often clients ask in the burst, in seconds.
const ASKED_EVERY: f64 = 15.0;
/// How many bursts are simulated.
const BURSTS: u64 = 200;
/// How many jobs a trace has, without the first ones, from which the queue learns.
const JOBS: usize = 2000;
const LEARNT_FROM: usize = 200;

/// From this number on a part of the answers has a figure of its own.
const CELL_MIN: usize = 200;
/// How many times as long jobs take on a hosted runner, for the decisions whether to wait.
const SLOWDOWNS: [f64; 2] = [2.0, 5.0];

/// When an estimator was asked, and for which job.
#[derive(Clone, Copy)]
struct Question {
    job: usize,
    at: f64,
    /// In which third of the queue the job was: 0, 1 or 2.
    third: usize,
}

/// One answer of an estimator, and what then happened.
struct Answer {
    p50: Option<f64>,
    p90: Option<f64>,
    actual: f64,
    third: usize,
}

fn share(count: usize, of: usize) -> String {
    format!("{:.0} %", 100.0 * count as f64 / of.max(1) as f64)
}

fn null_share(answers: &[Answer]) -> String {
    let null = answers.iter().filter(|it| it.p50.is_none());
    share(null.count(), answers.len())
}

/// The share of medians that are at least half and at most twice of what was waited, or differ from it by no more than
/// the time between two questions, of all answers.
fn within_factor_of_two(answers: &[Answer]) -> String {
    let is_within = |answer: &&Answer| {
        let actual = answer.actual.max(1.0);
        let is_near = |p50: f64| (p50 - actual).abs() <= ASKED_EVERY;
        answer
            .p50
            .is_some_and(|p50| is_near(p50) || (0.5..=2.0).contains(&(p50 / actual)))
    };
    share(answers.iter().filter(is_within).count(), answers.len())
}

/// The median of the absolute errors of the medians that there are.
fn median_error(answers: &[Answer]) -> f64 {
    let errors = answers
        .iter()
        .filter_map(|it| Some((it.p50? - it.actual).abs()));
    let mut errors: Vec<f64> = errors.collect();
    errors.sort_by(f64::total_cmp);
    errors.get(errors.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The share of waits that were at most what nine of ten were expected to be.
fn covered(answers: &[Answer]) -> String {
    let known: Vec<&Answer> = answers.iter().filter(|it| it.p90.is_some()).collect();
    let is_covered = |answer: &&&Answer| answer.p90.is_some_and(|p90| answer.actual <= p90 + 1.0);
    share(known.iter().filter(is_covered).count(), known.len())
}

/// The shares of each third of the queue for which there are enough answers.
fn covered_by_third(answers: &[Answer]) -> String {
    let of_third = |third| -> Vec<&Answer> {
        let of_third = answers.iter().filter(|it| it.third == third);
        of_third.filter(|it| it.p90.is_some()).collect()
    };
    let thirds = [0, 1, 2].map(|third| match of_third(third) {
        answers if answers.len() < CELL_MIN => "–".to_owned(),
        answers => {
            let is_covered = |it: &&&Answer| it.p90.is_some_and(|p90| it.actual <= p90 + 1.0);
            share(answers.iter().filter(is_covered).count(), answers.len())
        }
    });
    thirds.join(", ")
}

/// The mean time of a job, its wait and its run, if it waits unless the remaining median says that a hosted runner
/// is faster. Without an estimate it waits.
fn mean_time(answers: &[Answer], run: f64, slowdown: f64) -> f64 {
    let hosted = run * slowdown;
    let limit = hosted * (1.0 - 1.0 / slowdown);
    let times = answers.iter().map(|answer| match answer.p50 {
        Some(p50) if p50 > limit => hosted,
        _ => answer.actual + run,
    });
    times.sum::<f64>() / answers.len().max(1) as f64
}

/// The answers of all estimators to the same questions: the median and the 90th percentile.
#[derive(Default)]
struct Answers {
    questions: Vec<Question>,
    before: Vec<Option<(f64, f64)>>,
    now: Vec<Option<(f64, f64)>>,
    oracle: Vec<Option<(f64, f64)>>,
}

fn seconds(estimate: Option<Estimate>) -> Option<(f64, f64)> {
    estimate.map(|it| (it.p50_seconds as f64, it.p90_seconds as f64))
}

impl Answers {
    fn ask(&mut self, world: &mut World, profile: &Profile, job: usize, random: &mut Random) {
        let ahead = world.waiting.iter().take_while(|other| **other != job);
        let ahead = ahead.count();
        let at = world.now;
        let third = ahead * 3 / world.waiting.len();
        self.questions.push(Question { job, at, third });
        let before = world.before.estimate(time(at), ahead + 1);
        self.before.push(seconds(before));
        self.now.push(seconds(world.estimate(job)));
        let oracle = oracle::estimate(world, profile, job, random);
        self.oracle.push(Some(oracle));
    }

    /// What became of the jobs: the answers before, now, and of the oracle.
    fn judge(self, world: &World) -> [Vec<Answer>; 3] {
        [self.before, self.now, self.oracle].map(|answers| {
            let questions = self.questions.iter().zip(answers);
            let judged = questions.filter_map(|(question, answer)| {
                let assigned_at = world.jobs[question.job].assigned_at?;
                Some(Answer {
                    p50: answer.map(|(p50, _)| p50),
                    p90: answer.map(|(_, p90)| p90),
                    actual: assigned_at - question.at,
                    third: question.third,
                })
            });
            judged.collect()
        })
    }
}

const ESTIMATORS: [&str; 3] = ["before", "now", "oracle"];

/// Twelve jobs on four idle runners of a queue that knows nothing; each client asks every 15 s. Once a first batch
/// has been seen: four jobs have ended.
fn bursts() {
    let profile = Profile::with_one_repo("linux", 4, 278.0, 0.4);
    let mut all: [Vec<Answer>; 3] = Default::default();
    let mut later: [Vec<Answer>; 3] = Default::default();
    for burst in 0..BURSTS {
        let mut random = Random::new(1000 + burst);
        let mut world = World::new(&profile, Random::new(burst));
        let (mut first, mut after) = (Answers::default(), Answers::default());
        for _ in 0..12 {
            world.enqueue(0);
        }
        while !world.waiting.is_empty() {
            for job in world.waiting.clone() {
                let answers = if world.ended_count < 4 {
                    &mut first
                } else {
                    &mut after
                };
                answers.ask(&mut world, &profile, job, &mut random);
            }
            world.advance_to(world.now + ASKED_EVERY);
        }
        for (index, judged) in first.judge(&world).into_iter().enumerate() {
            all[index].extend(judged);
        }
        for (index, judged) in after.judge(&world).into_iter().enumerate() {
            later[index].extend(judged);
        }
    }
    println!(
        "Burst: 12 jobs on 4 runners, {BURSTS} times, each client asks every {ASKED_EVERY} s\n"
    );
    println!("| answers | estimator | null | p50 within a factor of two |");
    println!("| --- | --- | --- | --- |");
    for (name, answers) in [
        ("before four jobs have ended", &all),
        ("once four jobs have ended", &later),
    ] {
        for (estimator, answers) in ESTIMATORS.iter().zip(answers) {
            let (null, within) = (null_share(answers), within_factor_of_two(answers));
            println!("| {name} | {estimator} | {null} | {within} |");
        }
    }
}

/// Pushes of 5 to 20 jobs of one repository, at such intervals that the runners have jobs, or are replaced, for this
/// part of the time. Asks for each job that waits, right after its push. With `restarts` the queue is restarted before
/// each push.
fn trace(profile: &Profile, load: f64, restarts: bool, seed: u64) -> [Vec<Answer>; 3] {
    let mut random = Random::new(seed);
    let mut oracle_random = Random::new(seed + 1);
    let mut world = World::new(profile, Random::new(seed + 2));
    let mut answers = Answers::default();
    let pushed_every = 12.5 * profile.cycle() / (load * profile.runners as f64);
    while world.jobs.len() < LEARNT_FROM + JOBS {
        world.advance_to(world.now + random.exponential(pushed_every));
        let is_learning = world.jobs.len() < LEARNT_FROM;
        if restarts && !is_learning {
            world.restart_queue();
        }
        let repo = random.below(profile.repos.len());
        let pushed: Vec<usize> = (0..5 + random.below(16))
            .map(|_| {
                let job = world.enqueue(repo);
                world.advance_to(world.now + 0.2);
                job
            })
            .collect();
        for job in pushed {
            if !is_learning && world.waiting.contains(&job) {
                answers.ask(&mut world, profile, job, &mut oracle_random);
            }
        }
    }
    while !world.waiting.is_empty() {
        world.advance_to(world.now + 60.0);
    }
    answers.judge(&world)
}

const LOADS: [f64; 4] = [0.1, 0.5, 0.7, 0.9];

fn traces() {
    let profiles = [
        Profile::with_repos("linux", 12, 278.0, 0.6, 0.05),
        Profile::with_repos("windows", 6, 614.0, 0.6, 0.05),
    ];
    println!("\nTraces: pushes of 5 to 20 jobs; asked when a job was pushed and had to wait\n");
    println!(
        "| profile | load | queue | answers | median error of p50: before, now, oracle | ratio | null: before, now | waits within p90: before, now, oracle | now, by third of the queue |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut decisions = Vec::new();
    for profile in &profiles {
        for load in LOADS {
            for restarts in [false, true] {
                let answers = trace(profile, load, restarts, 7);
                print_errors(profile, load, restarts, &answers);
                if !restarts {
                    decisions.push(decisions_row(profile, load, &answers));
                }
            }
        }
    }
    println!("\nWait or hosted: mean time of these jobs, wait and run, by who decides\n");
    println!(
        "| profile | load | hosted takes | all wait, before, now, oracle | now longer than oracle by |"
    );
    println!("| --- | --- | --- | --- | --- |");
    decisions.iter().flatten().for_each(|row| println!("{row}"));
}

fn print_errors(profile: &Profile, load: f64, restarts: bool, answers: &[Vec<Answer>; 3]) {
    let [before, now, oracle] = answers;
    let errors = [before, now, oracle].map(|answers| median_error(answers));
    let [first, second, third] = errors.map(|error| format!("{error:.0} s"));
    let [null_before, null_now] = [before, now].map(|it| null_share(it));
    let [one, two, three] = [before, now, oracle].map(|it| covered(it));
    println!(
        "| {} | {:.0} % | {} | {} | {first}, {second}, {third} | {:.2} | {null_before}, {null_now} | {one}, {two}, {three} | {} |",
        profile.key,
        load * 100.0,
        if restarts { "restarted" } else { "runs" },
        now.len(),
        errors[1] / errors[2],
        covered_by_third(now),
    );
}

fn decisions_row(profile: &Profile, load: f64, answers: &[Vec<Answer>; 3]) -> [String; 2] {
    let run = profile.mean_run();
    SLOWDOWNS.map(|slowdown| {
        let all_wait: f64 = answers[1].iter().map(|it| it.actual + run).sum();
        let all_wait = all_wait / answers[1].len().max(1) as f64;
        let [before, now, oracle] = [0, 1, 2].map(|it| mean_time(&answers[it], run, slowdown));
        format!(
            "| {} | {:.0} % | {slowdown} times as long | {all_wait:.0} s, {before:.0} s, {now:.0} s, {oracle:.0} s | {:.1} % |",
            profile.key,
            load * 100.0,
            100.0 * (now / oracle - 1.0),
        )
    })
}

fn main() {
    bursts();
    traces();
}

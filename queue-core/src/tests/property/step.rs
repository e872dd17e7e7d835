//! The random steps.

use proptest::prelude::*;

/// One step. Numbers are taken modulo the number of choices.
#[derive(Clone, Debug)]
pub enum Step {
    /// A message arrives, or a copy of it.
    Arrive { letter: usize, is_repeated: bool },
    /// A message is lost without any notice.
    Lose { letter: usize },
    /// A message is lost, and the queue learns that the outcome is unknown.
    Break { letter: usize },
    /// A server answers a poll; the answer arrives now or later.
    Answer { server: usize, arrives: bool },
    /// A server cannot be reached.
    Unreachable { server: usize },
    /// A runner becomes idle.
    Boot { server: usize, profile: usize },
    /// An idle runner dies.
    LoseIdle { server: usize, profile: usize },
    /// The runners of a job are used, or expire.
    RunOrExpire {
        server: usize,
        client: usize,
        is_used: bool,
    },
    /// A client enqueues its job.
    Enqueue { client: usize },
    /// A client takes with one of the tickets it has.
    Take {
        client: usize,
        ticket: usize,
        hold_seconds: u64,
    },
    /// A client disconnects while its take is held.
    Disconnect { call: usize },
    /// The next answer with runners is not delivered.
    FailNextDelivery,
    /// A client or an operator withdraws a job.
    Withdraw {
        client: usize,
        ticket: usize,
        by_operator: bool,
    },
    /// A job is inspected.
    Inspect { client: usize },
    /// An operator pauses a profile.
    Pause { profile: usize },
    /// An operator resumes a profile.
    Resume { profile: usize },
    /// Time passes.
    Pass { millis: u64 },
    /// The process is suspended for a while.
    Suspend { seconds: u64 },
    /// The queue is restarted.
    Restart,
}

/// All steps, with their weights.
pub fn steps() -> impl Strategy<Value = Step> {
    let number = || 0..1000_usize;
    prop_oneof![
        30 => (number(), prop::bool::weighted(0.1))
            .prop_map(|(letter, is_repeated)| Step::Arrive { letter, is_repeated }),
        2 => number().prop_map(|letter| Step::Lose { letter }),
        2 => number().prop_map(|letter| Step::Break { letter }),
        20 => (number(), prop::bool::weighted(0.8))
            .prop_map(|(server, arrives)| Step::Answer { server, arrives }),
        1 => number().prop_map(|server| Step::Unreachable { server }),
        12 => (number(), number()).prop_map(|(server, profile)| Step::Boot { server, profile }),
        1 => (number(), number()).prop_map(|(server, profile)| Step::LoseIdle { server, profile }),
        5 => (number(), number(), prop::bool::weighted(0.7))
            .prop_map(|(server, client, is_used)| Step::RunOrExpire { server, client, is_used }),
        12 => number().prop_map(|client| Step::Enqueue { client }),
        20 => (number(), number(), prop_oneof![Just(0), 1..60_u64])
            .prop_map(|(client, ticket, hold_seconds)| Step::Take { client, ticket, hold_seconds }),
        4 => number().prop_map(|call| Step::Disconnect { call }),
        2 => Just(Step::FailNextDelivery),
        3 => (number(), number(), any::<bool>())
            .prop_map(|(client, ticket, by_operator)| Step::Withdraw { client, ticket, by_operator }),
        1 => number().prop_map(|client| Step::Inspect { client }),
        1 => number().prop_map(|profile| Step::Pause { profile }),
        2 => number().prop_map(|profile| Step::Resume { profile }),
        12 => (1..12_000_u64).prop_map(|millis| Step::Pass { millis }),
        1 => (6..100_u64).prop_map(|seconds| Step::Suspend { seconds }),
        1 => Just(Step::Restart),
    ]
}

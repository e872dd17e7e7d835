//! A job holds as many takes as it can.

use std::time::Duration;

use crate::{
    bed::{Bed, BedSettings, Daemons},
    http::{Connection, fetch, request},
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "held",
    does: "holds a ticket, and begins 100 takes of its job that are to be held for a minute, written in four ways",
    guarantee: "at most four are held; the others are answered at once",
    run,
};

const TAKES: usize = 100;
const HELD_MAX: usize = 4;
/// How long the queue has for its answers: 5 s.
const CHECKS_MAX: u32 = 50;
const CHECK_PAUSE: Duration = Duration::from_millis(100);

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        target_count: 1,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let address = bed.queue.address;
    // The only runner is busy with another job.
    let first = bed.enqueue("first");
    let take_first = format!("/take/first?token={first}");
    wait::until("the runner is assigned", || {
        (fetch(address, "POST", &take_first, "").status == 200).then_some(())
    });
    let ticket = bed.enqueue("greedy");
    let by_header = format!("Authorization: Bearer {ticket}\r\nPrefer: respond-async, wait=60\r\n");
    let by_query = format!("/take/greedy?token={ticket}");
    // The same job, in other words.
    let ways = [
        request("POST", &by_query, "Prefer: wait=60\r\n"),
        request("POST", "/take/greedy", &by_header),
        request("POST", "/take/%67reedy", &by_header),
        request(
            "POST",
            &format!("{by_query}&a=b"),
            "Prefer: wait=\"50\"\r\n",
        ),
    ];
    let mut takes: Vec<Connection> = Vec::new();
    for take in ways.iter().cycle().take(TAKES) {
        let mut connection = Connection::to(address).expect("the queue listens");
        connection.send(take).expect("the queue reads the request");
        takes.push(connection);
    }
    let held = || takes.iter().filter(|take| !take.has_response()).count();
    for _ in 0..CHECKS_MAX {
        if held() <= HELD_MAX {
            break;
        }
        wait::pause(CHECK_PAUSE);
    }
    let held = held();
    Outcome::new(format!("{held} of {TAKES} held"), held <= HELD_MAX)
}

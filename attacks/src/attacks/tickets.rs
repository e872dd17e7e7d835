//! A stranger requests the tickets of other jobs with what is public about them, and withdraws the jobs.

use crate::{
    bed::{Bed, BedSettings, Daemons, Job},
    http::fetch,
    outcome::{Attack, Outcome},
};

pub const ATTACK: Attack = Attack {
    name: "tickets",
    does: "requests the tickets of 20 waiting jobs with their public ids, and withdraws the jobs",
    guarantee: "a ticket is issued only for the secret whose SHA-256 the artifact contains",
    run,
};

const JOBS: usize = 20;

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        target_count: 1,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let address = bed.queue.address;
    let mut withdrawn = 0;
    for number in 0..JOBS {
        let job = Job::upload(&bed, &format!("job-{number}"));
        job.enqueue(&bed);
        let answer = job.enqueue_as_stranger(address);
        if answer.status == 200 {
            let ticket = format!("Authorization: Bearer {}\r\n", answer.text());
            let path = format!("/job/{}", job.unique_id);
            withdrawn += usize::from(fetch(address, "DELETE", &path, &ticket).status == 204);
        }
    }
    Outcome::new(format!("{withdrawn} of {JOBS} withdrawn"), withdrawn == 0)
}

//! An operator releases reservations by hand, by the documented call, behind the queue's back.

use crate::{
    bed::{AUTHORISED, Bed, BedSettings, Daemons},
    http::fetch,
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "release",
    does: "releases by hand, at the monitor, the runner of a job whose client knows its label, three times",
    guarantee: "the next job gets a runner each time, and never one whose label was given to another job",
    run,
};

const RELEASES: usize = 3;

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        target_count: 1,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let mut labels: Vec<String> = Vec::new();
    for number in 0..=RELEASES {
        let Some(label) = label_of(&bed, &format!("job-{number}")) else {
            break;
        };
        labels.push(label);
        let release = format!("/reservation/job-{number}");
        fetch(bed.monitor.address, "DELETE", &release, AUTHORISED);
    }
    let assigned = labels.len().saturating_sub(1);
    let is_assigned = assigned == RELEASES;
    labels.sort();
    labels.dedup();
    let repeated = (assigned + 1).saturating_sub(labels.len());
    let measured =
        format!("{assigned} of {RELEASES} next jobs assigned, {repeated} of them by a known label");
    Outcome::new(measured, is_assigned && repeated == 0)
}

/// The label of the runner that a job gets; `None` if it gets none in time.
fn label_of(bed: &Bed, job: &str) -> Option<String> {
    let ticket = bed.enqueue(job);
    let take = format!("/take/{job}?token={ticket}");
    let began_at = wait::now();
    while began_at.elapsed().as_secs() < 10 {
        let taken = fetch(bed.queue.address, "POST", &take, "Prefer: wait=10\r\n");
        if taken.status == 200 {
            let label = taken.json()["label"].as_str().map(str::to_owned);
            return Some(label.expect("a runner has a label"));
        }
    }
    None
}

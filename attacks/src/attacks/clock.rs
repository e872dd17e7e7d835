//! GitHub, or a proxy in front of it, states times that cannot be.

use std::time::{Duration, Instant};

use emulator::faults::{Fault, FaultRule, PathMatch};

use crate::{
    bed::{AUTHORISED, Bed, BedSettings, Daemons, Job},
    http::{Connection, fetch},
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "clock",
    does: "is GitHub, which answers once with 429 and a date in the year 9999, once with a reset of its limit in the \
           year 5000, and dates a list of artifacts in the year 9999",
    guarantee: "requests go on after the second that the 429 asks for, and after an hour at most; the artifact is accepted",
    run,
};

const YEAR_9999: &str = "Fri, 31 Dec 9999 23:59:59 GMT";
/// In the year 5000, in seconds since 1970.
const RESET: &str = "95617584000";
const RUNNERS: &str = "/orgs/delan/actions/runners";
/// The 429 asks for one second.
const PAUSE_MAX: Duration = Duration::from_secs(8);
const HOUR: u64 = 3600;

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        target_count: 1,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let is_accepted = accepts_artifact(&bed);
    let too_many = Fault::status(429)
        .with_header("date", YEAR_9999)
        .with_header("retry-after", "1");
    let pause = pause_after(&bed, too_many);
    let first = match pause {
        Some(pause) => format!("requests after {:.0} s", pause.as_secs_f64()),
        None => format!("no request within {} s", PAUSE_MAX.as_secs()),
    };
    let used_up = Fault::status(403)
        .with_header("x-ratelimit-limit", "5000")
        .with_header("x-ratelimit-remaining", "0")
        .with_header("x-ratelimit-resource", "core")
        .with_header("x-ratelimit-reset", RESET);
    // Without a request there is nothing that this could be the response to.
    let stated = pause.and_then(|_| stated_pause(&bed, used_up));
    let second = match stated {
        Some(seconds) => format!("then {seconds} s stated"),
        None => "then none stated".to_owned(),
    };
    let third = match is_accepted {
        true => "artifact accepted",
        false => "artifact refused",
    };
    let is_hour = stated.is_some_and(|seconds| seconds <= HOUR);
    Outcome::new(
        format!("{first}, {second}, {third}"),
        pause.is_some() && is_hour && is_accepted,
    )
}

/// How long it takes until GitHub has got three more list requests after this response to one; `None` if
/// it is too long.
fn pause_after(bed: &Bed, fault: Fault) -> Option<Duration> {
    let requests = || bed.github.emulator.requests().count("GET", RUNNERS);
    order(bed, RUNNERS, fault);
    let (began_at, before): (Instant, usize) = (wait::now(), requests());
    while began_at.elapsed() < PAUSE_MAX {
        if requests() >= before + 3 {
            return Some(began_at.elapsed());
        }
        wait::pause(Duration::from_millis(20));
    }
    None
}

/// The pause in seconds that the monitor states in its log after this response, when it has another request
/// for GitHub: to delete a registration.
fn stated_pause(bed: &Bed, fault: Fault) -> Option<u64> {
    let before = bed.monitor.log().len();
    order(bed, RUNNERS, fault);
    fetch(
        bed.monitor.address,
        "DELETE",
        "/runner/0?force=true",
        AUTHORISED,
    );
    let began_at = wait::now();
    while began_at.elapsed() < PAUSE_MAX {
        let log = bed.monitor.log();
        let mut texts = log[before..].split(" in ").skip(1);
        let seconds = texts.find_map(|text| text.split_once(" s")?.0.parse().ok());
        if seconds.is_some() {
            return seconds;
        }
        wait::pause(Duration::from_millis(20));
    }
    None
}

/// Whether a job is enqueued although the list of its artifacts has an odd date.
fn accepts_artifact(bed: &Bed) -> bool {
    // GitHub's clock is known from a first response.
    Job::upload(bed, "first").enqueue(bed);
    let job = Job::upload(bed, "second");
    let headers = vec![("date".to_owned(), YEAR_9999.to_owned())];
    let path = PathMatch::Prefix("/repos/delan/servo/actions/runs".into());
    let rule = FaultRule::on("GET", path, Fault::SetHeaders { headers }).next(1);
    let faults = bed.github.emulator.faults();
    faults.add(rule).expect("the rule is valid");
    let sent = Connection::to(bed.queue.address)
        .and_then(|mut it| it.request("POST", &job.path(), &job.authorization()));
    sent.is_ok_and(|response| response.status == 200)
}

/// Waits until the next request with this path has got this response.
fn order(bed: &Bed, path: &str, fault: Fault) {
    let faults = bed.github.emulator.faults();
    let rule = FaultRule::on("GET", PathMatch::Prefix(path.into()), fault).next(1);
    let id = faults.add(rule).expect("the rule is valid");
    wait::until("GitHub gets a request", || {
        (faults.hit_count(id) > 0).then_some(())
    });
}

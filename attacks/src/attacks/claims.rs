//! Strangers claim to be jobs that do not exist, so that the artifacts of real jobs are not checked.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::{
    bed::{Bed, BedSettings, Daemons, Job},
    http::{Connection, request},
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "claims",
    does: "claims 1,000 jobs a second that have no artifact, from 16 addresses, in accepted repositories",
    guarantee: "a job with an artifact is enqueued within 5 s (p99), and none is refused",
    run,
};

const ADDRESSES: u8 = 16;
/// The pause of each address between two claims: together they send 1,000 a second.
const PAUSE: Duration = Duration::from_millis(16);
/// Honest jobs, and the pause between two.
const JOBS: usize = 20;
const JOB_PAUSE: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(5);
/// After that an honest client gives up.
const TIMEOUT: Duration = Duration::from_secs(30);

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        target_count: 1,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let is_over = AtomicBool::new(false);
    let (mut waits, mut refused) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        for address in 0..ADDRESSES {
            let (bed, is_over) = (&bed, &is_over);
            scope.spawn(move || claim_until(bed, address, is_over));
        }
        let mut clients = Vec::new();
        for number in 0..JOBS {
            let bed = &bed;
            let job = Job::upload(bed, &format!("honest-{number}"));
            clients.push(scope.spawn(move || time_to_enqueue(bed, &job)));
            wait::pause(JOB_PAUSE);
        }
        for client in clients {
            match client.join().expect("a client does not panic") {
                Some(wait) => waits.push(wait),
                None => refused += 1,
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    if waits.is_empty() {
        return Outcome::new(format!("{refused} of {JOBS} not enqueued"), false);
    }
    let p99 = wait::percentile(&mut waits, 0.99);
    let measured = format!(
        "p99 {:.1} s, {refused} of {JOBS} not enqueued",
        p99.as_secs_f64()
    );
    Outcome::new(measured, refused == 0 && p99 <= WAIT_MAX)
}

/// Claims one job after the other. Half of them name the run of the honest jobs.
fn claim_until(bed: &Bed, address: u8, is_over: &AtomicBool) {
    let source = Ipv4Addr::new(127, 0, 2, address);
    let mut open: Option<Connection> = None;
    for number in 0_u64.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let run_id = if number % 2 == 0 { 123 } else { number };
        // Also in repositories of which nothing is known yet.
        let repo = match number % 4 {
            3 => format!("delan/repo-{number}"),
            _ => "delan/servo".to_owned(),
        };
        let path = format!(
            "/enqueue?unique_id=bogus-{address}-{number}&qualified_repo={repo}&run_id={run_id}"
        );
        // Does not wait for the response: those under way are many.
        let connection = open.take();
        let connection = connection.or_else(|| Connection::from_to(source, bed.queue.address).ok());
        if let Some(mut connection) = connection {
            let sent = connection.send(&request("POST", &path, ""));
            open = sent
                .is_ok()
                .then_some(connection)
                .filter(|_| number % 8 != 7);
        }
        wait::pause(PAUSE);
    }
}

/// How long a client takes to get its ticket that follows `Retry-After`; `None` if it is refused.
fn time_to_enqueue(bed: &Bed, job: &Job) -> Option<Duration> {
    let began_at = wait::now();
    while began_at.elapsed() < TIMEOUT {
        let sent = Connection::to(bed.queue.address)
            .and_then(|mut it| it.request("POST", &job.path(), &job.authorization()));
        match sent {
            Ok(response) if response.status == 200 => return Some(began_at.elapsed()),
            Ok(response) if response.status == 503 => {
                let seconds = response.retry_after().unwrap_or(1);
                wait::pause(Duration::from_secs(seconds));
            }
            _ => return None,
        }
    }
    None
}

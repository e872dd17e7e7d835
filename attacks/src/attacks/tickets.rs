//! A stranger requests the tickets of other jobs with what is public about them, and uses the ticket of its
//! own job for others.

use std::net::SocketAddr;

use shared::sha256::Sha256;

use crate::{
    bed::{Bed, BedSettings, Daemons, Job},
    http::{Connection, Response, fetch},
    outcome::{Attack, Outcome},
};

pub const ATTACK: Attack = Attack {
    name: "tickets",
    does: "requests the tickets of 20 waiting jobs with their public ids, and withdraws the jobs; tries 21 more ways to \
           get or use a ticket of another job",
    guarantee: "a ticket is issued only for the secret whose SHA-256 the artifact contains, and is of use for its own job only",
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
    let (accepted, count) = other_ways(&bed);
    let measured = format!("{withdrawn} of {JOBS} withdrawn, {accepted} of {count} other ways");
    Outcome::new(measured, withdrawn + accepted == 0)
}

/// A request: at which daemon, with which method, path and headers.
type Try = (SocketAddr, &'static str, String, String);

/// How many other ways to get or use the ticket of another job work, and how many there are.
fn other_ways(bed: &Bed) -> (usize, usize) {
    let victim = Job::upload(bed, "victim");
    victim.enqueue(bed);
    let own = Job::upload(bed, "own");
    let ticket = own.enqueue(bed);
    let mut tries = ways_to_get(bed, &victim, &own.authorization());
    tries.extend(ways_to_use(bed, &ticket));
    let count = tries.len();
    let sources = 1..=u8::MAX;
    let accepted = tries.into_iter().zip(sources).filter(|(request, source)| {
        let (address, method, path, headers) = request;
        // From an address of its own: a wrong claim costs its budget.
        let sent = Connection::from_to([127, 0, 4, *source].into(), *address)
            .and_then(|mut it| it.request(method, path, headers));
        // 503 of a take means that it waits for its runners, and of a claim that it is not answered yet.
        let is_take = path.starts_with("/take/");
        let works = |it: &Response| matches!(it.status, 200 | 204) || (is_take && it.status == 503);
        sent.as_ref().is_ok_and(works)
    });
    (accepted.count(), count)
}

/// With the hash of the victim's secret, which is in its artifact, or with the secret of the own job.
fn ways_to_get(bed: &Bed, victim: &Job, own_secret: &str) -> Vec<Try> {
    let path = victim.path();
    let hash = Sha256::of(format!("secret-of-{}", victim.unique_id).as_bytes());
    let by_hash = format!("Authorization: Bearer {hash}\r\n");
    let twice = format!("{by_hash}{own_secret}");
    let in_query = format!("{path}&secret={hash}&token={hash}");
    let repeated = format!("{path}&unique_id=own");
    let encoded = path.replace("unique_id", "%75nique_id");
    let other_case = path.replace("delan/servo", "Delan/Servo");
    let zeros = path.replace("run_id=", "run_id=0");
    let select = path.replace("/enqueue", "/select-runner");
    let at_queue = [
        ("POST", &path, &*by_hash),
        ("POST", &path, own_secret),
        ("POST", &path, &twice),
        ("POST", &path, "Authorization: Bearer\r\n"),
        ("POST", &path, "Authorization: Basic dmljdGltOg==\r\n"),
        ("POST", &in_query, ""),
        ("POST", &repeated, own_secret),
        ("POST", &encoded, own_secret),
        ("POST", &other_case, own_secret),
        ("POST", &zeros, &by_hash),
        ("GET", &path, &by_hash),
    ];
    let at_monitor = [("POST", &select, ""), ("POST", &select, &*by_hash)];
    let with = |address| {
        move |(method, path, headers): (&'static str, &String, &str)| {
            (address, method, path.clone(), headers.to_owned())
        }
    };
    let at_queue = at_queue.into_iter().map(with(bed.queue.address));
    let at_monitor = at_monitor.into_iter().map(with(bed.monitor.address));
    at_queue.chain(at_monitor).collect()
}

/// With the ticket of the own job, or one made of it.
fn ways_to_use(bed: &Bed, ticket: &str) -> Vec<Try> {
    let own = format!("Authorization: Bearer {ticket}\r\n");
    let forged = forged(ticket);
    let tries = [
        ("POST", "/take/victim".to_owned(), &*own),
        ("POST", format!("/take/victim?token={ticket}"), ""),
        ("POST", format!("/take/victim?token={forged}"), ""),
        ("POST", "/take/%76ictim".to_owned(), &*own),
        ("GET", "/job/victim".to_owned(), &*own),
        ("DELETE", "/job/victim".to_owned(), &*own),
        ("DELETE", format!("/job/victim?token={forged}"), ""),
        (
            "GET",
            format!("/job/victim?token={ticket}&token={ticket}"),
            &*own,
        ),
    ];
    let tries = tries.into_iter();
    let with_address =
        |(method, path, headers)| (bed.queue.address, method, path, str::to_owned(headers));
    tries.map(with_address).collect()
}

/// The ticket of the job `victim`, with a header that asks for no signature, and another job's signature.
fn forged(ticket: &str) -> String {
    // {"alg":"none"} and {"sub":"victim"} in base64url.
    let (header, content) = ("eyJhbGciOiJub25lIn0", "eyJzdWIiOiJ2aWN0aW0ifQ");
    let signature = ticket.rsplit('.').next().unwrap_or_default();
    format!("{header}.{content}.{signature}")
}

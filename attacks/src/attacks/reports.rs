//! A server's monitor answers every poll with a large report that differs from the last one.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    bed::{AUTHORISED, Bed, BedSettings, Daemons},
    fake_monitor::FakeMonitor,
    http::{Connection, fetch, request},
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "reports",
    does: "is the owner of one server, whose monitor answers each poll at once with another report of 7 MB",
    guarantee: "a runner of another server is assigned at most 5 ms later than without that (p99)",
    run,
};

/// Enough for several reports to arrive meanwhile.
const ASSIGNMENTS: usize = 400;
/// How much of a report is written at once. The monitor is on the same machine, unlike a real one, and what it writes
/// at once delays everything on one of its processors.
const WRITTEN_AT_ONCE: usize = 16 * 1024;
/// Other work on the machine delays assignments as well; so the quietest of some rounds counts.
const ROUNDS_MAX: usize = 3;
const DELAY_MAX: Duration = Duration::from_millis(5);

fn run(daemons: &Daemons) -> Outcome {
    let honest = FakeMonitor::start();
    let hostile = HostileMonitor::start();
    let servers = [honest.url.clone(), hostile.url.clone()];
    let settings = BedSettings {
        servers: &servers,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let rounds = (0..ROUNDS_MAX).map(|round| {
        let measure = |is_large, what: &str| {
            hostile.is_large.store(is_large, Ordering::Relaxed);
            let mut durations = assignments(&bed, &honest, &format!("{what}-{round}"));
            [0.5, 0.99].map(|quantile| wait::percentile(&mut durations, quantile))
        };
        Round {
            alone: measure(false, "alone"),
            during: measure(true, "during"),
        }
    });
    let mut quietest: Option<Round> = None;
    for round in rounds {
        if quietest.is_none_or(|quietest| round.delay() < quietest.delay()) {
            quietest = Some(round);
        }
        if round.delay() <= DELAY_MAX {
            break;
        }
    }
    let quietest = quietest.expect("there is at least one round");
    let shown = |[median, p99]: [Duration; 2]| {
        let [median, p99] = [median, p99].map(|it| it.as_secs_f64() * 1000.0);
        format!("median {median:.1} ms, p99 {p99:.1} ms")
    };
    let (alone, during) = (shown(quietest.alone), shown(quietest.during));
    let measured = format!("{alone} alone; {during} beside it");
    Outcome::new(measured, quietest.delay() <= DELAY_MAX)
}

/// Median and p99 of assignments, without and with the large reports.
#[derive(Clone, Copy)]
struct Round {
    alone: [Duration; 2],
    during: [Duration; 2],
}

impl Round {
    /// How much later an assignment is at p99.
    fn delay(&self) -> Duration {
        self.during[1].saturating_sub(self.alone[1])
    }
}

/// A monitor that holds no poll: it answers each at once, with another version of its dashboard.
struct HostileMonitor {
    url: String,
    /// Whether its dashboards are large from now on.
    is_large: Arc<AtomicBool>,
}

impl HostileMonitor {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let is_large = Arc::new(AtomicBool::new(false));
        let is_large_now = Arc::clone(&is_large);
        std::thread::spawn(move || {
            let large = Arc::new(dashboard(10_000));
            let small = Arc::new(dashboard(1));
            for stream in listener.incoming().flatten() {
                let (large, small) = (Arc::clone(&large), Arc::clone(&small));
                let is_large = Arc::clone(&is_large_now);
                std::thread::spawn(move || {
                    serve(&stream, || match is_large.load(Ordering::Relaxed) {
                        true => &large,
                        false => &small,
                    })
                });
            }
        });
        Self {
            url: format!("http://{address}/"),
            is_large,
        }
    }
}

/// A dashboard with so many runners, each of 700 bytes.
fn dashboard(count: u64) -> Vec<u8> {
    let runner = |id: u64| json!({"id": id, "status": "busy", "profile_key": "linux", "padding": "x".repeat(640)});
    let runners: Vec<Value> = (0..count).map(runner).collect();
    json!({"profile_runner_counts": {}, "runners": runners, "reservations": {}})
        .to_string()
        .into_bytes()
}

/// Answers every request on a connection until it ends.
fn serve<'a>(stream: &TcpStream, body: impl Fn() -> &'a Vec<u8>) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    for version in 0_u64.. {
        // Up to the empty line: these requests have no body.
        while !lines
            .next()
            .ok_or(io::ErrorKind::UnexpectedEof)??
            .is_empty()
        {}
        let body = body();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"{version}\"\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        writer.write_all(head.as_bytes())?;
        for part in body.chunks(WRITTEN_AT_ONCE) {
            writer.write_all(part)?;
        }
    }
    Ok(())
}

/// How long it takes from the moment at which a runner becomes idle until a held take is answered.
fn assignments(bed: &Bed, honest: &FakeMonitor, prefix: &str) -> Vec<Duration> {
    let assign = |number| {
        let job = format!("{prefix}-{number}");
        let ticket = bed.enqueue(&job);
        let mut held = Connection::to(bed.queue.address).expect("the queue listens");
        let take = format!("/take/{job}?token={ticket}");
        held.send(&request("POST", &take, "Prefer: wait=60\r\n"))
            .expect("the queue reads the request");
        // A later request on another connection is answered: the queue has read the take.
        fetch(bed.queue.address, "GET", &format!("/job/{job}"), AUTHORISED);
        let began_at = wait::now();
        honest.boot(1);
        let response = held.receive().expect("the queue responds");
        assert_eq!(response.status, 200, "{}", response.text());
        let elapsed = began_at.elapsed();
        // So that its own reports do not grow.
        honest.change(|state| state.reservations.clear());
        elapsed
    };
    (0..ASSIGNMENTS).map(assign).collect()
}

//! A proxy between the queue and a monitor adds responses of its own.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use crate::{
    bed::{Bed, BedSettings, Daemons},
    fake_monitor::{FakeMonitor, Fault},
    http::{Connection, fetch},
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "proxy",
    does: "is a proxy in front of a monitor, which sends 100 and 103 before each response, and answers a release with a 405 of its own",
    guarantee: "each job gets its own runner, and the release is repeated until the monitor has answered it",
    run,
};

const JOBS: u64 = 5;
/// Informational responses, in the forms that servers send.
const INTERIM: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";

fn run(daemons: &Daemons) -> Outcome {
    let monitor = FakeMonitor::start();
    let proxy = start_proxy(&monitor.url);
    let servers = [proxy];
    let settings = BedSettings {
        servers: &servers,
        ..BedSettings::default()
    };
    let bed = Bed::start_without_waiting(daemons, &settings);
    wait::until("the queue assigns runners", || {
        (fetch(bed.queue.address, "GET", "/readyz", "").status == 200).then_some(())
    });
    let assigned = (1..=JOBS).filter(|number| is_assigned(&bed, &monitor, *number));
    let assigned = assigned.count();
    let is_released = is_released(&bed, &monitor);
    let release = match is_released {
        true => "the release is repeated",
        false => "the release is lost",
    };
    let measured = format!("{assigned} of {JOBS} jobs get their own runner, {release}");
    Outcome::new(measured, assigned as u64 == JOBS && is_released)
}

/// Whether a job gets the runner that the monitor has for it.
fn is_assigned(bed: &Bed, monitor: &FakeMonitor, number: u64) -> bool {
    let job = format!("job-{number}");
    let Some(ticket) = try_enqueue(bed, &job) else {
        return false;
    };
    monitor.boot(1);
    let path = format!("/take/{job}?token={ticket}");
    let taken = fetch(bed.queue.address, "POST", &path, "Prefer: wait=5\r\n");
    let granted = monitor.read(|state| {
        let reservation = state.reservations.get(&job);
        reservation.and_then(|reservation| reservation.runners.first().copied())
    });
    taken.status == 200 && granted.is_some() && taken.json()["id"].as_u64() == granted
}

/// Whether the queue releases a runner until the monitor itself has answered.
fn is_released(bed: &Bed, monitor: &FakeMonitor) -> bool {
    let Some(ticket) = try_enqueue(bed, "withdrawn") else {
        return false;
    };
    monitor.change(|state| {
        let own = Fault::respond("405 Method Not Allowed", "<html>405: a proxy</html>");
        state.release_faults.push_back(own);
        // The queue does not know whether this take was carried out.
        state.take_faults.push_back(Fault::CutAfter);
        state.boot(1);
    });
    let headers = format!("Authorization: Bearer {ticket}\r\n");
    let began_at = wait::now();
    while monitor.read(|state| state.reservations.contains_key("withdrawn"))
        || monitor.request_count("DELETE /reservation/withdrawn") < 1
    {
        if began_at.elapsed() > Duration::from_secs(8) {
            return false;
        }
        if monitor.request_count("POST /profile/linux/take?unique_id=withdrawn") > 0 {
            fetch(bed.queue.address, "DELETE", "/job/withdrawn", &headers);
        }
        wait::pause(Duration::from_millis(20));
    }
    true
}

/// The ticket of a job; `None` if the queue does not accept jobs in time.
fn try_enqueue(bed: &Bed, job: &str) -> Option<String> {
    let path = crate::bed::enqueue_path(job);
    let began_at = wait::now();
    while began_at.elapsed() < Duration::from_secs(5) {
        let sent = Connection::to(bed.queue.address)
            .and_then(|mut it| it.request("POST", &path, crate::bed::AUTHORISED));
        if let Some(ticket) = sent.ok().filter(|response| response.status == 200) {
            return Some(ticket.text());
        }
        wait::pause(Duration::from_millis(50));
    }
    None
}

/// Starts the proxy in front of a URL; returns its own. It ends with this process.
fn start_proxy(url: &str) -> String {
    let upstream = url.trim_start_matches("http://").trim_end_matches('/');
    let upstream: SocketAddr = upstream.parse().expect("the URL has an address");
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a listener has an address");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || relay(client, upstream));
        }
    });
    format!("http://{address}/")
}

/// Passes on one connection. None of the requests has a body, and each is sent after the response to the
/// one before, so that a request begins with each part that is read.
fn relay(mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream)?;
    let (mut responses, mut to_client) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let copied = io::copy(&mut responses, &mut to_client);
        let _ = to_client.shutdown(std::net::Shutdown::Both);
        copied
    });
    let mut part = [0; 16 * 1024];
    loop {
        let length = client.read(&mut part)?;
        if length == 0 {
            return server.shutdown(std::net::Shutdown::Both);
        }
        client.write_all(INTERIM.as_bytes())?;
        server.write_all(&part[..length])?;
    }
}

//! Strangers open connections, and send nothing.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::{
    bed::{AUTHORISED, Bed, BedSettings, Daemons, enqueue_path},
    http::{Connection, fetch},
    outcome::{Attack, Outcome},
    wait,
};

pub const ATTACK: Attack = Attack {
    name: "connections",
    does: "opens 2,000 connections to each daemon from 20 addresses and sends nothing, half a head, half a body, or a request whose \
           response it does not read, with systemd's soft limit of 1,024 open files",
    guarantee: "health checks, enqueueing and takes work within 3 s, and a reservation is written to disk",
    run,
};

const CONNECTIONS: u8 = 100;
const ADDRESSES: u8 = 20;
/// For four requests; a runner is idle.
const SECONDS_MAX: f64 = 3.0;

fn run(daemons: &Daemons) -> Outcome {
    allow_many_files();
    let settings = BedSettings {
        target_count: 1,
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let mut strangers = Vec::new();
    for address in [bed.queue.address, bed.monitor.address] {
        for source in 0..ADDRESSES {
            let source = Ipv4Addr::new(127, 0, 1, source);
            let opened = (0..CONNECTIONS).filter_map(|number| open(source, address, number).ok());
            strangers.extend(opened);
        }
    }
    let began_at = wait::now();
    let (queue, monitor) = (bed.queue.address, bed.monitor.address);
    let status = |address, method, path: &str, headers: &str| {
        let sent = Connection::to(address).and_then(|mut it| it.request(method, path, headers));
        sent.map_or(0, |response| response.status)
    };
    let enqueue = enqueue_path("job");
    let mut failed = Vec::new();
    for (address, name) in [(queue, "queue"), (monitor, "monitor")] {
        if status(address, "GET", "/healthz", "") != 200 {
            failed.push(format!("healthz of the {name}"));
        }
    }
    let sent = Connection::to(queue).and_then(|mut it| it.request("POST", &enqueue, AUTHORISED));
    match sent {
        Ok(ticket) if ticket.status == 200 => {
            let take = format!("/take/job?token={}", ticket.text());
            if status(queue, "POST", &take, "Prefer: wait=20\r\n") != 200 {
                failed.push("take".to_owned());
            }
        }
        _ => failed.push("enqueue".to_owned()),
    }
    let seconds = began_at.elapsed().as_secs_f64();
    let count = strangers.len();
    drop(strangers);
    let dashboard = fetch(monitor, "GET", "/dashboard.json", AUTHORISED).json();
    if dashboard["reservations"]["job"].is_null() {
        failed.push("reservation".to_owned());
    }
    let result = match failed.is_empty() {
        true => "everything works".to_owned(),
        false => format!("fails: {}", failed.join(", ")),
    };
    let measured = format!("{count} connections, {result} after {seconds:.1} s");
    Outcome::new(measured, failed.is_empty() && seconds < SECONDS_MAX)
}

/// Opens a connection that keeps the daemon waiting in one of six ways.
fn open(source: Ipv4Addr, address: SocketAddr, number: u8) -> io::Result<Connection> {
    let mut connection = Connection::from_to(source, address)?;
    let begun: &[u8] = match number % 6 {
        0 => b"",
        1 => b"GET / HTTP/1.1\r\nHost: attacked\r\nX: ",
        2 => b"POST /webhook HTTP/1.1\r\nHost: attacked\r\nContent-Length: 1000\r\n\r\n{",
        3 => {
            b"POST /enqueue HTTP/1.1\r\nHost: attacked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"
        }
        // Never reads the response.
        4 => b"GET / HTTP/1.1\r\nHost: attacked\r\n\r\n",
        _ => b"GET /dashboard.json HTTP/1.1\r\nHost: attacked\r\n",
    };
    connection.send(begun)?;
    if number % 6 == 5 {
        connection.end_sending()?;
    }
    Ok(connection)
}

/// Lets this process open a file for each connection.
pub(super) fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the soft limit may be as high as the hard one");
}

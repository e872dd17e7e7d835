//! Strangers send heads of requests that do not end.

use std::net::Ipv4Addr;

use crate::{
    bed::{Bed, BedSettings, Daemons},
    http::Connection,
    outcome::{Attack, Outcome},
};

pub const ATTACK: Attack = Attack {
    name: "heads",
    does: "sends 2,000 heads of 100 kB that do not end to each daemon, from 20 addresses: long paths, long headers, many headers",
    guarantee: "neither daemon needs more than 96 MB, and both answer others",
    run,
};

const HEADS_OF_ADDRESS: usize = 100;
const ADDRESSES: u8 = 20;
const BYTES: usize = 100_000;
const MEGABYTES_MAX: u64 = 96;

fn run(daemons: &Daemons) -> Outcome {
    super::connections::allow_many_files();
    let bed = Bed::start(daemons, &BedSettings::default());
    let heads = [
        format!("GET /{}", "x".repeat(BYTES)),
        format!(
            "GET / HTTP/1.1\r\nHost: attacked\r\nX: {}",
            "x".repeat(BYTES)
        ),
        format!(
            "GET / HTTP/1.1\r\nHost: attacked\r\n{}",
            "X: x\r\n".repeat(BYTES / 6)
        ),
    ];
    let mut answered = 0;
    let mut megabytes = 0;
    for daemon in [&bed.queue, &bed.monitor] {
        let mut strangers = Vec::new();
        for source in 0..ADDRESSES {
            let source = Ipv4Addr::new(127, 0, 5, source);
            for head in heads.iter().cycle().take(HEADS_OF_ADDRESS) {
                // The daemon may close the connection in the middle.
                let opened = Connection::from_to(source, daemon.address);
                strangers.extend(opened.map(|mut it| {
                    let _ = it.send(head.as_bytes());
                    it
                }));
            }
        }
        let health =
            Connection::to(daemon.address).and_then(|mut it| it.request("GET", "/healthz", ""));
        answered += usize::from(health.is_ok_and(|response| response.status == 200));
        megabytes = daemon.peak_megabytes().max(megabytes);
    }
    let measured = format!("{megabytes} MB, {answered} of 2 answer");
    Outcome::new(measured, megabytes <= MEGABYTES_MAX && answered == 2)
}

//! A stranger repeats requests that are refused, to fill the disk with log lines.

use crate::{
    bed::{Bed, BedSettings, Daemons},
    http::{Connection, Response, request},
    outcome::{Attack, Outcome},
};

pub const ATTACK: Attack = Attack {
    name: "logs",
    does: "sends 20,000 requests of 24 kinds to each daemon that are refused: no or wrong tokens, odd paths and methods, foreign \
           repositories, forged webhooks, guests' paths, no HTTP",
    guarantee: "refused requests are counted; each cause writes one line a minute at most",
    run,
};

const REQUESTS: usize = 20_000;
/// What both daemons may write in the time of the attack, apart from a line for each cause.
const KILOBYTES_MAX: u64 = 16;

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        environment: &[("GITHUB_WEBHOOK_SECRET", "hunter4-signs-webhooks")],
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let log_bytes = || (bed.queue.log().len() + bed.monitor.log().len()) as u64;
    let before = log_bytes();
    for address in [bed.queue.address, bed.monitor.address] {
        let mut connection = None;
        for number in 0..REQUESTS {
            let mut current = match connection.take() {
                Some(connection) => connection,
                None => match Connection::to(address) {
                    Ok(connection) => connection,
                    Err(_) => continue,
                },
            };
            // The response to what is no HTTP ends the connection.
            let response = current
                .send(&refused(number))
                .and_then(|()| current.receive());
            let is_kept =
                |it: Response| it.status != 400 && it.header("connection") != Some("close");
            connection = response.is_ok_and(is_kept).then_some(current);
        }
    }
    let kilobytes = log_bytes().saturating_sub(before) / 1000;
    let measured = format!("{kilobytes} kB of log lines");
    Outcome::new(measured, kilobytes < KILOBYTES_MAX)
}

/// One of the requests. Each has other values, so that no two lines could be the same.
fn refused(number: usize) -> Vec<u8> {
    let wrong_token = format!("Authorization: Bearer wrong-{number}\r\n");
    let signature = format!("X-Hub-Signature-256: sha256={number:064x}\r\n");
    let ids = |repo: &str| format!("unique_id=job-{number}&qualified_repo={repo}&run_id={number}");
    let line = |method: &str, path: &str, headers: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: attacked\r\n{headers}\r\n").into_bytes()
    };
    match number % 24 {
        0 => request("POST", &format!("/enqueue?{}", ids("other/servo")), ""),
        1 => request(
            "POST",
            &format!("/select-runner?{}", ids("other/servo")),
            "",
        ),
        2 => request(
            "POST",
            &format!("/profile/linux/enqueue?{}", ids("delan/servo")),
            &wrong_token,
        ),
        3 => request(
            "POST",
            &format!("/profile/linux/take?{}", ids("delan/servo")),
            &wrong_token,
        ),
        4 => request("GET", &format!("/unknown-{number}"), ""),
        5 => request("POST", "/webhook", &signature),
        6 => request("POST", &format!("/take/job-{number}?token=x{number}"), ""),
        7 => request("GET", "/github-jitconfig", &wrong_token),
        8 => request("DELETE", &format!("/reservation/job-{number}"), ""),
        9 => request(
            "GET",
            "/boot",
            &format!("X-Forwarded-For: 10.0.0.{}\r\n", number % 250),
        ),
        10 => request("GET", &format!("/image-deps/{number}"), ""),
        11 => request("GET", &format!("/cache/{number}/.git/config"), ""),
        12 => request(&format!("METHOD{number}"), "/", ""),
        13 => request("POST", &format!("/policy/override?linux={number}"), ""),
        14 => request("GET", &format!("/%0aERROR%0d{number}"), ""),
        15 => request("GET", &format!("/{}{number}", "x".repeat(5000)), ""),
        16 => request(
            "GET",
            "/",
            &format!("Upgrade: websocket{number}\r\nConnection: upgrade\r\n"),
        ),
        17 => request("GET", &format!("http://other-{number}/unknown"), ""),
        18 => request("DELETE", &format!("/job/job-{number}"), &wrong_token),
        19 => request(
            "POST",
            "/take/a?token=x",
            &format!("Sec-Fetch-Site: cross-site{number}\r\n"),
        ),
        20 => request("GET", &format!("/job/{number}?token=%ff{number}"), ""),
        21 => line(
            "POST",
            "/webhook",
            &format!("Content-Length: {number}x\r\n{signature}"),
        ),
        22 => line("GET", "/", &format!("Bad Header {number}\r\n")),
        _ => format!("no HTTP {number}\r\n\r\n").into_bytes(),
    }
}

//! A stranger sends many large webhooks with a wrong signature, none of which ends.

use ring::hmac;

use crate::{
    bed::{Bed, BedSettings, Daemons},
    http::Connection,
    outcome::{Attack, Outcome},
};

pub const ATTACK: Attack = Attack {
    name: "webhooks",
    does: "sends 300 webhooks of up to 1 MB to a monitor at once, with a wrong signature and without their last byte: plain, chunked, \
           said to be compressed, as forms, slowly",
    guarantee: "the monitor needs less than 64 MB, and accepts a webhook of GitHub meanwhile",
    run,
};

const BODIES: usize = 300;
const BODY_BYTES: usize = 1_000_000;
/// What GitHub's own webhooks may have.
const ALLOWED_BYTES: usize = 500_000;
const SECRET: &str = "hunter4-signs-webhooks";
const MEGABYTES_MAX: u64 = 64;

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        environment: &[("GITHUB_WEBHOOK_SECRET", SECRET)],
        ..BedSettings::default()
    };
    let bed = Bed::start(daemons, &settings);
    let address = bed.monitor.address;
    let signature = "0".repeat(64);
    let body = vec![b' '; BODY_BYTES];
    let mut strangers = Vec::new();
    for number in 0..BODIES {
        let (head, length) = unsigned(number, &signature);
        // The monitor may refuse the connection, or close it in the middle of the body.
        if let Ok(mut connection) = Connection::to(address) {
            let _ = connection
                .send(head.as_bytes())
                .and_then(|()| connection.send(&body[..length]));
            strangers.push(connection);
        }
    }
    let is_accepted = accepts_signed(&bed);
    let megabytes = bed.monitor.peak_megabytes();
    drop(strangers);
    let answer = match is_accepted {
        true => "accepts GitHub's",
        false => "refuses GitHub's",
    };
    let measured = format!("{megabytes} MB, {answer}");
    Outcome::new(measured, is_accepted && megabytes < MEGABYTES_MAX)
}

/// The head of an unsigned webhook, and how much of its body follows.
fn unsigned(number: usize, signature: &str) -> (String, usize) {
    let large = head(BODY_BYTES, signature);
    let allowed = head(ALLOWED_BYTES, signature);
    let with = |header: &str| allowed.replacen("Host:", &format!("{header}\r\nHost:"), 1);
    match number % 6 {
        0 => (large, BODY_BYTES - 1),
        1 => (allowed, ALLOWED_BYTES - 1),
        // One chunk without an end.
        2 => {
            let length = format!("Content-Length: {ALLOWED_BYTES}");
            let head = allowed.replacen(&length, "Transfer-Encoding: chunked", 1);
            (format!("{head}{BODY_BYTES:x}\r\n"), BODY_BYTES - 1)
        }
        3 => (with("Content-Encoding: gzip"), ALLOWED_BYTES - 1),
        4 => {
            let form = "application/x-www-form-urlencoded";
            (
                allowed.replacen("application/json", form, 1),
                ALLOWED_BYTES - 1,
            )
        }
        // The rest arrives some other day.
        _ => (allowed, 1),
    }
}

fn head(length: usize, signature: &str) -> String {
    format!(
        "POST /webhook HTTP/1.1\r\nHost: attacked\r\nContent-Type: application/json\r\nX-GitHub-Event: ping\r\n\
         X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Whether the monitor accepts a webhook as GitHub sends it. GitHub comes from another address.
fn accepts_signed(bed: &Bed) -> bool {
    let body = br#"{"zen": "Keep it logically awesome."}"#;
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = hmac::sign(&key, body);
    let signature = signature.as_ref().iter();
    let signature: String = signature.map(|byte| format!("{byte:02x}")).collect();
    let response = Connection::from_to([127, 0, 0, 9].into(), bed.monitor.address).and_then(
        |mut connection| {
            connection.send(head(body.len(), &signature).as_bytes())?;
            connection.send(body)?;
            connection.receive()
        },
    );
    response.is_ok_and(|response| response.status == 204)
}

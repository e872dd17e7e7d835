//! The tokens in the environment, and the proofs of grants in a report: no text is a valid proof, and no error
//! contains a token.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use queue::{grant_proofs::GrantProofs, ticket::TicketKey};
use shared::{
    clock::Timestamp,
    secret::Secret,
    settings::{Environment, Secrets},
    wire::{ReservationReport, ReservationState},
};

static PROOFS: LazyLock<GrantProofs> = LazyLock::new(|| {
    let key = TicketKey::from_secret(&Secret::new("a key"));
    let servers = ["http://a/", "http://b/"].map(str::to_owned);
    GrantProofs::new(key.grant_key(), servers.to_vec())
});

/// Stands for the part of a token that must not be shown.
const TOKEN: &str = "hunter2hunter2";

fuzz_target!(|text: &str| {
    let reservation = ReservationReport {
        runners: vec![1],
        state: ReservationState::Held,
        attempt: 1,
        enqueued_at: Some(Timestamp::from_micros(5)),
        proof: Some(text.to_owned()),
    };
    let job = "job".parse().expect("a valid unique_id");
    assert_eq!(PROOFS.verifier(0)(&job, &reservation), None);

    // Each line is a variable.
    let variables = text.lines().filter_map(|line| line.split_once('='));
    // What stands in the URL of a server is shown: it is no token.
    let is_in_url = |entry: &str| {
        let url = entry.split_once('=').map(|(url, _)| url);
        url.is_some_and(|url| url.contains("://") && url.contains('#'))
    };
    let mut values = variables.clone().map(|(_, value)| value);
    if values.any(|value| value.split_ascii_whitespace().any(is_in_url)) {
        return;
    }
    let variables = variables.map(|(name, value)| (name, value.replace('#', TOKEN)));
    match Secrets::read(&variables.collect::<Environment>()) {
        Ok(secrets) => {
            assert!(!format!("{secrets:?}").contains(TOKEN));
            for token in &secrets.queue_tokens {
                assert!(!secrets.api_token.matches(token.expose()));
            }
        }
        Err(error) => assert!(!error.to_string().contains(TOKEN), "{error}"),
    }
});

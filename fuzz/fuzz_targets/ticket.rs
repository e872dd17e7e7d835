//! Tickets: nothing that the key did not sign is ever taken for one, and what it did sign reads the
//! same when it is signed again.

#![no_main]

use std::{sync::LazyLock, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use queue::ticket::TicketKey;
use ring::hmac;
use shared::secret::Secret;

const SECRET: &str = "a key";
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

static KEY: LazyLock<TicketKey> = LazyLock::new(|| TicketKey::from_secret(&Secret::new(SECRET)));

/// A ticket with any payload, as only a holder of the key can make it.
fn signed(payload: &str) -> String {
    let text = [HEADER, payload].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fuzz_target!(|text: &str| {
    assert!(KEY.verify(text).is_err(), "a ticket was made without the key");
    if let Ok(claims) = KEY.verify(&signed(text)) {
        let again = KEY.sign(&claims, Duration::from_secs(3600));
        assert_eq!(KEY.verify(&again), Ok(claims));
    }
});

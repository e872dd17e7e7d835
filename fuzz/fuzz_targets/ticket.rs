//! Tickets: a text that was not signed with the key is never accepted, and the content of a ticket stays
//! equal when it is signed again.

#![no_main]

use std::{sync::LazyLock, time::Duration};

use libfuzzer_sys::fuzz_target;
use queue::ticket::TicketKey;
use shared::secret::Secret;

const SECRET: &str = "a key";
static KEY: LazyLock<TicketKey> = LazyLock::new(|| TicketKey::from_secret(&Secret::new(SECRET)));

/// A token with any JSON as its claims, as only a holder of the key can sign it.
fn signed(claims: &serde_json::Value) -> Option<String> {
    let key = jwt::EncodingKey::from_secret(SECRET.as_bytes()).ok()?;
    jwt::encode(&jwt::Header::new(jwt::Algorithm::HS256), claims, &key).ok()
}

fuzz_target!(|text: &str| {
    assert!(
        KEY.verify(text).is_err(),
        "accepted a ticket that the key did not sign"
    );
    if let Ok(claims) = serde_json::from_str(text)
        && let Some(ticket) = signed(&claims)
        && let Ok(content) = KEY.verify(&ticket)
    {
        let again = KEY.sign(&content, Duration::from_secs(3600));
        assert_eq!(KEY.verify(&again), Ok(content));
    }
});

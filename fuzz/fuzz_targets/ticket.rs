//! Tickets: nothing that the key did not sign is ever taken for one.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use queue::ticket::TicketKey;
use shared::secret::Secret;

static KEY: LazyLock<TicketKey> = LazyLock::new(|| TicketKey::from_secret(&Secret::new("a key")));

fuzz_target!(|ticket: &str| {
    assert!(KEY.verify(ticket).is_err(), "a ticket was made without the key");
});

//! Free ports, for processes whose ports must be known before they start.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the ephemeral port range, so that no outgoing connection of another test gets one of these.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// Ports on which nothing listens. Each is returned once in this process.
pub fn free_ports<const N: usize>() -> [u16; N] {
    [(); N].map(|()| free_port())
}

fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at the same time begin at different ports.
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    let offset = |index: u16| (u32::from(start) + u32::from(index)) % u32::from(COUNT);
    loop {
        let port = FIRST + offset(NEXT.fetch_add(1, Ordering::Relaxed)) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

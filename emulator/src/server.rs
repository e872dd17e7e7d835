//! The emulator on a port.
//!
//! Owns the server and the task that lets the model's time pass.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::ServerHandle,
    middleware::from_fn,
    rt,
    web::{Data, PayloadConfig},
};
use tokio::task::JoinHandle;

use crate::{Emulator, api};

/// Largest body of a request outside the control side, in bytes.
const BODY_MAX: usize = 1 << 20;
/// Longer than clients keep a connection for reuse, so that none is closed while it is used again.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Longest sleep of the timekeeper when nothing is due.
const NOTHING_DUE: Duration = Duration::from_hours(1);

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    server: ServerHandle,
    serving: Option<JoinHandle<io::Result<()>>>,
    timekeeper: JoinHandle<()>,
}

/// Serves `emulator` on `listener`. Has to be called inside an actix runtime, from which it uses
/// the current thread for time and one more for requests; see [`spawn`](crate::spawn) for other
/// places.
///
/// # Errors
/// When the listener's address cannot be read or its socket not be used.
pub fn serve(emulator: Emulator, listener: TcpListener) -> io::Result<Running> {
    let addr = listener.local_addr()?;
    emulator.set_base_url(format!("http://{}", reachable(addr)));
    let data = Data::new(emulator.clone());
    let app = move || {
        App::new()
            .app_data(data.clone())
            .app_data(PayloadConfig::new(BODY_MAX))
            .wrap(from_fn(api::gate))
            .configure(api::routes)
    };
    let server = HttpServer::new(app)
        .workers(1)
        .disable_signals()
        .keep_alive(KEEP_ALIVE)
        // Otherwise a runner that has hung up goes on listening for a job.
        .h1_allow_half_closed(false)
        .on_connect(api::Socket::keep)
        .listen(listener)?
        .run();
    Ok(Running {
        addr,
        server: server.handle(),
        serving: Some(rt::spawn(server)),
        timekeeper: rt::spawn(keep_time(emulator)),
    })
}

/// An address that a client on this machine can call.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr
}

/// Lets happen what is due, when it is due.
async fn keep_time(emulator: Emulator) {
    let mut changes = emulator.changes();
    loop {
        changes.borrow_and_update();
        let wait = emulator.model(|model, now| {
            model.advance(now);
            model.next_due_at().map(|at| at.since(now))
        });
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(wait.unwrap_or(NOTHING_DUE)) => {}
        }
    }
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops at once: held requests get no answer, as when a machine goes down.
    pub async fn stop(mut self) {
        self.server.stop(false).await;
        if let Some(serving) = self.serving.take()
            && let Ok(Err(error)) = serving.await
        {
            log::warn!("the emulator's server ended with an error: {error}");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.timekeeper.abort();
        // The order is sent at once; the future only waits for its execution.
        drop(self.server.stop(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_is_called_on_this_machine() {
        for (bound, called) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()), called.parse().unwrap());
        }
    }
}

//! The HTTP server of an emulator, and the task that applies the model's timeouts.

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

/// Maximum size of a request body in bytes, except for control requests.
const BODY_MAX: usize = 1 << 20;
/// Longer than clients keep a connection for reuse. Otherwise a connection could be closed at the
/// moment at which a client uses it again.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The timekeeper's sleep when no timeout is set.
const IDLE_SLEEP: Duration = Duration::from_hours(1);

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    server: ServerHandle,
    serving: Option<JoinHandle<io::Result<()>>>,
    timekeeper: JoinHandle<()>,
}

/// Serves `emulator` on `listener`. Must be called inside an actix runtime, and starts one more
/// thread for requests. See [`spawn`](crate::spawn) for use outside a runtime.
///
/// # Errors
/// When the listener's address cannot be read, or its socket cannot be used.
pub fn serve(emulator: Emulator, listener: TcpListener) -> io::Result<Running> {
    let addr = listener.local_addr()?;
    emulator.set_base_url(format!("http://{}", reachable(addr)));
    let data = Data::new(emulator.clone());
    let app = move || {
        App::new()
            .app_data(data.clone())
            .app_data(PayloadConfig::new(BODY_MAX))
            .wrap(from_fn(api::fault_middleware))
            .configure(api::routes)
    };
    let server = HttpServer::new(app)
        .workers(1)
        .disable_signals()
        .keep_alive(KEEP_ALIVE)
        // Otherwise the poll of a runner that has disconnected would be held, and keep it online.
        .h1_allow_half_closed(false)
        .on_connect(api::Socket::store)
        .listen(listener)?
        .run();
    Ok(Running {
        addr,
        server: server.handle(),
        serving: Some(rt::spawn(server)),
        timekeeper: rt::spawn(keep_time(emulator)),
    })
}

/// The address by which a client on this machine reaches the listener.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr
}

/// Applies every timeout of the model when it is due.
async fn keep_time(emulator: Emulator) {
    let mut changes = emulator.changes();
    loop {
        changes.borrow_and_update();
        let wait = emulator.model(|model, now| {
            model.advance(now);
            model.next_deadline().map(|at| at.since(now))
        });
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(wait.unwrap_or(IDLE_SLEEP)) => {}
        }
    }
}

impl Running {
    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops at once: held requests get no response, as in a crash.
    pub async fn stop(mut self) {
        self.server.stop(false).await;
        if let Some(serving) = self.serving.take()
            && let Ok(Err(error)) = serving.await
        {
            log::warn!("the emulator's HTTP server failed: {error}");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.timekeeper.abort();
        // The command is sent at once; the future would only wait for the end.
        drop(self.server.stop(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_reached_by_the_loopback_address() {
        for (bound, called) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()), called.parse().unwrap());
        }
    }
}

//! The TCP connection of a request, for faults that end it without a response.

use std::{
    any::Any,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    rc::Rc,
};

use actix_web::dev::{Extensions, ServiceRequest};

/// A second handle of a connection that actix serves. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Socket(Rc<TcpStream>);

impl Socket {
    /// Stores a handle of each new connection; for `HttpServer::on_connect`.
    pub(crate) fn store(connection: &dyn Any, extensions: &mut Extensions) {
        let stream = connection.downcast_ref::<actix_web::rt::net::TcpStream>();
        // Without it, faults that close the connection have no effect, and their tests fail.
        if let Some(Ok(descriptor)) = stream.map(|it| it.as_fd().try_clone_to_owned()) {
            extensions.insert(Self(Rc::new(TcpStream::from(descriptor))));
        }
    }

    /// The connection of a request; none in tests without a server.
    pub(super) fn of(request: &ServiceRequest) -> Option<Self> {
        request.conn_data::<Self>().cloned()
    }

    /// Closes the connection. Data that is not sent yet may be lost.
    pub(super) fn close(&self) {
        if let Err(error) = self.0.shutdown(Shutdown::Both) {
            log::debug!("failed to close the connection: {error}");
        }
    }
}

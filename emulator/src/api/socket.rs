//! The connection under a request, for faults that end it without an answer.

use std::{
    any::Any,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    rc::Rc,
};

use actix_web::dev::{Extensions, ServiceRequest};

/// A second hold on a connection that actix serves. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Socket(Rc<TcpStream>);

impl Socket {
    /// Keeps a hold on each new connection; for `HttpServer::on_connect`.
    pub(crate) fn keep(connection: &dyn Any, extensions: &mut Extensions) {
        let stream = connection.downcast_ref::<actix_web::rt::net::TcpStream>();
        // Without it, only faults that cut the connection do not work, and they say so.
        if let Some(Ok(descriptor)) = stream.map(|it| it.as_fd().try_clone_to_owned()) {
            extensions.insert(Self(Rc::new(TcpStream::from(descriptor))));
        }
    }

    /// The connection that `request` came over; none in tests without a server.
    pub(super) fn of(request: &ServiceRequest) -> Option<Self> {
        request.conn_data::<Self>().cloned()
    }

    /// Ends the connection. What was written but not sent yet may be lost.
    pub(super) fn cut(&self) {
        if let Err(error) = self.0.shutdown(Shutdown::Both) {
            log::debug!("the connection to be cut was gone already: {error}");
        }
    }
}

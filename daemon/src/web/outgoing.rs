//! Bodies of responses on their way to a client: in slices, and known to the connection.
//!
//! Guarantees that a client that reads slowly costs little memory. actix copies what a body returns into
//! a buffer of the connection, so a body in memory, which all readers of a page share, is returned in
//! slices.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    web::Bytes,
};

use crate::connections::ConnectionHandle;

/// The longest slice of a body in memory, in bytes.
const SLICE_LENGTH_MAX: usize = 16 << 10;

/// The body of a response on a connection.
pub(super) struct Outgoing {
    body: Body,
    size: BodySize,
    _end: EndOfBody,
}

enum Body {
    /// What is left of a body in memory.
    InMemory(Bytes),
    Stream(BoxBody),
}

impl Outgoing {
    /// Wraps `body`, which is sent on `connection`.
    pub(super) fn new(body: BoxBody, connection: Option<ConnectionHandle>) -> Self {
        let size = body.size();
        let has_content = !matches!(size, BodySize::None | BodySize::Sized(0));
        if let Some(connection) = &connection {
            connection.respond(has_content);
        }
        let body = match body.try_into_bytes() {
            Ok(bytes) => Body::InMemory(bytes),
            Err(body) => Body::Stream(body),
        };
        Self {
            body,
            size,
            _end: EndOfBody(connection),
        }
    }
}

/// Tells the connection, by being dropped, that a body has ended.
struct EndOfBody(Option<ConnectionHandle>);

impl Drop for EndOfBody {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.flush();
        }
    }
}

impl MessageBody for Outgoing {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        match &mut self.body {
            Body::InMemory(rest) if rest.is_empty() => Poll::Ready(None),
            Body::InMemory(rest) => {
                let length = rest.len().min(SLICE_LENGTH_MAX);
                Poll::Ready(Some(Ok(rest.split_to(length))))
            }
            Body::Stream(body) => Pin::new(body).poll_next(context),
        }
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, size, _end } = self;
        match body {
            Body::InMemory(bytes) => Ok(bytes),
            Body::Stream(_) => Err(Self { body, size, _end }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[actix_web::test]
    async fn a_body_in_memory_is_sent_in_slices() {
        let whole: Vec<u8> = (0..40_000_u32).map(|number| number as u8).collect();
        let mut body = Box::pin(Outgoing::new(BoxBody::new(whole.clone()), None));
        assert_eq!(body.size(), BodySize::Sized(40_000));
        let mut slices = Vec::new();
        while let Some(slice) = poll_fn(|context| body.as_mut().poll_next(context)).await {
            slices.push(slice.unwrap());
        }
        let lengths: Vec<usize> = slices.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [16_384, 16_384, 7232]);
        assert_eq!(slices.concat(), whole);
    }
}

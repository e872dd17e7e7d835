//! A response body that ends before its announced length.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    body::{BodySize, MessageBody},
    web::Bytes,
};

use super::socket::Socket;

/// What happens after the last byte that is sent.
#[derive(Debug)]
pub(super) enum Ending {
    Close(Option<Socket>),
    /// The connection stays open, and nothing more is sent.
    Stall,
}

#[derive(Debug)]
pub(super) struct BrokenBody {
    announced: u64,
    part: Bytes,
    ending: Ending,
    /// Whether the bytes have been handed to the network.
    is_flushed: bool,
}

impl BrokenBody {
    /// Sends the first `keep` bytes of `whole`, and at least one byte less than all.
    pub(super) fn new(whole: Bytes, keep: usize, ending: Ending) -> Self {
        let announced = whole.len();
        Self {
            announced: announced as u64,
            part: whole.slice(..keep.min(announced.saturating_sub(1))),
            ending,
            is_flushed: false,
        }
    }
}

impl MessageBody for BrokenBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.announced)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        if !self.part.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.part))));
        }
        if let Ending::Close(socket) = &self.ending {
            if self.is_flushed {
                if let Some(socket) = socket {
                    socket.close();
                }
            } else {
                // Actix sends its buffer when a body is not ready. The connection is closed when
                // actix polls the body again.
                context.waker().wake_by_ref();
            }
        }
        self.is_flushed = true;
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_the_announced_length_is_sent() {
        for (whole, keep, part) in [
            ("abcd", 0, ""),
            ("abcd", 2, "ab"),
            ("abcd", 4, "abc"),
            ("abcd", 99, "abc"),
            ("", 3, ""),
        ] {
            let body = BrokenBody::new(whole.into(), keep, Ending::Stall);
            assert_eq!(body.size(), BodySize::Sized(whole.len() as u64));
            assert_eq!(body.part, part);
        }
    }
}

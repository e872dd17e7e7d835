//! Who sends a request that changes something: the name that the sender gives, and the address of the client.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use percent_encoding::percent_decode;
use shared::{
    clock::Timestamp,
    operator::{AUTHOR_HEADER, Author, Note, Order},
};

use super::ClientAddress;
use crate::{error::ApiError, journal::Entry};

/// Extracts the sender of a request: the header [`AUTHOR_HEADER`], which may be missing, and the address.
///
/// A name that is too long is answered with 400 `bad_request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name, which nothing proves.
    pub author: Author,
    /// Where the request came from.
    pub address: ClientAddress,
}

impl Operator {
    /// What the sender orders, for this reason.
    pub fn order(self, note: Note) -> Order {
        Order {
            note,
            author: self.author,
            client_address: self.address.0,
        }
    }

    /// The audit event of what the sender has done: see [`Entry::audit`].
    pub fn audit(&self, at: Timestamp, action: &'static str, by: &'static str) -> Entry {
        let entry = Entry::audit(at, action, by, self.address);
        match self.author.as_str() {
            "" => entry,
            author => entry.fact("author", author),
        }
    }
}

impl From<ClientAddress> for Operator {
    fn from(address: ClientAddress) -> Self {
        let author = Author::default();
        Self { author, address }
    }
}

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let header = request.headers().get(AUTHOR_HEADER);
        let text = header.map(|value| percent_decode(value.as_bytes()).decode_utf8_lossy());
        let author = text.as_deref().unwrap_or_default().parse::<Author>();
        ready(author.map_err(ApiError::from).map(|author| Self {
            author,
            address: ClientAddress::of(request),
        }))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn operator(author: &str) -> Result<Operator, String> {
        let request = TestRequest::default().insert_header((AUTHOR_HEADER, author));
        let request = request.peer_addr("192.0.2.1:1".parse().unwrap());
        let operator = Operator::from_request(&request.to_http_request(), &mut Payload::None);
        operator.into_inner().map_err(|error| error.to_string())
    }

    #[test]
    fn the_author_is_the_decoded_header() {
        for (header, author) in [
            ("alice@laptop", "alice@laptop"),
            ("J%C3%B6rg%20K.", "Jörg K."),
            ("a%0ab", "a\\nb"),
            ("", ""),
        ] {
            let operator = operator(header).unwrap();
            assert_eq!(operator.author.as_str(), author, "{header}");
            let order = operator.order(Note::default());
            assert_eq!(order.client_address, Some([192, 0, 2, 1].into()));
        }
        let too_long = operator(&"a".repeat(101)).unwrap_err();
        assert_eq!(
            too_long,
            "bad_request: author must be at most 100 characters long"
        );
    }

    #[test]
    fn the_audit_event_has_the_author_if_there_is_one() {
        let audit = |header| {
            let operator = operator(header).unwrap();
            operator
                .audit(Timestamp::default(), "drain", "api_token")
                .to_text()
        };
        let address = "audit action=drain authorised_by=api_token client_address=192.0.2.1";
        assert_eq!(audit(""), address);
        assert_eq!(audit("alice"), format!("{address} author=alice"));
    }
}

//! Informational responses before a response: what is left does not depend on the pieces in which the bytes
//! arrive, and does not begin with another one.

#![no_main]

use actix_web::web::BytesMut;
use http_client::{Begins, Interim};
use libfuzzer_sys::fuzz_target;

/// What is left of the bytes when they arrive in pieces of this length, and what they begin with; `None` if
/// there is too much before the response.
fn skip(bytes: &[u8], piece: usize) -> Option<(Vec<u8>, Begins)> {
    let mut interim = Interim::default();
    let mut arrived = BytesMut::new();
    let mut pieces = bytes.chunks(piece);
    let mut begins = Begins::Incomplete;
    for piece in pieces.by_ref() {
        arrived.extend_from_slice(piece);
        begins = interim.skip(&mut arrived).ok()?;
        if begins == Begins::Response {
            break;
        }
    }
    for piece in pieces {
        arrived.extend_from_slice(piece);
    }
    Some((arrived.to_vec(), begins))
}

fuzz_target!(|bytes: &[u8]| {
    let whole = skip(bytes, usize::MAX);
    for piece in [1, 7] {
        assert_eq!(skip(bytes, piece), whole);
    }
    if let Some((rest, Begins::Response)) = whole {
        assert_eq!(
            skip(&rest, usize::MAX),
            Some((rest.clone(), Begins::Response))
        );
        assert!(!rest.starts_with(b"HTTP/1.1 103"));
    }
});

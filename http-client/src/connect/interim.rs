//! Informational responses (1xx), which may precede a response and are not one.
//!
//! A server or a proxy may send any number of them before the response, also if the request did not ask
//! for one (RFC 9110, section 15.2). `awc` takes the first head for the response, and what follows
//! for the response to the next request on the connection. So they are left out while a response is read.

use std::io::{self, ErrorKind};

use actix_web::web::{Buf, BytesMut};

/// Most informational responses that may precede a response, and their length together in bytes.
const COUNT_MAX: usize = 16;
const LENGTH_MAX: usize = 64 << 10;

/// Leaves out informational responses before one response.
#[derive(Debug, Default)]
pub struct Interim {
    count: usize,
    length: usize,
}

/// What is known of the bytes that have arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Begins {
    /// With a part of a head, of which more has to arrive.
    Incomplete,
    /// With the response itself, or something else that is for `awc` to judge.
    Response,
}

impl Interim {
    /// Removes the informational responses at the beginning of `bytes`.
    ///
    /// # Errors
    /// If there are too many of them.
    pub fn skip(&mut self, bytes: &mut BytesMut) -> io::Result<Begins> {
        loop {
            // Empty lines before a head are ignored (RFC 9112, section 2.2).
            let blank = bytes
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'));
            let blank = blank.count();
            bytes.advance(blank);
            self.length += blank;
            let begins = match is_informational(bytes) {
                Some(false) => return Ok(Begins::Response),
                Some(true) => end_of_head(bytes),
                None => None,
            };
            let Some(length) = begins else {
                if self.length + bytes.len() > LENGTH_MAX {
                    return Err(too_many());
                }
                return Ok(Begins::Incomplete);
            };
            bytes.advance(length);
            self.length += length;
            self.count += 1;
            if self.count > COUNT_MAX || self.length > LENGTH_MAX {
                return Err(too_many());
            }
        }
    }
}

fn too_many() -> io::Error {
    let text = "too many informational responses (1xx) precede the response";
    io::Error::new(ErrorKind::InvalidData, text)
}

/// Whether the bytes begin with `HTTP/1.x 1xx`; `None` if more of them have to arrive. 101 is no
/// informational response in this sense: no other protocol was asked for, so it is an error.
fn is_informational(bytes: &[u8]) -> Option<bool> {
    let matches = |(index, byte): (usize, &u8)| match index {
        0..7 => b"HTTP/1."[index] == *byte,
        7 | 10 | 11 => byte.is_ascii_digit(),
        8 => *byte == b' ',
        _ => *byte == b'1',
    };
    let status_line = &bytes[..bytes.len().min(12)];
    if !status_line.iter().enumerate().all(matches) {
        return Some(false);
    }
    (status_line.len() == 12).then(|| !status_line.ends_with(b"101"))
}

/// The length of the head at the beginning of `bytes`, if its end has arrived.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let lines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let mut ends = lines.map(|(index, _)| index + 1);
    ends.find_map(|end| match bytes.get(end..)? {
        [b'\n', ..] => Some(end + 1),
        [b'\r', b'\n', ..] => Some(end + 2),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left when the text arrives in pieces of this length; the error, if there is one.
    fn rest(text: &str, piece: usize) -> Result<String, String> {
        let mut interim = Interim::default();
        let mut bytes = BytesMut::new();
        let mut pieces = text.as_bytes().chunks(piece);
        for arrived in pieces.by_ref() {
            bytes.extend_from_slice(arrived);
            let begins = interim
                .skip(&mut bytes)
                .map_err(|error| error.to_string())?;
            if begins == Begins::Response {
                break;
            }
        }
        pieces.for_each(|arrived| bytes.extend_from_slice(arrived));
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn informational_responses_are_left_out_and_nothing_else() {
        const RESPONSE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nHTTP/1.1 103 x\r\n\r\n";
        for before in [
            "",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nx: y\r\n\r\n",
            "HTTP/1.1 102\n\n",
            "HTTP/1.0 100 Continue\r\n\nHTTP/1.1 199 x\n\r\n",
            "\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\r\n",
        ] {
            for piece in [1, 2, 7, 1000] {
                let text = format!("{before}{RESPONSE}");
                assert_eq!(
                    rest(&text, piece).as_deref(),
                    Ok(RESPONSE),
                    "{before:?} {piece}"
                );
            }
        }
        for text in [
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 1x0 x\r\n\r\n",
            "HTTP/2 100\r\n\r\n",
            "SSH-2.0-x\r\n",
            "HTTP/1.1 200",
        ] {
            assert_eq!(rest(text, 3).as_deref(), Ok(text));
        }
    }

    #[test]
    fn their_number_and_length_are_limited() {
        let response = "HTTP/1.1 200 OK\r\n\r\n";
        let many = |count| "HTTP/1.1 103 x\r\n\r\n".repeat(count) + response;
        assert_eq!(rest(&many(16), 9).as_deref(), Ok(response));
        assert_eq!(rest(&many(17), 9), Err(too_many().to_string()));
        let long = format!(
            "HTTP/1.1 103 x\r\nx: {}\r\n\r\n{response}",
            "y".repeat(70_000)
        );
        assert_eq!(rest(&long, 999), Err(too_many().to_string()));
        assert_eq!(
            rest(&"\r\n".repeat(40_000), 999),
            Err(too_many().to_string())
        );
    }
}

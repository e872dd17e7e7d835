//! SHA-256 digests, in the form in which files and artifacts contain them.

use std::{fmt, str::FromStr};

use sha2::Digest;
use subtle::ConstantTimeEq;

use crate::values::InvalidValue;

/// A SHA-256 digest; as text, 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Whether this is the digest of `candidate`. The comparison takes the same time wherever they
    /// differ.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.ct_eq(&Self::of(candidate).0).into()
    }

    /// The first 8 bytes, as a number.
    pub fn beginning(&self) -> u64 {
        let beginning = self.0.first_chunk().expect("it has 32 bytes");
        u64::from_be_bytes(*beginning)
    }
}

impl FromStr for Sha256 {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let mut bytes = [0; 32];
        let digits = text.as_bytes();
        let is_valid = digits.len() == 2 * bytes.len()
            && digits
                .iter()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if !is_valid {
            return Err(InvalidValue {
                field: "sha256",
                allowed: "64 lower-case hexadecimal digits",
            });
        }
        let value = |digit: u8| match digit {
            b'0'..=b'9' => digit - b'0',
            _ => digit - b'a' + 10,
        };
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0]) << 4 | value(pair[1]);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // printf %s abc | sha256sum
    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_digest_matches_only_what_it_is_the_digest_of() {
        let digest: Sha256 = OF_ABC.parse().unwrap();
        assert_eq!(digest, Sha256::of(b"abc"));
        assert_eq!(digest.to_string(), OF_ABC);
        assert!(digest.matches(b"abc"));
        for other in ["", "ab", "abcd", "Abc", OF_ABC] {
            assert!(!digest.matches(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_digest_is_written_in_one_form_only() {
        for text in [
            "",
            "ba",
            &OF_ABC[1..],
            &format!("{OF_ABC}0"),
            &OF_ABC.to_uppercase(),
            &OF_ABC.replace('b', "g"),
            &OF_ABC.replacen("ba", "\u{e9}", 1),
        ] {
            assert!(text.parse::<Sha256>().is_err(), "{text}");
        }
    }
}

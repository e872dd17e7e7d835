//! Validated values: types whose values have been checked when they exist.
//!
//! Responsible for the form of each value. An error names the field and what is allowed, in one
//! sentence; it does not contain the invalid input, which may be of any length.

use std::{
    borrow::{Borrow, Cow},
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    num::NonZeroU8,
    str::FromStr,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize};

use crate::sha256::Sha256;

/// The error for a value of an invalid form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {allowed}")]
pub struct InvalidValue {
    /// The name of the parameter, as clients send it.
    pub field: &'static str,
    /// What is allowed, as a fragment that follows "must be".
    pub allowed: &'static str,
}

/// Longest `unique_id` and `profile_key`, in bytes.
const NAME_LENGTH_MAX: usize = 64;
/// Longest name of a lane, in bytes.
const LANE_LENGTH_MAX: usize = 32;
/// Longest owner or repository name, in bytes.
const REPO_PART_LENGTH_MAX: usize = 100;

fn is_name(text: &str, length_max: usize) -> bool {
    (1..=length_max).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Implements what all text values have in common; each has its own `FromStr`.
macro_rules! text_value {
    ($name:ident) => {
        impl $name {
            /// The value as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A job's name, chosen by its client: 1 to 64 of `[A-Za-z0-9._-]`, but not `.` or `..`, which
/// clients and proxies remove from a path. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueId(Arc<str>);

impl UniqueId {
    /// The name under which strangers see the job.
    pub fn public_id(&self) -> PublicId {
        PublicId(Sha256::of(self.0.as_bytes()).beginning())
    }
}

/// The name of a job on pages that need no token: the first 16 hexadecimal digits of the SHA-256 of its
/// `unique_id`, from which the `unique_id` does not follow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicId(u64);

impl FromStr for PublicId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let number = u64::from_str_radix(text, 16).ok();
        let number = number.filter(|_| text.len() == 16 && text.bytes().all(is_digit));
        number.map(Self).ok_or(InvalidValue {
            field: "public_id",
            allowed: "16 hexadecimal digits",
        })
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl fmt::Debug for PublicId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for PublicId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for UniqueId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_valid = is_name(text, NAME_LENGTH_MAX) && !matches!(text, "." | "..");
        is_valid.then(|| Self(text.into())).ok_or(InvalidValue {
            field: "unique_id",
            allowed: "1 to 64 characters of A-Z a-z 0-9 . _ -, and neither . nor ..",
        })
    }
}
text_value!(UniqueId);

impl Borrow<str> for UniqueId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A kind of runner: 1 to 64 of `[A-Za-z0-9._-]`, but not `.` or `..`, because it also names a
/// folder. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileKey(Arc<str>);

impl FromStr for ProfileKey {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_valid = is_name(text, NAME_LENGTH_MAX) && !matches!(text, "." | "..");
        is_valid.then(|| Self(text.into())).ok_or(InvalidValue {
            field: "profile_key",
            allowed: "1 to 64 characters of A-Z a-z 0-9 . _ -, and neither . nor ..",
        })
    }
}
text_value!(ProfileKey);

impl Borrow<str> for ProfileKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The name of a lane of the scheduling policy: 1 to 32 of `[A-Za-z0-9._-]`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneName(Arc<str>);

impl LaneName {
    /// The lane of jobs that no rule puts into another one.
    pub const DEFAULT: &'static str = "default";
}

impl FromStr for LaneName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_valid = is_name(text, LANE_LENGTH_MAX);
        is_valid.then(|| Self(text.into())).ok_or(InvalidValue {
            field: "lane",
            allowed: "1 to 32 characters of A-Z a-z 0-9 . _ -",
        })
    }
}
text_value!(LaneName);

impl Borrow<str> for LaneName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Default for LaneName {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

/// A repository, `<owner>/<repo>`; each part 1 to 100 of `[A-Za-z0-9._-]`, not `.` or `..`, so
/// that it can stand in a path of GitHub's API. Cheap to clone.
///
/// Like GitHub, comparisons ignore upper and lower case; the text keeps its spelling.
#[derive(Clone)]
pub struct QualifiedRepo(Arc<str>);

impl QualifiedRepo {
    /// Whether it begins with `prefix`, such as `acme/`, in any spelling.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        let beginning = self.0.get(..prefix.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix))
    }

    fn folded(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for QualifiedRepo {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for QualifiedRepo {}

impl PartialOrd for QualifiedRepo {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for QualifiedRepo {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl Hash for QualifiedRepo {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.folded() {
            state.write_u8(byte);
        }
        state.write_u8(0xff);
    }
}

impl FromStr for QualifiedRepo {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_part =
            |part: &str| is_name(part, REPO_PART_LENGTH_MAX) && !matches!(part, "." | "..");
        let is_valid = text
            .split_once('/')
            .is_some_and(|(owner, repo)| is_part(owner) && is_part(repo));
        is_valid.then(|| Self(text.into())).ok_or(InvalidValue {
            field: "qualified_repo",
            allowed: "<owner>/<repo>, each 1 to 100 characters of A-Z a-z 0-9 . _ -",
        })
    }
}
text_value!(QualifiedRepo);

/// A workflow run at GitHub: a decimal number that fits 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RunId(pub u64);

impl FromStr for RunId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = InvalidValue {
            field: "run_id",
            allowed: "a decimal number that fits 64 bits",
        };
        // `u64::from_str` would also take a leading plus sign.
        let is_decimal =
            (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_decimal
            .then(|| text.parse().ok())
            .flatten()
            .map(Self)
            .ok_or(invalid)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self)
    }
}

/// How many runners a job wants at once: 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Count(NonZeroU8);

impl Count {
    /// One runner, what a job without a count asks for.
    pub const ONE: Self = Self(NonZeroU8::MIN);
    /// The most runners that one job can ask for.
    pub const MAX: u8 = 64;

    /// `count` runners, if that is 1 to 64.
    pub fn new(count: u64) -> Result<Self, InvalidValue> {
        u8::try_from(count)
            .ok()
            .filter(|&count| count <= Self::MAX)
            .and_then(NonZeroU8::new)
            .map(Self)
            .ok_or(InvalidValue {
                field: "count",
                allowed: "a decimal number from 1 to 64",
            })
    }

    /// The number itself.
    pub fn get(self) -> usize {
        usize::from(self.0.get())
    }
}

impl FromStr for Count {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_decimal =
            (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        Self::new(is_decimal.then(|| text.parse().ok()).flatten().unwrap_or(0))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Fencing token of a take or a release: which process of which queue sent it, and its place in the
/// order of that process's messages. Sequences of different instances are not comparable, and a
/// sequence is not a time.
///
/// On the wire it is the parameter `attempt`, written `<instance>-<sequence>`: the instance in
/// sixteen hexadecimal digits, the sequence in decimal. See ARCHITECTURE.md, "Fencing tokens".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken {
    /// Random number that a queue draws when it starts.
    pub instance: u64,
    /// Grows with every message of that instance.
    pub sequence: u64,
}

impl FromStr for FencingToken {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = InvalidValue {
            field: "attempt",
            allowed: "<queue>-<number>, sixteen hexadecimal digits and a decimal number",
        };
        let (instance, sequence) = text.split_once('-').ok_or(invalid.clone())?;
        let is_hexadecimal =
            instance.len() == 16 && instance.bytes().all(|byte| byte.is_ascii_hexdigit());
        let instance = is_hexadecimal
            .then(|| u64::from_str_radix(instance, 16).ok())
            .flatten();
        let RunId(sequence) = sequence.parse().map_err(|_| invalid.clone())?;
        Ok(Self {
            instance: instance.ok_or(invalid)?,
            sequence,
        })
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}-{}", self.instance, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_compare_without_regard_to_case_and_keep_their_spelling() {
        let repo = |text: &str| text.parse::<QualifiedRepo>().unwrap();
        let (one, other) = (repo("Acme/Widgets"), repo("acme/wIDGETS"));
        assert_eq!((&one, one.cmp(&other)), (&other, Ordering::Equal));
        assert_eq!(one.as_str(), "Acme/Widgets");
        let both: std::collections::HashSet<_> = [one, other].into_iter().collect();
        assert_eq!(both.len(), 1);
        for (smaller, larger) in [("a/b", "A/C"), ("A/b", "b/a"), ("a/b", "a/bc")] {
            assert!(repo(smaller) < repo(larger), "{smaller} {larger}");
            assert_ne!(repo(smaller), repo(larger));
        }
        for (prefix, expected) in [
            ("", true),
            ("ACME/", true),
            ("acme/Widgets", true),
            ("acme/widgetsx", false),
            ("acm/", false),
            ("\u{e9}", false),
        ] {
            assert_eq!(
                repo("Acme/Widgets").has_prefix(prefix),
                expected,
                "{prefix}"
            );
        }
    }

    #[test]
    fn a_fencing_token_parses_as_it_is_written() {
        let token = FencingToken {
            instance: 255,
            sequence: u64::MAX,
        };
        assert_eq!(token.to_string(), "00000000000000ff-18446744073709551615");
        assert_eq!(token.to_string().parse(), Ok(token));
        for text in [
            "",
            "1",
            "-",
            "ff-1",
            "00000000000000ff-",
            "00000000000000ff-x",
            "00000000000000fg-1",
            "+0000000000000ff-1",
        ] {
            assert!(text.parse::<FencingToken>().is_err(), "{text}");
        }
    }

    #[test]
    fn strangers_see_the_beginning_of_the_hash_of_a_job() {
        // printf %s abc | sha256sum
        for (unique_id, expected) in [
            ("abc", "ba7816bf8f01cfea"),
            // Begins with zeros.
            ("596138", "00000691457f4f0c"),
        ] {
            let public_id = unique_id.parse::<UniqueId>().unwrap().public_id();
            assert_eq!(public_id.to_string(), expected);
            assert_eq!(serde_json::json!(public_id), expected);
        }
    }

    fn long(length: usize) -> String {
        "a".repeat(length)
    }

    #[test]
    fn values_of_a_valid_form_are_accepted() {
        for text in [
            "a",
            "0",
            "...",
            "A-b_c.9",
            "6f1c7f0e-7d0b-4c0e-9a53-7b9a7f0e7d0b",
            &long(64),
        ] {
            assert_eq!(text.parse::<UniqueId>().unwrap().as_str(), text);
            assert_eq!(text.parse::<ProfileKey>().unwrap().as_str(), text);
        }
        for text in [
            "delan/servo",
            "a/.github",
            &format!("{}/{}", long(100), long(100)),
        ] {
            assert_eq!(text.parse::<QualifiedRepo>().unwrap().as_str(), text);
        }
        assert_eq!("18446744073709551615".parse(), Ok(RunId(u64::MAX)));
        assert_eq!("1".parse(), Ok(Count::ONE));
        assert_eq!("64".parse::<Count>().unwrap().get(), 64);
    }

    #[test]
    fn names_of_any_other_form_are_refused() {
        for text in [
            "",
            "a b",
            "a/b",
            "../a",
            "a%2f",
            "é",
            "a\n",
            "\0",
            &long(65),
            &long(1 << 20),
        ] {
            assert!(text.parse::<UniqueId>().is_err(), "{text:.20}");
            assert!(text.parse::<ProfileKey>().is_err(), "{text:.20}");
        }
        for text in [".", ".."] {
            assert!(text.parse::<UniqueId>().is_err(), "{text}");
            assert!(text.parse::<ProfileKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_repository_cannot_change_the_path_that_contains_it() {
        let too_long = format!("a/{}", long(101));
        for text in [
            "", "a", "/", "a/", "/b", "a/b/c", "../b", "a/..", "./b", "a/b?c", "a /b", &too_long,
        ] {
            assert!(text.parse::<QualifiedRepo>().is_err(), "{text:.20}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for text in [
            "",
            "-1",
            "+1",
            " 1",
            "1 ",
            "0x1",
            "1.0",
            "18446744073709551616",
            &"9".repeat(99),
        ] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
        for text in [
            "",
            "0",
            "65",
            "-1",
            "+1",
            "064",
            "256",
            "257",
            "18446744073709551615",
        ] {
            assert!(text.parse::<Count>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_field_and_what_is_allowed() {
        let invalid = "a/b".parse::<UniqueId>().unwrap_err().to_string();
        assert_eq!(
            invalid,
            "unique_id must be 1 to 64 characters of A-Z a-z 0-9 . _ -, and neither . nor .."
        );
    }
}

//! The kinds of values of settings: how each is parsed, and the text that describes what is allowed.
//!
//! Both are defined together, so that they cannot differ. The kind of each setting is defined with the
//! setting.

use std::{fmt::Display, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use figment::value::Value;

use crate::{
    secret::Secret,
    units::{Memory, duration_of_seconds, parse_duration},
};

/// A kind of value, parsed from a file or a variable.
pub(super) struct Kind<T> {
    /// What is allowed, as a fragment that follows "allowed: ".
    pub(super) allowed: String,
    read: Reader<T>,
}

/// Parses a value, or describes what was found instead.
type Reader<T> = Box<dyn Fn(&Value) -> Result<T, String>>;

impl<T: 'static> Kind<T> {
    /// The kind of the values for which `read` returns something.
    fn new(allowed: impl Into<String>, read: impl Fn(&Value) -> Option<T> + 'static) -> Self {
        Self {
            allowed: allowed.into(),
            read: Box::new(move |value| read(value).ok_or_else(|| describe(value))),
        }
    }

    /// Parses `value`, or describes it.
    pub(super) fn read(&self, value: &Value) -> Result<T, String> {
        (self.read)(value)
    }
}

/// `true` or `false`.
pub(super) fn flag() -> Kind<bool> {
    Kind::new("true or false", Value::to_bool)
}

/// A path, absolute or relative to the working directory.
pub(super) fn path() -> Kind<PathBuf> {
    understood("a path", |text| {
        (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
    })
}

/// A whole number in `range`.
pub(super) fn number<T>(range: RangeInclusive<T>) -> Kind<T>
where
    T: TryFrom<u128> + PartialOrd + Display + 'static,
{
    let allowed = format!("a whole number from {} to {}", range.start(), range.end());
    Kind::new(allowed, move |value| {
        let number = value.to_num()?.to_u128_lossy()?;
        T::try_from(number)
            .ok()
            .filter(|number| range.contains(number))
    })
}

/// A whole number in `range`, which may be negative.
pub(super) fn whole(range: RangeInclusive<i8>) -> Kind<i8> {
    let allowed = format!("a whole number from {} to {}", range.start(), range.end());
    Kind::new(allowed, move |value| {
        let number = match value {
            // A variable is text.
            Value::String(_, text) => text.parse().ok()?,
            _ => i8::try_from(value.to_i128()?).ok()?,
        };
        range.contains(&number).then_some(number)
    })
}

/// A duration in `range`: whole seconds, or text with units.
pub(super) fn duration(range: RangeInclusive<Duration>) -> Kind<Duration> {
    let allowed = format!(
        "a duration from {} to {}, in whole seconds or as text such as \"90s\", \"15m\", \"1h 30m\"",
        humantime::format_duration(*range.start()),
        humantime::format_duration(*range.end()),
    );
    Kind::new(allowed, move |value| {
        let duration = match value {
            Value::String(_, text) => parse_duration(text).ok()?,
            _ => {
                let seconds = value.to_num()?.to_u128_lossy()?;
                duration_of_seconds(seconds.try_into().ok()?).ok()?
            }
        };
        range.contains(&duration).then_some(duration)
    })
}

/// At most `most` memory.
pub(super) fn memory(most: Memory) -> Kind<Memory> {
    let allowed = format!(
        "at most {most} of memory, as a whole number and one of B, K, M, G, T, P, such as \"16G\""
    );
    understood(allowed, move |text| {
        text.parse().ok().filter(|memory| *memory <= most)
    })
}

/// From `least` to `most` memory.
pub(super) fn memory_between(least: Memory, most: Memory) -> Kind<Memory> {
    let allowed = format!(
        "{least} to {most}, as a whole number and one of B, K, M, G, T, P, such as \"256M\""
    );
    understood(allowed, move |text| {
        let memory = text.parse().ok();
        memory.filter(|memory| (least..=most).contains(memory))
    })
}

/// A text that is a `T`.
pub(super) fn parsed<T: FromStr + 'static>(allowed: impl Into<String>) -> Kind<T> {
    understood(allowed, |text| text.parse().ok())
}

/// A text for which `read` returns something.
pub(super) fn understood<T: 'static>(
    allowed: impl Into<String>,
    read: impl Fn(&str) -> Option<T> + 'static,
) -> Kind<T> {
    Kind::new(allowed, move |value| read(value.as_str()?))
}

/// A text for which `is_valid` holds.
pub(super) fn text(
    allowed: impl Into<String>,
    is_valid: impl Fn(&str) -> bool + 'static,
) -> Kind<String> {
    understood(allowed, move |text| is_valid(text).then(|| text.to_owned()))
}

/// A text of 1 to `length_max` characters that fits on one line.
pub(super) fn line(length_max: usize) -> Kind<String> {
    let allowed = format!("text of 1 to {length_max} characters, none of them a control character");
    text(allowed, move |text| {
        (1..=length_max).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    })
}

/// A text of 1 to `length_max` characters that can be part of file names and names of runners.
pub(super) fn name(length_max: usize) -> Kind<String> {
    let allowed = format!(
        "1 to {length_max} characters of A-Z a-z 0-9 . _ -, the first one a letter or digit"
    );
    text(allowed, move |text| {
        let is_allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        (1..=length_max).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(is_allowed)
    })
}

/// One of several names, each with its value.
pub(super) fn one_of<T: Copy + 'static>(names: &'static [(&'static str, T)]) -> Kind<T> {
    let allowed: Vec<String> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
    understood(allowed.join(" or "), |text| {
        names
            .iter()
            .find(|(name, _)| *name == text)
            .map(|&(_, meaning)| meaning)
    })
}

/// A secret text of `lengths` bytes. What is found instead is never shown.
pub(super) fn secret(lengths: RangeInclusive<usize>) -> Kind<Secret> {
    Kind {
        allowed: format!("text of {} to {} bytes", lengths.start(), lengths.end()),
        read: Box::new(move |value| {
            let text = value.as_str().filter(|text| lengths.contains(&text.len()));
            text.map(Secret::new).ok_or_else(|| "[secret]".to_owned())
        }),
    }
}

/// A list of `counts` values of another kind.
pub(super) fn list<T: 'static>(item: Kind<T>, counts: RangeInclusive<usize>) -> Kind<Vec<T>> {
    let allowed = format!(
        "a list of {} to {} entries, each {}",
        counts.start(),
        counts.end(),
        item.allowed
    );
    let read = move |value: &Value| {
        let entries = value.as_array().ok_or_else(|| describe(value))?;
        if !counts.contains(&entries.len()) {
            return Err(shape_of_list(entries.len()));
        }
        let read_item = |(index, entry)| {
            let found = |found| format!("{found} as entry {}", index + 1);
            item.read(entry).map_err(found)
        };
        entries.iter().enumerate().map(read_item).collect()
    };
    Kind {
        allowed,
        read: Box::new(read),
    }
}

/// A list without duplicates.
pub(super) fn distinct<T>(item: Kind<T>, counts: RangeInclusive<usize>) -> Kind<Vec<T>>
where
    T: PartialEq + Display + 'static,
{
    let list = list(item, counts);
    Kind {
        allowed: format!("{}, none of them twice", list.allowed),
        read: Box::new(move |value| {
            let items = list.read(value)?;
            let is_repeated = |(index, item): &(usize, &T)| items[..*index].contains(item);
            match items.iter().enumerate().find(is_repeated) {
                Some((_, item)) => Err(format!("{item} twice")),
                None => Ok(items),
            }
        }),
    }
}

/// The most characters of an invalid value that an error shows.
const FOUND_LENGTH_MAX: usize = 60;

/// A description of `value` for an error.
fn describe(value: &Value) -> String {
    match value {
        Value::String(_, text) => describe_text(text),
        Value::Char(_, character) => describe_text(character.encode_utf8(&mut [0; 4])),
        Value::Bool(_, flag) => format!("boolean {flag}"),
        Value::Num(_, number) => match (number.to_u128(), number.to_i128(), number.to_f64()) {
            (Some(number), _, _) => format!("number {number}"),
            (_, Some(number), _) => format!("number {number}"),
            (_, _, number) => format!("number {}", number.unwrap_or(f64::NAN)),
        },
        Value::Empty(..) | Value::Dict(..) | Value::Array(..) => shape(value).to_owned(),
    }
}

fn describe_text(text: &str) -> String {
    // A URL may contain a password.
    let text = match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(user)) if scheme < user => {
            format!("{}://[secret]{}", &text[..scheme], &text[user..])
        }
        _ => text.to_owned(),
    };
    let start: String = text.chars().take(FOUND_LENGTH_MAX).collect();
    let rest = if start.len() < text.len() { "…" } else { "" };
    format!("string {:?}", format!("{start}{rest}"))
}

/// The kind of `value`, without its content, which may be a secret.
pub(super) fn shape(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "a string",
        Value::Bool(..) => "a boolean",
        Value::Num(..) => "a number",
        Value::Empty(..) => "nothing",
        Value::Dict(..) => "a table",
        Value::Array(..) => "a list",
    }
}

/// What a list of `count` entries is called in an error.
pub(super) fn shape_of_list(count: usize) -> String {
    match count {
        1 => "a list of 1 entry".to_owned(),
        count => format!("a list of {count} entries"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_part_of_file_names() {
        for good in ["a", "0", "A.b", "a-_"] {
            assert_eq!(name(3).read(&Value::from(good)).as_deref(), Ok(good));
        }
        for bad in ["", "abcd", "-a", ".a", "_a", "a b", "a/b", "é"] {
            assert!(name(3).read(&Value::from(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines_are_counted_in_characters() {
        for good in ["a", "é é", "ééé"] {
            assert_eq!(line(3).read(&Value::from(good)).as_deref(), Ok(good));
        }
        for bad in ["", "abcd", "a\n", "\u{7f}", "\u{85}"] {
            assert!(line(3).read(&Value::from(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_range_includes_both_ends() {
        let number = number(2..=4_u8);
        let ends: Vec<bool> = (1..=5_u8).map(|n| number.read(&n.into()).is_ok()).collect();
        assert_eq!(ends, [false, true, true, true, false]);
        assert!(
            number.read(&256_u16.into()).is_err(),
            "and nothing wraps around"
        );
        assert!(number.read(&u128::MAX.into()).is_err());
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        for (text, found) in [
            ("https://a:hunter2@b/", r#"string "https://[secret]@b/""#),
            ("https://hunter2@b@c", r#"string "https://[secret]@c""#),
            ("a@b://c", r#"string "a@b://c""#),
            ("a@b", r#"string "a@b""#),
        ] {
            assert_eq!(describe(&Value::from(text)), found);
        }
    }
}

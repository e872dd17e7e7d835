//! What operators order until they end it, such as the drain of a server or the pause of a profile.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, text::printable, values::InvalidValue};

/// The longest note, in characters.
pub const NOTE_LENGTH_MAX: usize = 200;
/// The longest name of an author, in characters.
pub const AUTHOR_LENGTH_MAX: usize = 100;
/// The header of a request with the name of its author, in UTF-8 with percent-encoding. Daemons of earlier
/// releases ignore it.
pub const AUTHOR_HEADER: &str = "ci-runners-author";

/// The reason that an operator gives: at most [`NOTE_LENGTH_MAX`] characters, printable, without spaces
/// around it; may be empty. Every reader of a dashboard sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note(String);

impl Note {
    /// The note as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Note {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text.chars().count() > NOTE_LENGTH_MAX {
            return Err(InvalidValue {
                field: "note",
                allowed: "at most 200 characters long",
            });
        }
        Ok(Self(printable(text.trim()).into_owned()))
    }
}

/// The name that an operator gives, such as `alice@laptop`: at most [`AUTHOR_LENGTH_MAX`] characters, printable,
/// without spaces around it; may be empty. It is a statement that nothing proves. Every reader of a dashboard
/// sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author(String);

impl Author {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Author {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text.chars().count() > AUTHOR_LENGTH_MAX {
            return Err(InvalidValue {
                field: "author",
                allowed: "at most 100 characters long",
            });
        }
        Ok(Self(printable(text.trim()).into_owned()))
    }
}

/// What a request says for something that lasts: why, and who sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The reason.
    pub note: Note,
    /// Who gives it.
    pub author: Author,
    /// Where the request came from.
    pub client_address: Option<IpAddr>,
}

/// Something that an operator has ordered and that lasts until it is ended: since when, why, and who.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Intervention {
    /// When it began, in microseconds since the Unix epoch.
    pub since: Timestamp,
    /// What the operator gave as the reason, in printable characters; may be empty.
    #[serde(default)]
    pub note: String,
    /// What the operator gave as the name, in printable characters; empty if nothing, and left out then.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// Where the last request for it came from. Left out for readers without a token, and unknown of one
    /// that an earlier release has recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub client_address: Option<IpAddr>,
}

impl Intervention {
    /// One that is ordered `now`. If it is in force already, it keeps its time, and gets the note, the author
    /// and the address of this request.
    pub fn order(in_force: Option<&Self>, order: Order, now: Timestamp) -> Self {
        Self {
            since: in_force.map_or(now, |earlier| earlier.since),
            note: order.note.0,
            author: order.author.0,
            client_address: order.client_address,
        }
    }

    /// With texts that are printable and not longer than a request allows: another daemon or a file states them.
    pub fn limited(self) -> Self {
        let limited = |text: &str, length_max| {
            let text: String = text.chars().take(length_max).collect();
            printable(&text).into_owned()
        };
        Self {
            note: limited(&self.note, NOTE_LENGTH_MAX),
            author: limited(&self.author, AUTHOR_LENGTH_MAX),
            ..self
        }
    }

    /// Who has ordered it, for sentences: the author, or `an operator`.
    pub fn author_or_operator(&self) -> &str {
        match self.author.as_str() {
            "" => "an operator",
            author => author,
        }
    }

    /// What readers without a token see: no address.
    pub fn public(&self) -> Self {
        Self {
            client_address: None,
            ..self.clone()
        }
    }
}

/// `by alice@laptop since 2026-12-24T10:00:05Z: the note`: `by an operator` if there is no author, and without
/// the note if there is none.
impl fmt::Display for Intervention {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.date_and_time();
        write!(formatter, "by {} since {since}", self.author_or_operator())?;
        match self.note.as_str() {
            "" => Ok(()),
            note => write!(formatter, ": {note}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_printable_and_of_limited_length() {
        let note: Note = " other\u{202e} ".parse().unwrap();
        assert_eq!(note.as_str(), "other\\u{202e}");
        assert!("é".repeat(NOTE_LENGTH_MAX).parse::<Note>().is_ok());
        let too_long = "é".repeat(NOTE_LENGTH_MAX + 1).parse::<Note>();
        assert_eq!(
            too_long.unwrap_err().to_string(),
            format!("note must be at most {NOTE_LENGTH_MAX} characters long")
        );
    }

    #[test]
    fn an_author_is_printable_and_of_limited_length() {
        let author: Author = " alice@lap\u{1b}top ".parse().unwrap();
        assert_eq!(author.as_str(), "alice@lap\\u{1b}top");
        assert!("é".repeat(AUTHOR_LENGTH_MAX).parse::<Author>().is_ok());
        let too_long = "é".repeat(AUTHOR_LENGTH_MAX + 1).parse::<Author>();
        assert_eq!(
            too_long.unwrap_err().to_string(),
            format!("author must be at most {AUTHOR_LENGTH_MAX} characters long")
        );
    }

    #[test]
    fn an_intervention_that_is_ordered_again_keeps_its_time() {
        let (first, second) = (Timestamp::from_seconds(1), Timestamp::from_seconds(2));
        let begun = Intervention::order(None, Order::default(), first);
        assert_eq!(
            begun.to_string(),
            "by an operator since 1970-01-01T00:00:01Z"
        );
        let order = Order {
            note: "new memory".parse().unwrap(),
            author: "alice@laptop".parse().unwrap(),
            client_address: Some([192, 0, 2, 1].into()),
        };
        let again = Intervention::order(Some(&begun), order.clone(), second);
        assert_eq!(
            again.to_string(),
            "by alice@laptop since 1970-01-01T00:00:01Z: new memory"
        );
        assert_eq!(again.client_address, order.client_address);
        assert_eq!(again.public().client_address, None);
        assert_eq!(again.public().author, "alice@laptop");
    }

    #[test]
    fn texts_of_others_are_printable_and_of_limited_length() {
        let stated = Intervention {
            note: "n".repeat(NOTE_LENGTH_MAX + 1),
            author: format!("\u{202e}{}", "a".repeat(AUTHOR_LENGTH_MAX)),
            ..Intervention::order(None, Order::default(), Timestamp::from_seconds(1))
        };
        let limited = stated.limited();
        assert_eq!(limited.note.len(), NOTE_LENGTH_MAX);
        let rest = "a".repeat(AUTHOR_LENGTH_MAX - 1);
        assert_eq!(limited.author, format!("\\u{{202e}}{rest}"));
    }

    #[test]
    fn an_intervention_of_an_earlier_release_has_neither_author_nor_address() {
        let read: Intervention = serde_json::from_str(r#"{"since":7,"note":"x"}"#).unwrap();
        assert_eq!(
            (
                read.since.as_micros(),
                &*read.note,
                &*read.author,
                read.client_address
            ),
            (7, "x", "", None)
        );
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(written, r#"{"since":7,"note":"x"}"#);
    }
}

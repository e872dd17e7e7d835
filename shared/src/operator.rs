//! What operators order until they end it, such as the drain of a server or the pause of a profile.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, text::printable, values::InvalidValue};

/// The longest note, in characters.
pub const NOTE_LENGTH_MAX: usize = 200;

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

/// Something that an operator has ordered and that lasts until it is ended: since when, why, and who.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Intervention {
    /// When it began, in microseconds since the Unix epoch.
    pub since: Timestamp,
    /// What the operator gave as the reason, in printable characters; may be empty.
    pub note: String,
    /// Where the last request for it came from. Left out for readers without a token, and unknown of one
    /// that an earlier release has recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub client_address: Option<IpAddr>,
}

impl Intervention {
    /// One that is ordered `now`. If it is in force already, it keeps its time, and gets the note and the
    /// address of this request.
    pub fn order(
        in_force: Option<&Self>,
        note: Note,
        client_address: Option<IpAddr>,
        now: Timestamp,
    ) -> Self {
        Self {
            since: in_force.map_or(now, |earlier| earlier.since),
            note: note.0,
            client_address,
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

/// `since 2026-12-24T10:00:05Z: the note`, without the note if there is none.
impl fmt::Display for Intervention {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "since {}", self.since.date_and_time())?;
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
    fn an_intervention_that_is_ordered_again_keeps_its_time() {
        let (first, second) = (Timestamp::from_seconds(1), Timestamp::from_seconds(2));
        let address = Some([192, 0, 2, 1].into());
        let begun = Intervention::order(None, Note::default(), None, first);
        assert_eq!(begun.to_string(), "since 1970-01-01T00:00:01Z");
        let note = "new memory".parse().unwrap();
        let again = Intervention::order(Some(&begun), note, address, second);
        assert_eq!(again.to_string(), "since 1970-01-01T00:00:01Z: new memory");
        assert_eq!(again.client_address, address);
        assert_eq!(again.public().client_address, None);
    }

    #[test]
    fn an_intervention_of_an_earlier_release_has_no_address() {
        let read: Intervention = serde_json::from_str(r#"{"since":7,"note":"x"}"#).unwrap();
        assert_eq!(
            (read.since.as_micros(), &*read.note, read.client_address),
            (7, "x", None)
        );
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(written, r#"{"since":7,"note":"x"}"#);
    }
}

//! Text from outside, made safe to show in a log, a terminal or a page.
//!
//! Responsible for characters that are invisible, that change how the text around them is shown, or that
//! end a line. Not responsible for HTML, whose special characters are escaped where pages are rendered.

use std::borrow::Cow;

/// `text` with every character escaped that can hide, reorder or forge text: control characters with
/// line breaks and terminal escapes, line and paragraph separators, bidirectional controls, characters
/// without width. They become `\n`, `\t`, `\r` or `\u{…}`, so that a reader sees that they were there.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_deceptive)
}

/// Like [`printable`], but line breaks and tabs stay: for text of several lines, such as a page.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| {
        is_deceptive(character) && !matches!(character, '\n' | '\t')
    })
}

/// JSON with the same characters escaped as `\uXXXX`, which mean the same to every reader of JSON. They
/// can stand in strings only.
pub fn printable_json(json: String) -> String {
    let is_raw = |character: char| is_deceptive(character) && !character.is_ascii();
    if json.is_ascii() || !json.chars().any(is_raw) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        if is_raw(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    // Nearly all text is printable ASCII, of which nothing is escaped.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.chars().any(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) {
            match character {
                '\n' | '\r' | '\t' => shown.extend(character.escape_default()),
                _ => shown.extend(character.escape_unicode()),
            }
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Whether a character is a control, or one of Unicode's characters that are not visible by themselves.
/// The spaces of normal text, joined letters and emoji need none of them, except U+200D within an emoji
/// and U+200C and U+200D in some scripts, which are readable without.
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' // soft hyphen
            | '\u{34f}' // combining grapheme joiner
            | '\u{61c}' // Arabic letter mark: a bidirectional control
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{17b4}' | '\u{17b5}' // invisible Khmer vowels
            | '\u{180b}'..='\u{180f}' // Mongolian selectors and vowel separator
            | '\u{200b}'..='\u{200f}' // zero width, left-to-right and right-to-left marks
            | '\u{2028}'..='\u{202e}' // line and paragraph separators, embeddings and overrides
            | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, isolates
            | '\u{2800}' // blank Braille pattern
            | '\u{fe00}'..='\u{fe0f}' // variation selectors
            | '\u{feff}' // byte order mark
            | '\u{fff0}'..='\u{fffb}' // unassigned ones that are ignored, annotations
            | '\u{1bca0}'..='\u{1bca3}' // shorthand format controls
            | '\u{1d173}'..='\u{1d17a}' // musical format controls
            | '\u{e0000}'..='\u{e0fff}' // tags and further variation selectors
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in [
            "",
            "servo/servo run 42: \"a\\b\" <x> ~",
            "Grüße, 日本語, עברית, العربية, 👍, a\u{a0}b, e\u{301}",
        ] {
            assert!(matches!(printable(text), Cow::Borrowed(_)), "{text}");
            assert_eq!(printable(text), text);
            assert_eq!(printable_json(text.to_owned()), text);
        }
        assert_eq!(printable_lines("a\n\tb\n"), "a\n\tb\n");
    }

    #[test]
    fn what_hides_reorders_or_forges_text_is_escaped_visibly() {
        for (text, shown) in [
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2Jx\u{7}\0", "\\u{1b}[2Jx\\u{7}\\u{0}"),
            ("\u{9b}31m\u{85}\u{7f}", "\\u{9b}31m\\u{85}\\u{7f}"),
            (
                "a\u{202e}b\u{2066}c\u{2069}",
                "a\\u{202e}b\\u{2066}c\\u{2069}",
            ),
            ("\u{200e}\u{200f}\u{61c}", "\\u{200e}\\u{200f}\\u{61c}"),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
            (
                "a\u{200b}\u{200d}\u{feff}\u{2060}",
                "a\\u{200b}\\u{200d}\\u{feff}\\u{2060}",
            ),
            ("\u{ad}\u{3164}\u{e0041}", "\\u{ad}\\u{3164}\\u{e0041}"),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert_eq!(printable_lines("a\r\u{202e}\n"), "a\\r\\u{202e}\n");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let text = "a\u{202e}\u{2028}\u{9b}\u{e0041}é\n";
        let json = printable_json(serde_json::to_string(text).unwrap());
        assert_eq!(json, "\"a\\u202e\\u2028\\u009b\\udb40\\udc41é\\n\"");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}

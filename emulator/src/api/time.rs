//! The formats of times in JSON and in headers.

use std::fmt;

use actix_web::http::header::HttpDate;
use shared::clock::Timestamp;

/// In JSON: RFC 3339, UTC, to the second, such as `2026-11-03T12:34:56Z`.
pub(super) fn format_json(moment: Timestamp) -> impl fmt::Display {
    humantime::format_rfc3339_seconds(moment.to_system_time())
}

/// In headers: RFC 9110, such as `Tue, 03 Nov 2026 12:34:56 GMT`.
pub(super) fn format_header(moment: Timestamp) -> HttpDate {
    HttpDate::from(moment.to_system_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_to_the_second() {
        let moment = Timestamp::from_micros(784_111_777_900_000);
        assert_eq!(format_json(moment).to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(
            format_header(moment).to_string(),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
    }
}

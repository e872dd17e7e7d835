//! Moments as GitHub writes them.

use std::fmt;

use actix_web::http::header::HttpDate;
use shared::clock::Timestamp;

/// In JSON: RFC 3339, UTC, to the second, such as `2026-11-03T12:34:56Z`.
pub(super) fn in_json(moment: Timestamp) -> impl fmt::Display {
    humantime::format_rfc3339_seconds(moment.to_system_time())
}

/// In headers: RFC 9110, such as `Tue, 03 Nov 2026 12:34:56 GMT`.
pub(super) fn in_header(moment: Timestamp) -> HttpDate {
    HttpDate::from(moment.to_system_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_to_the_second() {
        let moment = Timestamp::from_micros(784_111_777_900_000);
        assert_eq!(in_json(moment).to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(
            in_header(moment).to_string(),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
    }
}

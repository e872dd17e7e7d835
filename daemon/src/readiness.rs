//! The response to `/readyz`: whether a daemon is of use, why not, and what is wrong with it.
//!
//! Not responsible for when a daemon is ready.

use actix_web::{HttpResponse, http::header::ContentType};
use serde::Serialize;
use serde_json::{Value, json};
use shared::{problem::Problem, text::printable_json};

use crate::error::Code;

/// `Retry-After` while a daemon is not ready, in seconds.
const RETRY_SECONDS: u64 = 1;
/// The longest list of problems, in bytes: a small response is sent at once, however many requests for
/// pages there are.
const PROBLEMS_BYTES_MAX: usize = 2 * 1024;

/// The longest reason, in characters.
const REASON_MAX: usize = 600;

/// Marks a response whose body is sent even if its status is one after which curl repeats a request.
#[derive(Clone, Copy, Debug)]
pub struct KeepBody;

/// The body.
#[derive(Serialize)]
struct Body<'a> {
    ready: bool,
    /// Why it is not ready, in one sentence.
    reason: Option<&'a str>,
    /// The first problems, errors first.
    problems: Vec<&'a Problem>,
    /// How many more there are.
    more_problems: usize,
}

/// The body as JSON; an error's `code` and `message` are added if the daemon is not ready.
pub fn body(reason: Option<&str>, problems: &[Problem]) -> String {
    let reason = reason.map(|reason| match reason.char_indices().nth(REASON_MAX) {
        Some((end, _)) => &reason[..end],
        None => reason,
    });
    let mut length = 0;
    let fits = |problem: &&Problem| {
        let text = serde_json::to_string(problem);
        length += text.map_or(0, |text| text.len());
        length <= PROBLEMS_BYTES_MAX
    };
    // Anyone may read it.
    let problems: Vec<Problem> = problems.iter().map(Problem::for_strangers).collect();
    let shown: Vec<&Problem> = problems.iter().take_while(fits).collect();
    let body = Body {
        ready: reason.is_none(),
        reason,
        more_problems: problems.len() - shown.len(),
        problems: shown,
    };
    let mut body = serde_json::to_value(body).unwrap_or_default();
    if let (Some(reason), Value::Object(fields)) = (reason, &mut body) {
        fields.insert("code".to_owned(), json!(Code::NotReady.as_str()));
        fields.insert("message".to_owned(), json!(reason));
    }
    printable_json(body.to_string())
}

/// The response with that body: 200 if the daemon is ready, else 503.
pub fn response(is_ready: bool, body: impl actix_web::body::MessageBody + 'static) -> HttpResponse {
    let mut response = if is_ready {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    if !is_ready {
        response.insert_header(("Retry-After", RETRY_SECONDS.to_string()));
    }
    let mut response = response.insert_header(ContentType::json()).body(body);
    response.extensions_mut().insert(KeepBody);
    response
}

#[cfg(test)]
mod tests {
    use shared::{clock::Timestamp, problem::catalogue};

    use super::*;

    fn problem(subject: &str) -> Problem {
        catalogue::STATE_NOT_SAVED.problem(subject, "full", "free some", Timestamp::default())
    }

    #[test]
    fn the_body_has_the_reason_and_the_problems() {
        let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        assert_eq!(
            read(body(None, &[])),
            json!({"ready": true, "reason": null, "problems": [], "more_problems": 0})
        );
        let found = read(body(Some("it starts"), &[problem("disk")]));
        assert_eq!(found["problems"][0]["subject"], "disk");
        assert_eq!(found["ready"], false);
        for (field, expected) in [
            ("reason", "it starts"),
            ("message", "it starts"),
            ("code", "not_ready"),
        ] {
            assert_eq!(found[field], expected, "{field}");
        }
    }

    #[test]
    fn a_long_list_is_cut_so_that_the_response_is_a_small_one() {
        let problems = vec![problem(&"x".repeat(500)); 100];
        let text = body(Some(&"y".repeat(5000)), &problems);
        assert!(text.len() < 4096, "{}", text.len());
        let body: Value = serde_json::from_str(&text).unwrap();
        let shown = body["problems"].as_array().unwrap().len();
        assert!(shown > 0);
        assert_eq!(body["more_problems"], 100 - shown);
    }
}

//! What stands in the address of a request, as values that cannot be wrong.
//!
//! Owns which parameters there are. Their forms are those of `shared::values`.

use actix_web::HttpRequest;
use daemon::{
    error::{ApiError, Code},
    web::query,
};
use github::artifact_auth::UnverifiedIdentity;
use serde::Deserialize;
use shared::{clock::Timestamp, values::FencingToken};

/// Which job a runner is for: `unique_id`, `qualified_repo`, `run_id`, and from a queue `attempt` and
/// `enqueued_at`.
#[derive(Deserialize)]
struct Asked {
    unique_id: String,
    qualified_repo: String,
    run_id: String,
    attempt: Option<String>,
    enqueued_at: Option<String>,
}

/// Parameters of a take.
#[derive(Debug)]
pub struct TakeParameters {
    /// Which job.
    pub claim: UnverifiedIdentity,
    /// Orders this take among those of the same queue.
    pub attempt: Option<FencingToken>,
    /// When the queue enqueued the job; older queues do not send it.
    pub enqueued_at: Option<Timestamp>,
}

/// Reads the query of a take.
///
/// # Errors
/// 400 `bad_request` naming the parameter.
pub fn asked(request: &HttpRequest) -> Result<TakeParameters, ApiError> {
    let asked: Asked = query(request)?;
    let claim = UnverifiedIdentity {
        unique_id: asked.unique_id.parse()?,
        qualified_repo: asked.qualified_repo.parse()?,
        run_id: asked.run_id.parse()?,
    };
    Ok(TakeParameters {
        claim,
        attempt: asked.attempt.as_deref().map(str::parse).transpose()?,
        enqueued_at: asked.enqueued_at.as_deref().map(str::parse).transpose()?,
    })
}

/// How a reservation is to be released: `attempt`, `destroy`.
#[derive(Deserialize)]
struct Release {
    attempt: Option<String>,
    destroy: Option<String>,
}

/// The query of a release: up to which attempt, and whether the runners are to be destroyed.
///
/// # Errors
/// 400 `bad_request` naming the parameter.
pub fn release(request: &HttpRequest) -> Result<(Option<FencingToken>, bool), ApiError> {
    let release: Release = query(request)?;
    let destroys = match release.destroy.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            return Err(ApiError::new(
                Code::BadRequest,
                "destroy must be true or false",
            ));
        }
    };
    Ok((
        release.attempt.as_deref().map(str::parse).transpose()?,
        destroys,
    ))
}

#[cfg(test)]
mod tests {
    use actix_web::{ResponseError, test::TestRequest};

    use shared::values::RunId;

    use super::*;

    const RIGHT: &str = "unique_id=a&qualified_repo=b/c&run_id=1";

    fn refusal<T>(outcome: Result<T, ApiError>) -> Option<(u16, String)> {
        let refusal = outcome.err()?;
        Some((refusal.status_code().as_u16(), refusal.to_string()))
    }

    fn asked_with(query: &str) -> Result<TakeParameters, ApiError> {
        let request = TestRequest::with_uri(&format!("/take?{query}")).to_http_request();
        asked(&request)
    }

    #[test]
    fn a_question_of_the_right_form_is_understood() {
        let asked = asked_with(RIGHT).unwrap();
        assert_eq!(
            (asked.claim.unique_id.as_str(), asked.claim.run_id),
            ("a", RunId(1))
        );
        assert_eq!((asked.attempt, asked.enqueued_at), (None, None));
        let query = format!("{RIGHT}&attempt=0000000000000001-7&enqueued_at=5&later=x");
        let asked = asked_with(&query).unwrap();
        assert_eq!(asked.claim.qualified_repo.as_str(), "b/c");
        assert_eq!(
            (asked.attempt, asked.enqueued_at),
            (
                Some(FencingToken {
                    instance: 1,
                    sequence: 7
                }),
                Some(Timestamp::from_micros(5))
            )
        );
    }

    #[test]
    fn whatever_is_wrong_is_named() {
        let cases = [
            ("", "unique_id"),
            ("unique_id=a&qualified_repo=b/c", "run_id"),
            (
                "unique_id=a&unique_id=a&qualified_repo=b/c&run_id=1",
                "unique_id",
            ),
            ("unique_id=../a&qualified_repo=b/c&run_id=1", "unique_id"),
            ("unique_id=a&qualified_repo=../c&run_id=1", "qualified_repo"),
            ("unique_id=a&qualified_repo=b/c&run_id=-1", "run_id"),
            ("unique_id=a&qualified_repo=b/c&run_id=%2B1", "run_id"),
            (
                "unique_id=a&qualified_repo=b/c&run_id=1&attempt=",
                "attempt",
            ),
            (
                "unique_id=a&qualified_repo=b/c&run_id=1&attempt=x",
                "attempt",
            ),
            (
                "unique_id=a&qualified_repo=b/c&run_id=1&attempt=18446744073709551616",
                "attempt",
            ),
            (
                "unique_id=a&qualified_repo=b/c&run_id=1&enqueued_at=-1",
                "enqueued_at",
            ),
        ];
        for (query, field) in cases {
            let (status, message) = refusal(asked_with(query)).unwrap();
            assert_eq!(status, 400, "{query}");
            assert!(message.contains(field), "{query}: {message}");
        }
    }

    #[test]
    fn a_release_may_name_its_attempt_and_ask_for_destruction() {
        for (query, expected) in [
            ("", (None, false)),
            (
                "attempt=0000000000000001-3",
                (
                    Some(FencingToken {
                        instance: 1,
                        sequence: 3,
                    }),
                    false,
                ),
            ),
            (
                "attempt=0000000000000001-3&destroy=true",
                (
                    Some(FencingToken {
                        instance: 1,
                        sequence: 3,
                    }),
                    true,
                ),
            ),
            ("destroy=false", (None, false)),
        ] {
            let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
            assert_eq!(release(&request).unwrap(), expected, "{query}");
        }
        for (query, field) in [
            ("attempt=-1", "attempt"),
            ("destroy=1", "destroy"),
            ("destroy", "destroy"),
        ] {
            let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
            let (status, message) = refusal(release(&request)).unwrap();
            assert_eq!(status, 400, "{query}");
            assert!(message.contains(field), "{query}: {message}");
        }
    }
}

//! Takes with the API token, as the queue sends them.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    auth::AuthorisedQueue,
    error::ApiError,
    web::{Path, Query, from_optional_text, from_text},
};
use serde::{Deserialize, Deserializer, de::Error};
use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    values::{Count, FencingToken, ProfileKey, QualifiedRepo, RunId, UniqueId},
};

use super::{AppState, grant::grant};
use monitor_core::Take;

/// The longest proof of a queue, in characters.
const PROOF_LENGTH_MAX: usize = 128;

/// Query parameters of a take.
#[derive(Debug, Deserialize)]
pub struct TakeParameters {
    #[serde(deserialize_with = "from_text")]
    pub unique_id: UniqueId,
    #[serde(deserialize_with = "from_text")]
    pub qualified_repo: QualifiedRepo,
    #[serde(deserialize_with = "from_text")]
    pub run_id: RunId,
    /// Orders this take among those of the same queue.
    #[serde(default, deserialize_with = "from_optional_text")]
    attempt: Option<FencingToken>,
    /// When the queue enqueued the job; older queues do not send it.
    #[serde(default, deserialize_with = "from_optional_text")]
    enqueued_at: Option<Timestamp>,
    /// What the queue recognises the reservation by when it is reported; older queues do not send it.
    #[serde(default, deserialize_with = "proof")]
    proof: Option<String>,
    /// Whether the client reads the label of its runners from the response. If not, its workflow selects
    /// them by `reserved-for:<unique_id>`.
    #[serde(default, deserialize_with = "labels_flag")]
    pub labels_from_response: bool,
}

fn proof<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_valid = (1..=PROOF_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_valid {
        true => Ok(Some(text)),
        false => Err(D::Error::custom(format!(
            "proof must be 1 to {PROOF_LENGTH_MAX} hexadecimal digits"
        ))),
    }
}

fn labels_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| D::Error::custom("labels_from_response must be true or false"))
}

impl TakeParameters {
    fn take(self, profile_key: ProfileKey, count: Count) -> Take {
        Take {
            job: JobSpec {
                unique_id: self.unique_id,
                profile_key,
                count,
                qualified_repo: self.qualified_repo,
                run_id: self.run_id,
            },
            token: self.attempt,
            enqueued_at: self.enqueued_at,
            proof: self.proof,
            labels_from_response: self.labels_from_response,
        }
    }
}

/// `POST /profile/<profile_key>/take?unique_id&qualified_repo&run_id[&labels_from_response&attempt&enqueued_at]`
pub async fn one(
    _: AuthorisedQueue,
    state: Data<AppState>,
    Path(profile_key): Path<ProfileKey>,
    Query(parameters): Query<TakeParameters>,
) -> Result<HttpResponse, ApiError> {
    let take = parameters.take(profile_key, Count::ONE);
    Ok(grant(&state, take).await?.single())
}

/// `POST /profile/<profile_key>/take/<count>?…`
pub async fn several(
    _: AuthorisedQueue,
    state: Data<AppState>,
    Path(profile_key): Path<ProfileKey>,
    Path(count): Path<Count>,
    Query(parameters): Query<TakeParameters>,
) -> Result<HttpResponse, ApiError> {
    let take = parameters.take(profile_key, count);
    Ok(grant(&state, take).await?.several())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{expect_bad_request, parse_query};

    const REQUIRED: &str = "unique_id=a&qualified_repo=b/c&run_id=1";

    #[test]
    fn the_parameters_of_a_take_are_read() {
        let parameters = parse_query::<TakeParameters>(REQUIRED).unwrap();
        assert_eq!(
            (parameters.unique_id.as_str(), parameters.run_id),
            ("a", RunId(1))
        );
        assert_eq!((parameters.attempt, parameters.enqueued_at), (None, None));
        assert!(!parameters.labels_from_response);
        for (text, expected) in [("true", true), ("false", false)] {
            let query = format!("{REQUIRED}&labels_from_response={text}");
            let parameters = parse_query::<TakeParameters>(&query).unwrap();
            assert_eq!(parameters.labels_from_response, expected);
        }
        let query = format!("{REQUIRED}&attempt=0000000000000001-7&enqueued_at=5&later=x");
        let parameters = parse_query::<TakeParameters>(&query).unwrap();
        assert_eq!(parameters.qualified_repo.as_str(), "b/c");
        assert_eq!(
            (parameters.attempt, parameters.enqueued_at),
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
    fn a_missing_or_invalid_parameter_is_named() {
        for (query, parameter) in [
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
                "unique_id=a&qualified_repo=b/c&run_id=1&labels_from_response=yes",
                "labels_from_response",
            ),
            ("unique_id=a&qualified_repo=b/c&run_id=1&proof=", "proof"),
            ("unique_id=a&qualified_repo=b/c&run_id=1&proof=0g", "proof"),
            (&format!("{REQUIRED}&proof={}", "0".repeat(129)), "proof"),
            (
                "unique_id=a&qualified_repo=b/c&run_id=1&attempt=x",
                "attempt",
            ),
            (
                "unique_id=a&qualified_repo=b/c&run_id=1&enqueued_at=-1",
                "enqueued_at",
            ),
            (
                "unique_id=a&qualified_repo=b/c&run_id=1&attempt=18446744073709551616",
                "attempt",
            ),
        ] {
            expect_bad_request(parse_query::<TakeParameters>(query), parameter);
        }
    }
}

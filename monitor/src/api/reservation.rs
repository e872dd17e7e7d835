//! Releases of reservations.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    auth::AuthorisedQueue,
    error::ApiError,
    web::{ClientAddress, Operator, Path, Query, from_optional_text},
};
use serde::{Deserialize, Deserializer, de::Error};
use shared::values::{FencingToken, UniqueId};

use super::AppState;

/// Query parameters of a release.
#[derive(Debug, PartialEq, Deserialize)]
pub struct ReleaseParameters {
    /// Releases only what this or an earlier attempt has taken; everything if missing.
    #[serde(default, deserialize_with = "from_optional_text")]
    attempt: Option<FencingToken>,
    /// Whether the runners are destroyed instead of becoming idle again.
    #[serde(default, deserialize_with = "destroy_flag")]
    destroy: bool,
}

fn destroy_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "false" => Ok(false),
        "true" => Ok(true),
        _ => Err(D::Error::custom("destroy must be true or false")),
    }
}

/// `DELETE /reservation/<unique_id>[?attempt=<attempt>][&destroy=true]`
pub async fn release(
    caller: AuthorisedQueue,
    address: ClientAddress,
    state: Data<AppState>,
    Path(unique_id): Path<UniqueId>,
    Query(parameters): Query<ReleaseParameters>,
) -> Result<HttpResponse, ApiError> {
    let ReleaseParameters { attempt, destroy } = parameters;
    let revision = state
        .core
        .change(|core, now| core.release(&unique_id, attempt, destroy, now));
    // Those of queues follow from what happens to their jobs, and are repeated.
    if attempt.is_none() {
        let operator = Operator::from(address);
        state.audit("release", caller.authorised_by(), &operator, |mut entry| {
            entry.unique_id = Some(unique_id);
            entry.fact("destroy", destroy)
        });
    }
    state.saved_change(revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{expect_bad_request, parse_query};

    #[test]
    fn a_release_may_have_an_attempt_and_a_destroy_flag() {
        let token = Some(FencingToken {
            instance: 1,
            sequence: 3,
        });
        for (query, attempt, destroy) in [
            ("", None, false),
            ("attempt=0000000000000001-3", token, false),
            ("attempt=0000000000000001-3&destroy=true", token, true),
            ("destroy=false", None, false),
        ] {
            let parameters = parse_query::<ReleaseParameters>(query).unwrap();
            let expected = ReleaseParameters { attempt, destroy };
            assert_eq!(parameters, expected, "{query}");
        }
    }

    #[test]
    fn an_invalid_parameter_is_named() {
        for (query, parameter) in [
            ("attempt=-1", "attempt"),
            ("destroy=1", "destroy"),
            ("destroy", "destroy"),
        ] {
            expect_bad_request(parse_query::<ReleaseParameters>(query), parameter);
        }
    }
}

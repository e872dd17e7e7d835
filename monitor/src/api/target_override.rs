//! Temporary targets: show, set and cancel them.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web::Data};
use daemon::{
    auth::Authorised,
    error::{ApiError, Code},
    web::{ClientAddress, Query},
};
use shared::values::{InvalidValue, ProfileKey};

use super::AppState;
use monitor_core::OverrideRefusal;

/// Maximum number of profiles in one override.
const PROFILES_MAX: usize = 200;

/// `GET /policy/override`: the current temporary targets, or `null`.
pub async fn show(state: Data<AppState>) -> HttpResponse {
    HttpResponse::Ok().json(state.core.read(|core| core.target_override().cloned()))
}

/// `POST /policy/override?<profile_key>=<count>…`: the new temporary targets.
pub async fn set(
    _: Authorised,
    address: ClientAddress,
    state: Data<AppState>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<HttpResponse, ApiError> {
    let counts = parse(&parameters)?;
    let set = state
        .core
        .change(|core, now| core.set_override(counts.clone(), now));
    let revision = set.map_err(refused)?;
    state.audit("override", "api_token", address, |entry| {
        entry.fact("targets", text_of(&counts))
    });
    state.saved_change(revision).await?;
    Ok(HttpResponse::Ok().json(counts))
}

/// `DELETE /policy/override`: the temporary targets that this cancelled, or `null`.
pub async fn cancel(
    _: Authorised,
    address: ClientAddress,
    state: Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let (cancelled, revision) = state.core.change(|core, _| core.cancel_override());
    if let Some(counts) = &cancelled {
        state.audit("cancel_override", "api_token", address, |entry| {
            entry.fact("targets", text_of(counts))
        });
    }
    state.saved_change(revision).await?;
    Ok(HttpResponse::Ok().json(cancelled))
}

/// Targets for the journal, such as `linux=3 windows=0`.
fn text_of(counts: &BTreeMap<ProfileKey, usize>) -> String {
    let counts = counts.iter().map(|(key, count)| format!("{key}={count}"));
    counts.collect::<Vec<_>>().join(" ")
}

fn parse(pairs: &[(String, String)]) -> Result<BTreeMap<ProfileKey, usize>, ApiError> {
    let mut counts = BTreeMap::new();
    for (profile_key, count) in pairs.iter().take(PROFILES_MAX + 1) {
        let profile_key: ProfileKey = profile_key.parse()?;
        let is_decimal =
            (1..=4).contains(&count.len()) && count.bytes().all(|it| it.is_ascii_digit());
        let count = is_decimal
            .then(|| count.parse().ok())
            .flatten()
            .ok_or(InvalidValue {
                field: "count",
                allowed: "a decimal number from 0 to 9999",
            })?;
        if counts.insert(profile_key, count).is_some() {
            return Err(ApiError::new(Code::BadRequest, "a profile_key is repeated"));
        }
    }
    if counts.len() > PROFILES_MAX {
        return Err(ApiError::new(
            Code::BadRequest,
            format!("at most {PROFILES_MAX} profiles are allowed"),
        ));
    }
    Ok(counts)
}

fn refused(refusal: OverrideRefusal) -> ApiError {
    match refusal {
        OverrideRefusal::UnknownProfile(profile_key) => ApiError::new(
            Code::UnknownProfile,
            format!("this server has no profile {profile_key}; its dashboard shows which it has"),
        ),
        OverrideRefusal::Empty => ApiError::new(
            Code::BadRequest,
            "name at least one profile with a count above 0, as in ?<profile_key>=<count>",
        ),
        OverrideRefusal::BeyondCapacity { needs, capacity } => ApiError::new(
            Code::Unsatisfiable,
            format!(
                "these runners need {needs}, but this server has {capacity}, and allows at most 1000 runners of a profile"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|&(key, count)| (key.to_owned(), count.to_owned()))
            .collect()
    }

    #[test]
    fn the_count_of_each_profile_is_read() {
        let counts = parse(&pairs(&[("linux", "3"), ("windows", "0")])).unwrap();
        assert_eq!(counts.into_values().collect::<Vec<_>>(), [3, 0]);
    }

    #[test]
    fn invalid_counts_are_refused() {
        for wrong in [
            &[("linux", "")][..],
            &[("linux", "-1")],
            &[("linux", "+1")],
            &[("linux", "10000")],
            &[("linux", "18446744073709551615")],
            &[("../linux", "1")],
            &[("", "1")],
            &[("linux", "1"), ("linux", "1")],
        ] {
            let refusal = parse(&pairs(wrong)).unwrap_err();
            assert_eq!(refusal.code(), Code::BadRequest, "{wrong:?}");
        }
        let many: Vec<_> = (0..201)
            .map(|number| (format!("p{number}"), "1".to_owned()))
            .collect();
        assert_eq!(parse(&many).unwrap_err().code(), Code::BadRequest);
    }
}

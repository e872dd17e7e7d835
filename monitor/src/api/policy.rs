//! Temporary targets: showing, setting and cancelling them.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use daemon::{
    auth::Authorised,
    error::{ApiError, Code},
    web::query,
};
use shared::values::{InvalidValue, ProfileKey};

use super::{Desk, not_saved};
use monitor_core::OverrideRefusal;

/// The most profiles that one override can name.
const PROFILES_MAX: usize = 200;

/// `GET /policy/override`: the current temporary targets, or `null`.
pub async fn show(desk: Data<Desk>) -> HttpResponse {
    HttpResponse::Ok().json(desk.pool.read(|core| core.target_override().cloned()))
}

/// `POST /policy/override?<profile_key>=<count>…`: the new temporary targets.
pub async fn set(
    _: Authorised,
    desk: Data<Desk>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let counts = parse(&query::<Vec<(String, String)>>(&request)?)?;
    let set = desk
        .pool
        .change(|core, now| core.set_override(counts.clone(), now));
    let revision = set.map_err(refused)?;
    desk.pool.saved(revision).await.map_err(not_saved)?;
    Ok(HttpResponse::Ok().json(counts))
}

/// `DELETE /policy/override`: the temporary targets that ended by this, or `null`.
pub async fn cancel(_: Authorised, desk: Data<Desk>) -> Result<HttpResponse, ApiError> {
    let (cancelled, revision) = desk.pool.change(|core, _| core.cancel_override());
    desk.pool.saved(revision).await.map_err(not_saved)?;
    Ok(HttpResponse::Ok().json(cancelled))
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
            return Err(ApiError::new(
                Code::BadRequest,
                "each profile_key may be named once",
            ));
        }
    }
    if counts.len() > PROFILES_MAX {
        return Err(ApiError::new(
            Code::BadRequest,
            format!("at most {PROFILES_MAX} profiles can be named"),
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
                "so many runners need {needs}, and this server has {capacity} for at most 1000 of a profile"
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
    fn counts_are_read_for_each_profile() {
        let counts = parse(&pairs(&[("linux", "3"), ("windows", "0")])).unwrap();
        assert_eq!(counts.into_values().collect::<Vec<_>>(), [3, 0]);
    }

    #[test]
    fn whatever_is_no_count_of_a_profile_is_refused() {
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

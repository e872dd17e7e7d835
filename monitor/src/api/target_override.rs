//! Temporary targets: show, set and cancel them.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web::Data};
use daemon::{
    auth::Authorised,
    error::{ApiError, Code},
    web::{Operator, Query},
};
use shared::{
    operator::Note,
    values::{InvalidValue, ProfileKey},
};

use super::AppState;
use monitor_core::OverrideRefusal;

/// Maximum number of profiles in one override.
const PROFILES_MAX: usize = 200;
/// The parameter with the note, on servers that have no profile of this name.
const NOTE: &str = "note";

/// `GET /policy/override`: the current temporary targets, or `null`. The dashboard also has their order.
pub async fn show(state: Data<AppState>) -> HttpResponse {
    let set = state.core.read(monitor_core::Monitor::target_override);
    HttpResponse::Ok().json(set.map(|set| set.targets))
}

/// `POST /policy/override?<profile_key>=<count>…[&note=…]`: the new temporary targets.
pub async fn set(
    _: Authorised,
    operator: Operator,
    state: Data<AppState>,
    Query(mut parameters): Query<Vec<(String, String)>>,
) -> Result<HttpResponse, ApiError> {
    let is_profile = state.core.read(|core| core.has_profile(NOTE));
    let note = match is_profile {
        true => Note::default(),
        false => note_of(&mut parameters)?,
    };
    let counts = parse(&parameters)?;
    let audited_note = note.as_str().to_owned();
    let order = operator.clone().order(note);
    let set = state
        .core
        .change(|core, now| core.set_override(counts.clone(), order, now));
    let revision = set.map_err(refused)?;
    state.audit("override", "api_token", &operator, |entry| {
        let entry = entry.fact("targets", text_of(&counts));
        entry.fact("note", audited_note)
    });
    state.saved_change(revision).await?;
    Ok(HttpResponse::Ok().json(counts))
}

/// `DELETE /policy/override`: the temporary targets that this cancelled, or `null`.
pub async fn cancel(
    _: Authorised,
    operator: Operator,
    state: Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let (cancelled, revision) = state.core.change(|core, _| core.cancel_override());
    if let Some(counts) = &cancelled {
        state.audit("cancel_override", "api_token", &operator, |entry| {
            entry.fact("targets", text_of(counts))
        });
    }
    state.saved_change(revision).await?;
    Ok(HttpResponse::Ok().json(cancelled))
}

/// Takes the note out of the parameters.
fn note_of(parameters: &mut Vec<(String, String)>) -> Result<Note, ApiError> {
    let notes = parameters.extract_if(.., |(key, _)| key == NOTE);
    let notes: Vec<String> = notes.map(|(_, note)| note).collect();
    match &notes[..] {
        [] => Ok(Note::default()),
        [note] => Ok(note.parse()?),
        _ => Err(ApiError::new(Code::BadRequest, "the note is repeated")),
    }
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
    fn a_note_is_no_profile() {
        let mut parameters = pairs(&[("linux", "3"), ("note", "a fair")]);
        assert_eq!(note_of(&mut parameters).unwrap().as_str(), "a fair");
        assert_eq!(parameters, pairs(&[("linux", "3")]));
        assert_eq!(note_of(&mut parameters).unwrap().as_str(), "");
        let mut twice = pairs(&[("note", "a"), ("note", "b")]);
        assert_eq!(note_of(&mut twice).unwrap_err().code(), Code::BadRequest);
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

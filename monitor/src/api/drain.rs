//! Draining: show it, begin it and end it.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    auth::{Authorised, NotWrongToken},
    error::ApiError,
    web::{NoteParameters, Operator, Query},
};

use super::AppState;

/// `GET /policy/drain`: the drain in force with `since`, `note` and `author`, or `null`. With a token also
/// `client_address`.
pub async fn show(token: NotWrongToken, state: Data<AppState>) -> HttpResponse {
    let drain = state.core.read(|core| core.drained().cloned());
    HttpResponse::Ok().json(match token.is_authorised() {
        true => drain,
        false => drain.map(|drain| drain.public()),
    })
}

/// `POST /policy/drain[?note=…]`: the drain that is in force now.
pub async fn begin(
    _: Authorised,
    operator: Operator,
    state: Data<AppState>,
    Query(NoteParameters { note }): Query<NoteParameters>,
) -> Result<HttpResponse, ApiError> {
    let audited_note = note.as_str().to_owned();
    let order = operator.clone().order(note);
    let (revision, drain) = state.core.change(|core, now| {
        let revision = core.drain(order, now);
        (revision, core.drained().cloned())
    });
    state.audit("drain", "api_token", &operator, |entry| {
        entry.fact("note", audited_note)
    });
    state.saved_change(revision).await?;
    Ok(HttpResponse::Ok().json(drain))
}

/// `DELETE /policy/drain`: the drain that this ended, or `null`.
pub async fn end(
    _: Authorised,
    operator: Operator,
    state: Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let (ended, revision) = state.core.change(|core, _| core.end_drain());
    if ended.is_some() {
        state.audit("end_drain", "api_token", &operator, |entry| entry);
    }
    state.saved_change(revision).await?;
    Ok(HttpResponse::Ok().json(ended))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{expect_bad_request, parse_query};

    #[test]
    fn a_misspelt_note_is_refused_instead_of_lost() {
        let parameters = parse_query::<NoteParameters>("note=new%20memory").unwrap();
        assert_eq!(parameters.note.as_str(), "new memory");
        expect_bad_request(parse_query::<NoteParameters>("notes=x"), "notes");
    }
}

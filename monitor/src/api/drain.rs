//! Draining: show it, begin it and end it.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    auth::Authorised,
    error::{ApiError, Code},
    web::{ClientAddress, Query},
};
use monitor_core::NoteTooLong;
use serde::Deserialize;

use super::AppState;

/// Query parameters of a drain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainParameters {
    /// The reason, shown on the pages of the queue and the monitor.
    #[serde(default)]
    note: String,
}

/// `GET /policy/drain`: the drain in force with `since` and `note`, or `null`.
pub async fn show(state: Data<AppState>) -> HttpResponse {
    HttpResponse::Ok().json(state.core.read(|core| core.drained().cloned()))
}

/// `POST /policy/drain[?note=…]`: the drain that is in force now.
pub async fn begin(
    _: Authorised,
    address: ClientAddress,
    state: Data<AppState>,
    Query(parameters): Query<DrainParameters>,
) -> Result<HttpResponse, ApiError> {
    let DrainParameters { note } = parameters;
    let begun = state.core.change(|core, now| {
        let revision = core.drain(&note, now)?;
        Ok((revision, core.drained().cloned()))
    });
    let (revision, drain) = begun.map_err(|NoteTooLong { length_max }| {
        let message = format!("a note may have at most {length_max} characters");
        ApiError::new(Code::BadRequest, message)
    })?;
    state.audit("drain", "api_token", address, |entry| {
        entry.fact("note", note)
    });
    state.saved_change(revision).await?;
    Ok(HttpResponse::Ok().json(drain))
}

/// `DELETE /policy/drain`: the drain that this ended, or `null`.
pub async fn end(
    _: Authorised,
    address: ClientAddress,
    state: Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let (ended, revision) = state.core.change(|core, _| core.end_drain());
    if ended.is_some() {
        state.audit("end_drain", "api_token", address, |entry| entry);
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
        let parameters = parse_query::<DrainParameters>("note=new%20memory").unwrap();
        assert_eq!(parameters.note, "new memory");
        expect_bad_request(parse_query::<DrainParameters>("notes=x"), "notes");
    }
}

//! `/image/<profile_key>/rebuild`: order the rebuild of an image, and cancel the order.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    auth::Authorised,
    error::{ApiError, Code},
    web::{NoteParameters, Operator, Path, Query},
};
use monitor_core::RebuildRefusal;
use shared::values::ProfileKey;

use super::AppState;

/// `POST /image/<profile_key>/rebuild[?note=…]`: the order that is in force now.
pub async fn order(
    _: Authorised,
    operator: Operator,
    state: Data<AppState>,
    Path(profile_key): Path<ProfileKey>,
    Query(NoteParameters { note }): Query<NoteParameters>,
) -> Result<HttpResponse, ApiError> {
    let audited_note = note.as_str().to_owned();
    let order = operator.clone().order(note);
    let ordered = state.core.change(|core, now| {
        let revision = core.order_rebuild(&profile_key, order, now)?;
        Ok((revision, core.rebuild_orders().get(&profile_key).cloned()))
    });
    let (revision, order) = ordered.map_err(|refusal| refused(refusal, &profile_key))?;
    state.audit("rebuild", "api_token", &operator, |mut entry| {
        entry.profile_key = Some(profile_key);
        entry.fact("note", audited_note)
    });
    state.saved_change(revision).await?;
    Ok(HttpResponse::Ok().json(order))
}

/// `DELETE /image/<profile_key>/rebuild`: the order that this cancelled, or `null`.
pub async fn cancel(
    _: Authorised,
    operator: Operator,
    state: Data<AppState>,
    Path(profile_key): Path<ProfileKey>,
) -> Result<HttpResponse, ApiError> {
    let (cancelled, revision) = state
        .core
        .change(|core, _| core.cancel_rebuild(&profile_key));
    if cancelled.is_some() {
        state.audit("cancel_rebuild", "api_token", &operator, |mut entry| {
            entry.profile_key = Some(profile_key);
            entry
        });
    }
    state.saved_change(revision).await?;
    Ok(HttpResponse::Ok().json(cancelled))
}

fn refused(refusal: RebuildRefusal, profile_key: &ProfileKey) -> ApiError {
    match refusal {
        RebuildRefusal::UnknownProfile => ApiError::new(
            Code::UnknownProfile,
            format!("this server has no profile {profile_key}; its dashboard shows which it has"),
        ),
        RebuildRefusal::NotBuiltHere => ApiError::new(
            Code::NotFound,
            format!(
                "the image of {profile_key} is not built by this server: the profile has no build, or needs no image"
            ),
        ),
    }
}

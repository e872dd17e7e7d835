//! `/profile/<profile_key>/pause`: show it, begin it and end it.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    auth::{Authorised, NotWrongToken},
    error::{ApiError, Code},
    journal::Entry,
    web::{NoteParameters, Operator, Path, Query},
};
use shared::values::ProfileKey;

use queue_core::{Answer, Input, PauseOrder};

use super::{AppState, refused, snapshot::Snapshots, unexpected};

/// `Retry-After` if the pauses cannot be saved, in seconds.
const NOT_SAVED_RETRY_SECONDS: u64 = 5;

/// `GET /profile/<profile_key>/pause`: `since`, `note` and `author` of the pause that is in force, or `null`. With the
/// API token also `client_address`.
pub async fn show(
    token: NotWrongToken,
    state: Data<AppState>,
    Path(profile_key): Path<ProfileKey>,
) -> HttpResponse {
    let pause = state.event_loop.read(|queue, _| {
        let mut pauses = queue.pauses();
        let found = pauses.find(|(key, _)| **key == profile_key);
        found.map(|(_, pause)| pause.clone())
    });
    HttpResponse::Ok().json(match token.is_authorised() {
        true => pause,
        false => pause.map(|pause| pause.public()),
    })
}

/// `POST /profile/<profile_key>/pause[?note=…]`: the pause that is in force now.
pub async fn begin(
    _: Authorised,
    operator: Operator,
    state: Data<AppState>,
    snapshots: Data<Snapshots>,
    Path(profile_key): Path<ProfileKey>,
    Query(NoteParameters { note }): Query<NoteParameters>,
) -> Result<HttpResponse, ApiError> {
    let audited_note = note.as_str().to_owned();
    let order = PauseOrder {
        profile_key: profile_key.clone(),
        order: operator.clone().order(note),
    };
    let pause = match state.event_loop.call(|call| Input::Pause { call, order }) {
        Some(Answer::Paused(pause)) => pause,
        Some(Answer::Refused(refusal)) => return Err(refused(refusal)),
        answer => return Err(unexpected(answer.as_ref())),
    };
    let entry = audit(&state, "pause", &operator, profile_key);
    state.journal.record(entry.fact("note", audited_note));
    save(&state, &snapshots).await?;
    Ok(HttpResponse::Ok().json(pause))
}

/// `DELETE /profile/<profile_key>/pause`: the pause that this ended, or `null`.
pub async fn end(
    _: Authorised,
    operator: Operator,
    state: Data<AppState>,
    snapshots: Data<Snapshots>,
    Path(profile_key): Path<ProfileKey>,
) -> Result<HttpResponse, ApiError> {
    let key = profile_key.clone();
    let resume = |call| Input::Resume {
        call,
        profile_key: key,
    };
    let ended = match state.event_loop.call(resume) {
        Some(Answer::Resumed(ended)) => ended,
        Some(Answer::Refused(refusal)) => return Err(refused(refusal)),
        answer => return Err(unexpected(answer.as_ref())),
    };
    if ended.is_some() {
        let entry = audit(&state, "resume", &operator, profile_key);
        state.journal.record(entry);
    }
    save(&state, &snapshots).await?;
    Ok(HttpResponse::Ok().json(ended))
}

fn audit(
    state: &AppState,
    action: &'static str,
    operator: &Operator,
    profile_key: ProfileKey,
) -> Entry {
    let now = state.event_loop.now();
    Entry {
        profile_key: Some(profile_key),
        ..operator.audit(now, action, "api_token")
    }
}

/// Waits until the change is on disk. Pages show it then.
async fn save(state: &AppState, snapshots: &Snapshots) -> Result<(), ApiError> {
    let saved = state.pauses_file.save(&state.event_loop).await;
    snapshots.invalidate();
    saved.map_err(|_| {
        let message = "the change is made, but the queue cannot save it at the moment, so a restart may undo \
                       it; free some space in its data folder; the queue tries again by itself";
        ApiError::new(Code::NotReady, message).retry_after(NOT_SAVED_RETRY_SECONDS)
    })
}

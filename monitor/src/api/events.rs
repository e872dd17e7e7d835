//! `GET /events`: what happens on this server, as it happens.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    auth::NotWrongToken,
    error::ApiError,
    journal::{EventStream, LastEventId},
};

use super::AppState;

/// `GET /events`: server-sent events. With the API token all of each event; without it, and with the token
/// of a queue, no more than the dashboard shows to everybody.
pub async fn stream(
    caller: NotWrongToken,
    state: Data<AppState>,
    LastEventId(last_event_id): LastEventId,
) -> Result<HttpResponse, ApiError> {
    let stream = EventStream {
        journal: state.core.journal().clone(),
        places: state.stream_places.clone(),
        draining: state.draining.clone(),
        is_authorised: caller.has_api_token(),
        last_event_id,
    };
    stream.respond()
}

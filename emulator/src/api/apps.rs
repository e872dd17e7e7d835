//! Tokens for the installations of Apps. What asks for one has none yet, so this path stands
//! outside the common access, and counts against no limit.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, ServiceConfig},
};
use serde_json::json;

use super::{
    ApiError, access,
    request::{part, secret},
    time,
};
use crate::Emulator;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.route(
        "/app/installations/{installation_id}/access_tokens",
        web::post().to(create_token),
    );
}

/// The token may do all that is emulated, whatever the request's body would narrow it to.
async fn create_token(
    emulator: Data<Emulator>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    access::check_user_agent(request.headers())?;
    let ticket = secret(&request)?;
    let installation_id = part(&request, "installation_id")?;
    let (token, expires_at) = emulator.installation_token(installation_id, ticket)?;
    Ok(HttpResponse::Created().json(json!({
        "token": token.expose(),
        "expires_at": time::in_json(emulator.faults().shown(expires_at)).to_string(),
        "permissions": {
            "actions": "write",
            "metadata": "read",
            "organization_self_hosted_runners": "write",
        },
        "repository_selection": "all",
    })))
}

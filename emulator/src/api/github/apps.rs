//! Installation tokens of GitHub Apps. A request for one has no token yet, so these paths are not
//! behind the common middleware, and count against no rate limit.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use serde::Deserialize;
use serde_json::json;

use super::{ApiError, middleware::check_user_agent};
use crate::{
    Emulator,
    api::{extract::Bearer, time},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.route(
        "/app/installations/{installation_id}/access_tokens",
        web::post().to(create_token),
    );
}

#[derive(Deserialize)]
struct InstallationPath {
    installation_id: u64,
}

/// The token has all emulated permissions. A request for fewer is ignored.
async fn create_token(
    emulator: Data<Emulator>,
    request: HttpRequest,
    path: Path<InstallationPath>,
    jwt: Result<Bearer, ApiError>,
) -> Result<HttpResponse, ApiError> {
    check_user_agent(request.headers())?;
    let jwt = jwt?.0;
    let (token, expires_at) = emulator.installation_token(path.installation_id, jwt.expose())?;
    Ok(HttpResponse::Created().json(json!({
        "token": token.expose(),
        "expires_at": time::format_json(emulator.faults().with_clock_skew(expires_at)).to_string(),
        "permissions": {
            "actions": "write",
            "metadata": "read",
            "organization_self_hosted_runners": "write",
        },
        "repository_selection": "all",
    })))
}

//! `/_emulator/artifacts`: uploads, which GitHub accepts only from its own runners.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, ServiceConfig},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use shared::values::{InvalidValue, QualifiedRepo, RunId};

use crate::{
    Emulator,
    api::{ApiError, github::artifact_json},
    model::NewArtifact,
    zip_of_lines,
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.route("/artifacts", web::post().to(upload));
}

/// An artifact: lines of text, which are zipped here, or any bytes in base64.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upload {
    repo: QualifiedRepo,
    run_id: RunId,
    name: String,
    text_lines: Option<Vec<String>>,
    zip: Option<String>,
}

async fn upload(emulator: Data<Emulator>, upload: Json<Upload>) -> Result<HttpResponse, ApiError> {
    let upload = upload.into_inner();
    let invalid = InvalidValue {
        field: "zip",
        allowed: "base64, and only without text_lines",
    };
    let content = match (upload.text_lines, upload.zip) {
        (Some(lines), None) => zip_of_lines(lines),
        (None, Some(zip)) => STANDARD.decode(zip).map_err(|_| invalid)?,
        _ => return Err(invalid.into()),
    };
    let new = NewArtifact {
        repo: upload.repo,
        run_id: upload.run_id,
        name: upload.name,
        content,
    };
    let artifact = emulator.model(|model, now| model.add_artifact(now, new))?;
    Ok(HttpResponse::Created().json(artifact_json(&emulator, &artifact)))
}

//! Artifacts of workflow runs.
//!
//! A download takes two steps, as at GitHub: the API answers with an address of the blob storage,
//! which is itself the permission and refuses whoever sends credentials there.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{AUTHORIZATION, LINK, LOCATION},
    web::{self, Data, Query, ServiceConfig},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ApiError,
    paging::{ListQuery, link},
    request::{Repo, part},
    time,
};
use crate::{
    Emulator,
    model::{Artifact, ArtifactId, Refusal},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/actions/runs/{run_id}/artifacts", web::get().to(list))
        .service(
            web::resource("/actions/artifacts/{artifact_id}")
                .route(web::get().to(show))
                .route(web::delete().to(delete)),
        )
        .route(
            "/actions/artifacts/{artifact_id}/zip",
            web::get().to(download),
        );
}

/// The other host of a download, which at GitHub is none of the API's.
pub(super) fn blob_routes(config: &mut ServiceConfig) {
    config.route("/_blobs/{artifact_id}.zip", web::get().to(blob));
}

async fn list(
    emulator: Data<Emulator>,
    repo: Repo,
    query: Query<ListQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let run_id = part(&request, "run_id")?;
    let (name, direction) = (query.name.as_deref(), query.direction());
    let page = emulator
        .model(|model, now| model.artifacts(now, &repo.0, run_id, name, direction, query.page()));
    let mut response = HttpResponse::Ok();
    if let Some(link) = link(emulator.base_url(), &request, &page) {
        response.insert_header((LINK, link));
    }
    let artifacts: Vec<Value> = page
        .items
        .iter()
        .map(|artifact| shown(&emulator, artifact))
        .collect();
    Ok(response.json(json!({ "total_count": page.total_count, "artifacts": artifacts })))
}

async fn show(
    emulator: Data<Emulator>,
    repo: Repo,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let artifact = find(&emulator, &repo, &request)?;
    Ok(HttpResponse::Ok().json(shown(&emulator, &artifact)))
}

fn find(emulator: &Emulator, repo: &Repo, request: &HttpRequest) -> Result<Artifact, ApiError> {
    let id = ArtifactId(part(request, "artifact_id")?);
    Ok(emulator.model(|model, now| model.artifact(now, &repo.0, id))?)
}

/// An artifact as GitHub's description has it.
pub(super) fn shown(emulator: &Emulator, artifact: &Artifact) -> Value {
    let base_url = emulator.base_url();
    let url = format!(
        "{base_url}/repos/{}/actions/artifacts/{}",
        artifact.repo, artifact.id
    );
    let moment = |at| time::in_json(emulator.faults().shown(at)).to_string();
    json!({
        "id": artifact.id,
        "node_id": STANDARD.encode(format!("Artifact{}", artifact.id)),
        "name": &*artifact.name,
        "size_in_bytes": artifact.content.len(),
        "url": url,
        "archive_download_url": format!("{url}/zip"),
        "expired": artifact.is_expired(emulator.now()),
        "created_at": moment(artifact.created_at),
        "expires_at": moment(artifact.expires_at),
        "updated_at": moment(artifact.created_at),
        "digest": &*artifact.digest,
    })
}

async fn delete(
    emulator: Data<Emulator>,
    repo: Repo,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let id = ArtifactId(part(&request, "artifact_id")?);
    emulator.model(|model, now| model.delete_artifact(now, &repo.0, id))?;
    Ok(HttpResponse::NoContent().finish())
}

async fn download(
    emulator: Data<Emulator>,
    repo: Repo,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let artifact = find(&emulator, &repo, &request)?;
    if artifact.is_expired(emulator.now()) {
        return Err(Refusal::ArtifactExpired.into());
    }
    let key = emulator.blob_key().expose();
    let address = format!(
        "{}/_blobs/{}.zip?key={key}",
        emulator.base_url(),
        artifact.id
    );
    Ok(HttpResponse::Found()
        .insert_header((LOCATION, address))
        .finish())
}

/// What permits a download.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Permission {
    key: String,
}

async fn blob(
    emulator: Data<Emulator>,
    permission: Query<Permission>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    if request.headers().contains_key(AUTHORIZATION) {
        return Err(ApiError::BlobWithCredentials);
    }
    if !emulator.blob_key().matches(&permission.key) {
        return Err(ApiError::NOT_FOUND);
    }
    let id = ArtifactId(part(&request, "artifact_id")?);
    let content = emulator.model(|model, now| model.artifact_content(now, id))?;
    Ok(HttpResponse::Ok()
        .content_type("application/zip")
        .body(content.to_vec()))
}

//! Artifacts of workflow runs.
//!
//! A download takes two steps, as at GitHub: the API redirects to a URL of the blob storage. The URL
//! contains the permission, and the blob storage rejects requests with credentials.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{AUTHORIZATION, LINK, LOCATION},
    web::{self, Data, Path, Query, ServiceConfig},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ApiError,
    paging::{ListQuery, link},
    runs::RunPath,
};
use crate::{
    Emulator,
    api::{extract::Repo, time},
    model::{Artifact, ArtifactId, ModelError},
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

/// The blob storage, which at GitHub is another host.
pub(super) fn blob_routes(config: &mut ServiceConfig) {
    config.route("/_blobs/{artifact_id}.zip", web::get().to(blob));
}

#[derive(Deserialize)]
struct ArtifactPath {
    artifact_id: ArtifactId,
}

async fn list(
    emulator: Data<Emulator>,
    repo: Repo,
    path: Path<RunPath>,
    query: Query<ListQuery>,
    request: HttpRequest,
) -> HttpResponse {
    let (name, direction) = (query.name.as_deref(), query.direction());
    let page = emulator.model(|model, now| {
        model.artifacts(now, &repo.0, path.run_id, name, direction, query.page())
    });
    let mut response = HttpResponse::Ok();
    if let Some(link) = link(emulator.base_url(), &request, &page) {
        response.insert_header((LINK, link));
    }
    let artifacts: Vec<Value> = page
        .items
        .iter()
        .map(|artifact| artifact_json(&emulator, artifact))
        .collect();
    response.json(json!({ "total_count": page.total_count, "artifacts": artifacts }))
}

async fn show(
    emulator: Data<Emulator>,
    repo: Repo,
    path: Path<ArtifactPath>,
) -> Result<HttpResponse, ApiError> {
    let artifact = emulator.model(|model, now| model.artifact(now, &repo.0, path.artifact_id))?;
    Ok(HttpResponse::Ok().json(artifact_json(&emulator, &artifact)))
}

/// An artifact in the format of GitHub's API description.
pub(in crate::api) fn artifact_json(emulator: &Emulator, artifact: &Artifact) -> Value {
    let base_url = emulator.base_url();
    let url = format!(
        "{base_url}/repos/{}/actions/artifacts/{}",
        artifact.repo, artifact.id
    );
    let moment = |at| time::format_json(emulator.faults().with_clock_skew(at)).to_string();
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
    path: Path<ArtifactPath>,
) -> Result<HttpResponse, ApiError> {
    emulator.model(|model, now| model.delete_artifact(now, &repo.0, path.artifact_id))?;
    Ok(HttpResponse::NoContent().finish())
}

async fn download(
    emulator: Data<Emulator>,
    repo: Repo,
    path: Path<ArtifactPath>,
) -> Result<HttpResponse, ApiError> {
    let artifact = emulator.model(|model, now| model.artifact(now, &repo.0, path.artifact_id))?;
    if artifact.is_expired(emulator.now()) {
        return Err(ModelError::ArtifactExpired.into());
    }
    let key = emulator.blob_key().expose();
    let url = format!(
        "{}/_blobs/{}.zip?key={key}",
        emulator.base_url(),
        artifact.id
    );
    Ok(HttpResponse::Found()
        .insert_header((LOCATION, url))
        .finish())
}

/// The permission to download an artifact.
#[derive(Default, Deserialize)]
#[serde(default)]
struct BlobQuery {
    key: String,
}

async fn blob(
    emulator: Data<Emulator>,
    path: Path<ArtifactPath>,
    query: Query<BlobQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    if request.headers().contains_key(AUTHORIZATION) {
        return Err(ApiError::BlobWithCredentials);
    }
    if !emulator.blob_key().matches(&query.key) {
        return Err(ApiError::NOT_FOUND);
    }
    let content = emulator.model(|model, now| model.artifact_content(now, path.artifact_id))?;
    Ok(HttpResponse::Ok()
        .content_type("application/zip")
        .body(content.to_vec()))
}

//! `/_emulator/faults`: fault rules.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Emulator,
    api::ApiError,
    faults::{FaultId, FaultRule},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/faults")
                .route(web::post().to(add))
                .route(web::get().to(list))
                .route(web::delete().to(clear_all)),
        )
        .route("/faults/{fault_id}", web::delete().to(clear))
        .route("/faults/{fault_id}/release", web::post().to(release));
}

#[derive(Deserialize)]
struct FaultPath {
    fault_id: FaultId,
}

async fn add(emulator: Data<Emulator>, rule: Json<FaultRule>) -> Result<HttpResponse, ApiError> {
    let id = emulator.faults().add(rule.into_inner())?;
    Ok(HttpResponse::Created().json(json!({ "id": id })))
}

async fn list(emulator: Data<Emulator>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "faults": emulator.faults().all() }))
}

async fn clear_all(emulator: Data<Emulator>) -> HttpResponse {
    emulator.faults().clear_all();
    HttpResponse::NoContent().finish()
}

async fn clear(emulator: Data<Emulator>, path: Path<FaultPath>) -> Result<HttpResponse, ApiError> {
    no_content(emulator.faults().clear(path.fault_id))
}

async fn release(
    emulator: Data<Emulator>,
    path: Path<FaultPath>,
) -> Result<HttpResponse, ApiError> {
    no_content(emulator.faults().release(path.fault_id))
}

fn no_content(is_found: bool) -> Result<HttpResponse, ApiError> {
    if !is_found {
        return Err(ApiError::NOT_FOUND);
    }
    Ok(HttpResponse::NoContent().finish())
}

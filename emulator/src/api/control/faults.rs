//! `/_emulator/faults`: what goes wrong on purpose.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Json, ServiceConfig},
};
use serde_json::json;

use crate::{
    Emulator,
    api::{ApiError, request::part},
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

async fn clear(emulator: Data<Emulator>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let id = FaultId(part(&request, "fault_id")?);
    done(emulator.faults().clear(id))
}

async fn release(emulator: Data<Emulator>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let id = FaultId(part(&request, "fault_id")?);
    done(emulator.faults().release(id))
}

fn done(is_found: bool) -> Result<HttpResponse, ApiError> {
    if !is_found {
        return Err(ApiError::NOT_FOUND);
    }
    Ok(HttpResponse::NoContent().finish())
}

//! What a guest asks for when it boots: the credential of its runner, and what to do with it.
//!
//! Owns that only the guest itself gets them. It proves who it is by the secret that was put into
//! it when it was made; from where it asks means nothing.

use std::{net::IpAddr, path::Path};

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web::Data};
use shared::{
    auth::Bearer,
    error::{ApiError, Code},
    secret::Secret,
    values::ProfileKey,
};
use tokio::io::AsyncReadExt;

use super::{Desk, NOT_READY_RETRY_SECONDS, caller::address_of};
use crate::core::{Handing, Monitor};

/// The longest boot script, in bytes.
const SCRIPT_LENGTH_MAX: u64 = 1 << 20;

/// `GET /github-jitconfig`: the credential as a JSON string, once.
pub async fn github_jitconfig(
    desk: Data<Desk>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let guest_secret = guest_secret(&request)?;
    let caller = Caller(address_of(&request, &desk.trusted_proxies));
    // Strangers may only look: a change would have the driver plan anew for each of them.
    let is_stranger = |core: &Monitor| core.credentials.guest_with(guest_secret.expose()).is_none();
    let handing = match desk.pool.read(is_stranger) {
        true => Handing::Stranger,
        false => desk
            .pool
            .change(|core, _| core.credentials.hand(guest_secret.expose())),
    };
    match handing {
        Handing::Now(id, jit_config) => {
            log::info!("runner {id} has fetched its credential, from {caller}");
            Ok(HttpResponse::Ok().json(jit_config.expose()))
        }
        Handing::NotYet(id) => Err(ApiError::new(
            Code::NotReady,
            format!("runner {id} is still being registered; ask again"),
        )
        .retry_after(NOT_READY_RETRY_SECONDS)),
        Handing::Again(id) => {
            log::warn!("somebody at {caller} asks for the credential of runner {id} a second time");
            Err(ApiError::new(
                Code::NotYours,
                "this credential has been handed out, and never is a second time",
            ))
        }
        Handing::Stranger => {
            log::debug!("somebody at {caller} who is no guest asks for a credential");
            Err(not_a_guest())
        }
    }
}

/// `GET /boot`: the boot script of the guest's profile.
pub async fn boot(desk: Data<Desk>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let guest_secret = guest_secret(&request)?;
    let profile_key = desk
        .pool
        .read(|core| core.profile_of_guest(guest_secret.expose()));
    let profile_key = profile_key.ok_or_else(not_a_guest)?;
    let script = match &desk.lib_monitor_dir {
        Some(lib_monitor_dir) => read_script(lib_monitor_dir, &profile_key).await,
        None => None,
    };
    let script = script.ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            format!("profile {profile_key} has no boot-script"),
        )
    })?;
    Ok(HttpResponse::Ok()
        .insert_header(ContentType::plaintext())
        .body(script))
}

/// The script of a profile, if it has one that can be read. What the disk said is in the log.
async fn read_script(lib_monitor_dir: &Path, profile_key: &ProfileKey) -> Option<Vec<u8>> {
    let path = lib_monitor_dir
        .join("profiles")
        .join(profile_key.as_str())
        .join("boot-script");
    let read = async {
        let mut script = Vec::new();
        let file = tokio::fs::File::open(&path).await?;
        file.take(SCRIPT_LENGTH_MAX + 1)
            .read_to_end(&mut script)
            .await?;
        Ok::<_, std::io::Error>(script)
    };
    match read.await {
        Ok(script) if script.len() as u64 <= SCRIPT_LENGTH_MAX => Some(script),
        Ok(_) => {
            log::error!(
                "failed to read {}: longer than {SCRIPT_LENGTH_MAX} bytes",
                path.display()
            );
            None
        }
        Err(error) => {
            log::debug!("failed to read {}: {error}", path.display());
            None
        }
    }
}

fn guest_secret(request: &HttpRequest) -> Result<Secret, ApiError> {
    match Bearer::of(request) {
        Bearer::Token(guest_secret) => Ok(guest_secret),
        Bearer::Missing => Err(ApiError::new(
            Code::Unauthorised,
            "this call is for guests, and needs the header `Authorization: Bearer <CI_RUNNERS_GUEST_SECRET>`",
        )),
        Bearer::Garbled => Err(not_a_guest()),
    }
}

fn not_a_guest() -> ApiError {
    ApiError::new(
        Code::NotYours,
        "that is not the secret of a guest of this server",
    )
}

/// An address, for the log.
struct Caller(Option<IpAddr>);

impl std::fmt::Display for Caller {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(address) => address.fmt(formatter),
            None => formatter.write_str("an unknown address"),
        }
    }
}

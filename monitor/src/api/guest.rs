//! What a guest asks for when it boots: the credential of its runner, and what to do with it.
//!
//! Owns that a credential is handed once. That only its own guest asks is owned by `caller`.

use std::path::Path;

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web::Data};
use daemon::error::{ApiError, Code};
use shared::values::ProfileKey;
use tokio::io::AsyncReadExt;

use super::{
    Desk, NOT_READY_RETRY_SECONDS,
    caller::{Caller, Whose, guest_of},
};
use monitor_core::{CredentialHandover, RunnerId};

/// The longest boot script, in bytes.
const SCRIPT_LENGTH_MAX: u64 = 1 << 20;

/// `GET /github-jitconfig`: the credential as a JSON string, once.
pub async fn github_jitconfig(
    desk: Data<Desk>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    // Strangers come no further: a change would have the driver plan anew for each of them.
    let Caller { whose, address } = guest_of(&desk, &request).await?;
    let Whose::Runner(id) = whose else {
        return Err(ApiError::new(
            Code::NotYours,
            "a guest that builds an image has no credential",
        ));
    };
    match desk
        .pool
        .change(|core, _| core.credentials.hand_over_to(id))
    {
        CredentialHandover::Granted(id, jit_config) => {
            log::info!("runner {id} has fetched its credential, from {address}");
            Ok(HttpResponse::Ok().json(jit_config.expose()))
        }
        CredentialHandover::NotYet(id) => Err(ApiError::new(
            Code::NotReady,
            format!("runner {id} is still being registered; ask again"),
        )
        .retry_after(NOT_READY_RETRY_SECONDS)),
        CredentialHandover::AlreadyHandedOver(id) => {
            log::error!("alarm: {address} asks for the credential of runner {id} a second time");
            Err(ApiError::new(
                Code::NotYours,
                "this credential has been handed out, and never is a second time",
            ))
        }
        CredentialHandover::Unknown => Err(gone(id)),
    }
}

/// `GET /boot`: what the guest is to run. For a runner the `boot-script` of its profile, for a guest
/// that builds an image the `build-script`.
pub async fn boot(desk: Data<Desk>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (profile_key, file_name) = match guest_of(&desk, &request).await?.whose {
        Whose::Runner(id) => {
            let profile_key = desk.pool.read(|core| core.profile_of(id));
            (profile_key.ok_or_else(|| gone(id))?, "boot-script")
        }
        Whose::Builder(profile_key) => (profile_key, "build-script"),
    };
    let script = match &desk.lib_monitor_dir {
        Some(lib_monitor_dir) => read_script(lib_monitor_dir, &profile_key, file_name).await,
        None => None,
    };
    let script = script.ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            format!("profile {profile_key} has no {file_name}"),
        )
    })?;
    Ok(HttpResponse::Ok()
        .insert_header(ContentType::plaintext())
        .body(script))
}

/// The script of a profile, if it has one that can be read. What the disk said is in the log.
async fn read_script(
    lib_monitor_dir: &Path,
    profile_key: &ProfileKey,
    file_name: &str,
) -> Option<Vec<u8>> {
    let path = lib_monitor_dir
        .join("profiles")
        .join(profile_key.as_str())
        .join(file_name);
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

/// It was there a moment ago.
fn gone(id: RunnerId) -> ApiError {
    ApiError::new(Code::NotYours, format!("runner {id} is being destroyed"))
}

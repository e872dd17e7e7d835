//! What a guest fetches when it boots: the credential of its runner, and its script.
//!
//! Guarantees that a credential is handed over once. `guest_auth` guarantees that only the runner's own
//! guest gets it.

use std::path::Path;

use actix_web::{HttpResponse, http::header::ContentType, web::Data};
use daemon::{
    error::{ApiError, Code},
    repeated,
};
use shared::values::ProfileKey;
use tokio::io::AsyncReadExt;

use super::{
    AppState,
    guest_auth::{AuthenticatedGuest, GuestPurpose},
    state::NOT_READY_RETRY_SECONDS,
};
use monitor_core::{CredentialHandover, RunnerId};

/// Maximum size of a script, in bytes.
const SCRIPT_LENGTH_MAX: u64 = 1 << 20;

/// `GET /github-jitconfig`: the credential as a JSON string, once.
pub async fn github_jitconfig(
    guest: AuthenticatedGuest,
    state: Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let AuthenticatedGuest { purpose, address } = guest;
    let GuestPurpose::Runner(id) = purpose else {
        return Err(ApiError::new(
            Code::NotYours,
            "a guest that builds an image has no credential",
        ));
    };
    match state.core.change(|core, _| core.hand_over_credential(id)) {
        CredentialHandover::Granted(_, jit_config) => {
            Ok(HttpResponse::Ok().json(jit_config.expose()))
        }
        CredentialHandover::NotYet(id) => Err(ApiError::new(
            Code::NotReady,
            format!("runner {id} is still being registered; ask again"),
        )
        .retry_after(NOT_READY_RETRY_SECONDS)),
        CredentialHandover::AlreadyHandedOver(id) => {
            repeated::count_alarm("credential_requested_again", || {
                format!(
                    "alarm: rejected a second request for the credential of runner {id}, from \
                     {address}; the guest's secret may be stolen"
                )
            });
            Err(ApiError::new(
                Code::NotYours,
                "this credential was handed over already, which happens only once",
            ))
        }
        CredentialHandover::Unknown => Err(gone(id)),
    }
}

/// `GET /boot`: the script that the guest runs. For a runner the `boot-script` of its profile, for a
/// guest that builds an image the `build-script`, or the `boot-script` if there is only that one.
pub async fn boot(
    guest: AuthenticatedGuest,
    state: Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let (profile_key, file_names) = match guest.purpose {
        GuestPurpose::Runner(id) => {
            let profile_key = state.core.read(|core| core.profile_of(id));
            (profile_key.ok_or_else(|| gone(id))?, &["boot-script"][..])
        }
        GuestPurpose::Builder(profile_key) => (profile_key, &["build-script", "boot-script"][..]),
    };
    let mut script = None;
    if let Some(lib_monitor_dir) = &state.lib_monitor_dir {
        for file_name in file_names {
            if script.is_none() {
                script = read_script(lib_monitor_dir, &profile_key, file_name).await;
            }
        }
    }
    let script = script.ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            format!("profile {profile_key} has no {}", file_names.join(" or ")),
        )
    })?;
    Ok(HttpResponse::Ok()
        .insert_header(ContentType::plaintext())
        .body(script))
}

/// The script of a profile, if it has one that is readable. Errors are logged.
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
            repeated::count_alarm("script_too_long", || {
                let path = path.display();
                format!("failed to read {path}: it is longer than {SCRIPT_LENGTH_MAX} bytes")
            });
            None
        }
        Err(error) => {
            log::debug!("failed to read {}: {error}", path.display());
            None
        }
    }
}

/// The guest was authenticated, but its runner is gone since.
fn gone(id: RunnerId) -> ApiError {
    ApiError::new(Code::NotYours, format!("runner {id} is being destroyed"))
}

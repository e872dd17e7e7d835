//! Guest authentication: which guest has sent a request.
//!
//! Responsible for what a guest's profile requires: its secret, the address that the host has assigned to it, or both.

use std::{fmt, net::IpAddr};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Data};
use daemon::{
    auth::Bearer,
    error::{ApiError, Code},
    repeated,
    web::{ClientAddress, is_cross_site, mark_authenticated},
};
use futures_util::{FutureExt, future::LocalBoxFuture};
use shared::{secret::Secret, values::ProfileKey};

use super::{AppState, state::NOT_READY_RETRY_SECONDS};
use crate::hypervisor::Located;
use monitor_core::{Candidate, CandidatePurpose, GuestIdentity, RunnerId};

/// Extracts the guest that has sent a request. A handler that takes one is closed to other clients.
pub struct AuthenticatedGuest {
    pub purpose: GuestPurpose,
    pub address: ClientAddress,
}

/// Extracts whether a request is from a guest, with less than [`AuthenticatedGuest`] requires: an address
/// that the host has assigned to a guest suffices.
pub struct AnyGuest;

/// What a guest was created for.
#[derive(Clone, Debug)]
pub enum GuestPurpose {
    Runner(RunnerId),
    /// Builds the image of this profile.
    Builder(ProfileKey),
}

impl fmt::Display for GuestPurpose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runner(id) => write!(formatter, "runner {id}"),
            Self::Builder(profile_key) => write!(formatter, "the rebuild of {profile_key}"),
        }
    }
}

impl FromRequest for AuthenticatedGuest {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            // A page in a browser of the guest must not use up the guest's credential.
            if is_cross_site(request.headers()) {
                return Err(ApiError::new(
                    Code::CrossSite,
                    "a page of another site has caused this request, which is for programs of the guest",
                ));
            }
            let guest = authenticate(state_of(&request), &request).await?;
            mark_authenticated(&request);
            Ok(guest)
        }
        .boxed_local()
    }
}

impl FromRequest for AnyGuest {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            let state = state_of(&request);
            let address = ClientAddress::of(&request);
            let is_guest = |address: IpAddr| state.core.read(|core| core.has_guest_at(address));
            if !address.0.is_some_and(is_guest) {
                authenticate(state, &request).await?;
            }
            mark_authenticated(&request);
            Ok(Self)
        }
        .boxed_local()
    }
}

fn state_of(request: &HttpRequest) -> &AppState {
    let state = request.app_data::<Data<AppState>>();
    state.expect("`routes` registers the state")
}

/// # Errors
/// 401 or 403 for clients that are no guest, 503 if the guest's address is not known yet.
async fn authenticate(
    state: &AppState,
    request: &HttpRequest,
) -> Result<AuthenticatedGuest, ApiError> {
    let guest_secret = match Bearer::of(request) {
        Bearer::Token(guest_secret) => Some(guest_secret),
        Bearer::Missing => None,
        Bearer::Garbled => return Err(not_a_guest()),
    };
    let address = ClientAddress::of(request);
    let identity = state
        .core
        .read(|core| core.identify_guest(guest_secret.as_ref().map(Secret::expose)));
    let (purpose, guest_name) = match identity {
        GuestIdentity::Guest(id) => {
            let purpose = GuestPurpose::Runner(id);
            return Ok(AuthenticatedGuest { purpose, address });
        }
        GuestIdentity::GuestIfAt { id, guest_name } => (GuestPurpose::Runner(id), guest_name),
        GuestIdentity::BuilderIfAt {
            profile_key,
            guest_name,
        } => (GuestPurpose::Builder(profile_key), guest_name),
        GuestIdentity::OneOf(candidates) => {
            return authenticate_by_address(state, candidates, address).await;
        }
        GuestIdentity::Unknown => {
            log::debug!("rejected guest request from {address}: not a known guest");
            return Err(match guest_secret {
                Some(_) => not_a_guest(),
                None => no_secret(),
            });
        }
    };
    let located = match address.0 {
        Some(from) => state.hypervisor.locate(&[guest_name], from).await,
        None => Located::Unknown,
    };
    match located {
        Located::At(_) => Ok(AuthenticatedGuest { purpose, address }),
        Located::Elsewhere(assigned) => {
            repeated::count_alarm("guest_secret_from_elsewhere", || {
                let assigned: Vec<_> = assigned.iter().map(ToString::to_string).collect();
                format!(
                    "alarm: rejected guest request from {address}: it has the secret of the guest of \
                     {purpose}, whose address is {}; the secret may be stolen",
                    assigned.join(" or ")
                )
            });
            Err(not_a_guest())
        }
        Located::Unknown => Err(address_unknown()),
    }
}

/// Finds the guest that has sent a request without a secret.
async fn authenticate_by_address(
    state: &AppState,
    candidates: Vec<Candidate>,
    address: ClientAddress,
) -> Result<AuthenticatedGuest, ApiError> {
    let names: Vec<_> = candidates.iter().map(|it| it.guest_name.clone()).collect();
    let located = match address.0 {
        Some(from) => state.hypervisor.locate(&names, from).await,
        None => Located::Unknown,
    };
    match located {
        Located::At(name) => {
            let found = candidates.into_iter().find(|it| it.guest_name == name);
            let purpose = found.map(|candidate| match candidate.purpose {
                CandidatePurpose::Runner(id) => GuestPurpose::Runner(id),
                CandidatePurpose::Builder(profile_key) => GuestPurpose::Builder(profile_key),
            });
            let purpose = purpose.ok_or_else(no_secret)?;
            Ok(AuthenticatedGuest { purpose, address })
        }
        Located::Elsewhere(_) => {
            log::debug!("rejected guest request from {address}: not the address of a guest");
            Err(no_secret())
        }
        Located::Unknown => Err(address_unknown()),
    }
}

fn no_secret() -> ApiError {
    ApiError::new(
        Code::Unauthorised,
        "this path is for guests and needs the header `Authorization: Bearer <secret of the guest>`",
    )
}

fn not_a_guest() -> ApiError {
    ApiError::new(
        Code::NotYours,
        "that is not the secret of a guest of this server, or not sent from the address of that guest",
    )
}

fn address_unknown() -> ApiError {
    ApiError::new(
        Code::NotReady,
        "the address of the guest is not known yet; ask again",
    )
    .retry_after(NOT_READY_RETRY_SECONDS)
}

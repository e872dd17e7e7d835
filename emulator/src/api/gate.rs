//! The first thing a request meets: the log, and the faults. The control side is above both.

mod broken_body;

use actix_web::{
    Error, HttpResponse,
    body::{self, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{DATE, HeaderName, HeaderValue},
    },
    middleware::Next,
};

use super::{access::emulator_of, socket::Socket, time};
use crate::faults::{Fault, Strike};
use broken_body::{BrokenBody, Ending};

/// Wraps the whole app.
pub(crate) async fn gate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.path().starts_with("/_emulator/") {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let emulator = emulator_of(&request);
    let method = request.method().as_str();
    let number = logged_path(&request).map(|path| emulator.requests().arrived(method, path));
    let strike = emulator.faults().strike(method, request.path());
    let socket = Socket::of(&request);

    let (mut response, is_lost) = match strike {
        None => (next.call(request).await?.map_into_boxed_body(), false),
        Some(strike) => struck(request, next, strike).await?,
    };
    if let (true, Some(socket)) = (is_lost, socket) {
        // The response goes on to a connection that is closed by now.
        socket.cut();
        return Ok(response);
    }
    if !response.headers().contains_key(DATE) {
        let shown = time::in_header(emulator.faults().shown(emulator.now()));
        let value = HeaderValue::try_from(shown.to_string()).expect("a date can be a header");
        response.headers_mut().insert(DATE, value);
    }
    if let Some(number) = number {
        let status = response.status().as_u16();
        emulator.requests().answered(number, status);
    }
    Ok(response)
}

/// What the log says of a request: nothing of the runners', and of a download's address not the
/// part that permits it.
fn logged_path(request: &ServiceRequest) -> Option<&str> {
    let uri = request.uri();
    match request.path() {
        path if path.starts_with("/_runner/") => None,
        path if path.starts_with("/_blobs/") => Some(path),
        path => Some(uri.path_and_query().map_or(path, |whole| whole.as_str())),
    }
}

/// Does what the fault says. The answer is lost if the second value is true.
async fn struck(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    strike: Strike,
) -> Result<(ServiceResponse<BoxBody>, bool), Error> {
    let Strike { fault, release } = strike;
    let socket = Socket::of(&request);
    let pass = async |request| Ok::<_, Error>(next.call(request).await?.map_into_boxed_body());
    let response = match fault {
        Fault::Answer {
            status,
            headers,
            body,
        } => request.into_response(answer(status, &headers, body)),
        Fault::DropRequest => {
            let nobody_reads_this = HttpResponse::InternalServerError().finish();
            return Ok((request.into_response(nobody_reads_this), true));
        }
        Fault::HoldRequest => {
            release.wait().await;
            pass(request).await?
        }
        Fault::HoldAnswer => {
            let response = pass(request).await?;
            release.wait().await;
            response
        }
        Fault::DropAnswer => return Ok((pass(request).await?, true)),
        Fault::ThenVanish { name } => {
            let emulator = emulator_of(&request);
            let response = pass(request).await?;
            emulator.model(|model, now| model.vanish(now, &name));
            response
        }
        Fault::TruncateBody { keep } => {
            broken(pass(request).await?, keep, Ending::Cut(socket)).await?
        }
        Fault::StallBody { keep } => broken(pass(request).await?, keep, Ending::Stall).await?,
    };
    Ok((response, false))
}

fn answer(status: u16, headers: &[(String, String)], body: String) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("the rule was checked when it was added");
    let mut response = HttpResponse::build(status);
    for (name, value) in headers {
        let name = HeaderName::try_from(name).expect("the rule was checked when it was added");
        response.append_header((name, value.as_str()));
    }
    response.body(body)
}

/// The same response, whose body announces its whole length and then does not keep to it.
async fn broken(
    response: ServiceResponse<BoxBody>,
    keep: usize,
    ending: Ending,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let body = body::to_bytes(body).await.map_err(Error::from)?;
    let body = BrokenBody::new(body, keep, ending).boxed();
    Ok(ServiceResponse::new(request, response.set_body(body)))
}

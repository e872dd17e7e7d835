//! The outermost middleware: logs requests and injects faults. Control requests bypass it.

mod broken_body;
mod edited;
mod socket;

use actix_web::{
    Error, HttpResponse,
    body::{self, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{DATE, HeaderName, HeaderValue, IF_NONE_MATCH},
    },
    middleware::Next,
};

use super::{emulator_of, time};
use crate::faults::{Fault, Injection};
use broken_body::{BrokenBody, Ending};
use edited::{with_edited_json, with_headers};
pub(crate) use socket::Socket;

/// Wraps the whole app.
pub(crate) async fn fault_middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.path().starts_with("/_emulator/") {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let emulator = emulator_of(&request);
    let method = request.method().as_str();
    let number = logged_path(&request).map(|path| emulator.requests().record_request(method, path));
    let injection = emulator.faults().next_injection(method, request.path());
    let socket = Socket::of(&request);

    let (mut response, is_lost) = match injection {
        None => (next.call(request).await?.map_into_boxed_body(), false),
        Some(injection) => inject(request, next, injection).await?,
    };
    if let (true, Some(socket)) = (is_lost, socket) {
        // Actix sends the response, but the connection is closed by then.
        socket.close();
        return Ok(response);
    }
    if !response.headers().contains_key(DATE) {
        let date = time::format_header(emulator.faults().with_clock_skew(emulator.now()));
        let value = HeaderValue::try_from(date.to_string()).expect("a date is a valid header");
        response.headers_mut().insert(DATE, value);
    }
    if let Some(number) = number {
        let status = response.status().as_u16();
        emulator.requests().record_response(number, status);
    }
    Ok(response)
}

/// The path for the log; none for the requests of runner agents. The query of a download URL is
/// left out, because it has a secret.
fn logged_path(request: &ServiceRequest) -> Option<&str> {
    let uri = request.uri();
    match request.path() {
        path if path.starts_with("/_runner/") => None,
        path if path.starts_with("/_blobs/") => Some(path),
        path => Some(uri.path_and_query().map_or(path, |whole| whole.as_str())),
    }
}

/// Handles a request with a fault. The response must not be sent if the second value is true.
async fn inject(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    injection: Injection,
) -> Result<(ServiceResponse<BoxBody>, bool), Error> {
    let Injection { fault, release } = injection;
    let socket = Socket::of(&request);
    let handle = async |request| Ok::<_, Error>(next.call(request).await?.map_into_boxed_body());
    let response = match fault {
        Fault::Answer {
            status,
            headers,
            body,
        } => request.into_response(response_of(status, &headers, body)),
        Fault::DropRequest => {
            let unsent = HttpResponse::InternalServerError().finish();
            return Ok((request.into_response(unsent), true));
        }
        Fault::HoldRequest => {
            release.wait().await;
            handle(request).await?
        }
        Fault::HoldAnswer => {
            let response = handle(request).await?;
            release.wait().await;
            response
        }
        Fault::DropAnswer => return Ok((handle(request).await?, true)),
        Fault::EditJson { edits } => {
            // A 304 would confirm the copy that the client has of the true response.
            request.headers_mut().remove(IF_NONE_MATCH);
            with_edited_json(handle(request).await?, &edits).await?
        }
        Fault::SetHeaders { headers } => with_headers(handle(request).await?, &headers),
        Fault::ThenVanish { name } => {
            let emulator = emulator_of(&request);
            let response = handle(request).await?;
            emulator.model(|model, now| model.vanish(now, &name));
            response
        }
        Fault::TruncateBody { keep } => {
            truncate(handle(request).await?, keep, Ending::Close(socket)).await?
        }
        Fault::StallBody { keep } => truncate(handle(request).await?, keep, Ending::Stall).await?,
    };
    Ok((response, false))
}

fn response_of(status: u16, headers: &[(String, String)], body: String) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("the rule was checked when it was added");
    let mut response = HttpResponse::build(status);
    for (name, value) in headers {
        let name = HeaderName::try_from(name).expect("the rule was checked when it was added");
        response.append_header((name, value.as_str()));
    }
    response.body(body)
}

/// The same response with a body that ends early.
async fn truncate(
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

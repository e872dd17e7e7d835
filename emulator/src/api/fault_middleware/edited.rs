//! Responses that are changed on their way: values in the JSON, and headers.

use actix_web::{
    Error,
    body::{self, BoxBody, MessageBody},
    dev::ServiceResponse,
    http::header::{ETAG, HeaderName, HeaderValue},
};
use serde_json::Value;

use crate::faults::Edit;

/// The response with a changed body, if it is JSON. It has no ETag.
pub(super) async fn with_edited_json(
    response: ServiceResponse<BoxBody>,
    edits: &[Edit],
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (request, response) = response.into_parts();
    let (mut response, body) = response.into_parts();
    let body = body::to_bytes(body).await.map_err(Error::from)?;
    let edited = serde_json::from_slice(&body).map(|mut json: Value| {
        for edit in edits {
            apply(&mut json, edit);
        }
        json.to_string()
    });
    response.headers_mut().remove(ETAG);
    let body = match edited {
        Ok(edited) => edited.boxed(),
        Err(_) => body.boxed(),
    };
    Ok(ServiceResponse::new(request, response.set_body(body)))
}

/// Applies one edit. One whose place does not exist has no effect.
fn apply(json: &mut Value, Edit { pointer, value }: &Edit) {
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        return;
    };
    match json.pointer_mut(parent) {
        Some(Value::Array(items)) if key == "-" => items.push(value.clone()),
        Some(Value::Array(items)) => {
            let item = key
                .parse()
                .ok()
                .and_then(|index: usize| items.get_mut(index));
            if let Some(item) = item {
                *item = value.clone();
            }
        }
        Some(Value::Object(keys)) => {
            keys.insert(key.to_owned(), value.clone());
        }
        _ => {}
    }
}

/// The response with headers that replace those of the same name.
pub(super) fn with_headers(
    mut response: ServiceResponse<BoxBody>,
    headers: &[(String, String)],
) -> ServiceResponse<BoxBody> {
    for (name, value) in headers {
        let name = HeaderName::try_from(name).expect("the rule was checked when it was added");
        let value = HeaderValue::try_from(value).expect("the rule was checked when it was added");
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_edit_replaces_inserts_or_appends_a_value() {
        for (pointer, expected) in [
            ("/list/0/a", json!({"list": [{"a": null}, 2]})),
            ("/list/1", json!({"list": [{"a": 1}, null]})),
            ("/list/0/b", json!({"list": [{"a": 1, "b": null}, 2]})),
            ("/list/-", json!({"list": [{"a": 1}, 2, null]})),
            ("/list", json!({"list": null})),
            ("/list/7", json!({"list": [{"a": 1}, 2]})),
            ("/none/0", json!({"list": [{"a": 1}, 2]})),
            ("", json!({"list": [{"a": 1}, 2]})),
        ] {
            let mut json = json!({"list": [{"a": 1}, 2]});
            let edit = Edit {
                pointer: pointer.into(),
                value: Value::Null,
            };
            apply(&mut json, &edit);
            assert_eq!(json, expected, "{pointer}");
        }
    }
}

//! Typed extractors for handlers: what a request contains, parsed, or a JSON error.
//!
//! Responsible for reading path, query and headers. Not responsible for the form of the values,
//! which is theirs (`shared::values`), nor for authentication (`auth`).

use std::{
    convert::Infallible,
    fmt::Display,
    future::{Ready, ready},
    str::FromStr,
    time::Duration,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, error::QueryPayloadError, web};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use super::preferred_wait;
use crate::error::{ApiError, Code};
use shared::{
    operator::Note,
    values::{Count, InvalidValue, ProfileKey, UniqueId},
};

/// A value that can stand in a path.
pub trait PathParameter: FromStr<Err = InvalidValue> {
    /// Its name in the path of the route, as in `/take/{unique_id}`.
    const NAME: &'static str;
}

impl PathParameter for UniqueId {
    const NAME: &'static str = "unique_id";
}

impl PathParameter for ProfileKey {
    const NAME: &'static str = "profile_key";
}

impl PathParameter for Count {
    const NAME: &'static str = "count";
}

/// Extracts the segment of the path that is named after `T`. A handler with several parameters
/// takes one `Path` for each.
///
/// Any other form than that of `T` is answered with 400 `bad_request`, naming the parameter.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

impl<T: PathParameter> FromRequest for Path<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(segment(request, T::NAME).map(Self))
    }
}

/// One segment of the path, decoded and parsed.
///
/// # Errors
/// 400 `bad_request` naming the field.
pub fn segment<T: FromStr<Err = InvalidValue>>(
    request: &HttpRequest,
    name: &str,
) -> Result<T, ApiError> {
    let raw = request.match_info().get(name).unwrap_or_default();
    // actix leaves some escapes (such as %2F) in the matched text. Decoding them is safe: the
    // result is only compared with the form of a value. Bytes that are not UTF-8 become a
    // character that no value may contain.
    let decoded = percent_decode_str(raw).decode_utf8_lossy();
    Ok(decoded.parse::<T>()?)
}

/// Extracts the parameters of the query string. Unknown parameters are ignored, as clients and queues of other
/// releases may send them, unless `T` has `#[serde(deny_unknown_fields)]`: what people write by hand.
///
/// A parameter that is missing, repeated or of another form than its value is answered with 400
/// `bad_request`, naming the parameter. Fields whose values are types of `shared::values` use
/// [`from_text`] and [`from_optional_text`], which accept exactly what their `FromStr` accepts.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(query(request).map(Self))
    }
}

/// The query string as `T`.
///
/// # Errors
/// As for [`Query`].
pub fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, ApiError> {
    let parsed = web::Query::<T>::from_query(request.query_string());
    parsed.map(web::Query::into_inner).map_err(|error| {
        let cause = match error {
            QueryPayloadError::Deserialize(error) => error.to_string(),
            _ => "it cannot be read".to_owned(),
        };
        // The cause names the field ("missing field `run_id`") and may repeat a value of any
        // length.
        let cause: String = cause.chars().take(200).collect();
        ApiError::new(Code::BadRequest, format!("invalid query string: {cause}"))
    })
}

/// For `#[serde(deserialize_with = "…")]`: parses a text with `FromStr`.
///
/// # Errors
/// When the text is not of the form of `T`.
pub fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// Like [`from_text`], for a parameter that may be missing; the field also needs
/// `#[serde(default)]`.
///
/// # Errors
/// When there is a text, and it is not of the form of `T`.
pub fn from_optional_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    from_text(deserializer).map(Some)
}

/// For the parameter `labels_from_response`, which is `true` or `false`; the field also needs
/// `#[serde(default)]`.
///
/// # Errors
/// When there is another text.
pub fn labels_from_response<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match &*String::deserialize(deserializer)? {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(serde::de::Error::custom(
            "labels_from_response must be true or false",
        )),
    }
}

/// Extracts how long the client asks to be held, at most
/// [`HOLD_SECONDS_MAX`](super::HOLD_SECONDS_MAX); none if it does not ask.
#[derive(Clone, Copy, Debug)]
pub struct PreferredWait(pub Option<Duration>);

impl FromRequest for PreferredWait {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(preferred_wait(request.headers()))))
    }
}

/// The parameters of a request for something that lasts until an operator ends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteParameters {
    /// The reason, which every reader of a dashboard sees.
    #[serde(default, deserialize_with = "from_text")]
    pub note: Note,
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App,
        test::{TestRequest, call_and_read_body, call_service, init_service, read_body},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::web::route;
    use shared::values::RunId;

    async fn several(
        Path(profile_key): Path<ProfileKey>,
        Path(count): Path<Count>,
        PreferredWait(wait): PreferredWait,
    ) -> String {
        format!("{count} of {profile_key}, wait {wait:?}")
    }

    #[actix_web::test]
    async fn segments_are_found_by_their_names() {
        let path = "/profile/{profile_key}/take/{count}";
        let app = init_service(App::new().service(route(path).get(several))).await;
        let request = TestRequest::with_uri("/profile/linux/take/3");
        let request = request.insert_header(("prefer", "wait=5")).to_request();
        let body = call_and_read_body(&app, request).await;
        assert_eq!(body, "3 of linux, wait Some(5s)");
        for (path, message) in [
            (
                "/profile/linux/take/0",
                "count must be a decimal number from 1 to 64",
            ),
            (
                "/profile/a%20b/take/1",
                "profile_key must be 1 to 64 characters of A-Z a-z 0-9 . _ -, and neither . nor ..",
            ),
        ] {
            let response = call_service(&app, TestRequest::with_uri(path).to_request()).await;
            assert_eq!(response.status(), 400, "{path}");
            let body: Value = serde_json::from_slice(&read_body(response).await).unwrap();
            assert_eq!(body, json!({"code": "bad_request", "message": message}));
        }
    }

    #[actix_web::test]
    async fn a_segment_cannot_smuggle_a_path() {
        async fn echo(Path(profile_key): Path<ProfileKey>) -> String {
            profile_key.to_string()
        }
        let app = init_service(App::new().service(route("/profile/{profile_key}").get(echo))).await;
        for (path, status) in [
            ("/profile/linux", 200),
            ("/profile/li%6Eux", 200),
            ("/profile/..%2f", 400),
            ("/profile/..%2Fetc", 400),
            ("/profile/%2e%2e", 400),
            ("/profile/%252e", 400),
            ("/profile/%ff", 400),
            ("/profile/%", 400),
        ] {
            let response = call_service(&app, TestRequest::get().uri(path).to_request()).await;
            assert_eq!(response.status(), status, "{path}");
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[serde(default, rename = "note")]
        _note: String,
        #[serde(default, rename = "force")]
        _force: bool,
    }

    #[test]
    fn an_unknown_parameter_is_named_beside_the_known_ones_if_it_is_refused() {
        let request = TestRequest::with_uri("/?notes=x").to_http_request();
        let error = query::<Strict>(&request).unwrap_err().to_string();
        let expected =
            "bad_request: invalid query string: unknown field `notes`, expected `note` or `force`";
        assert_eq!(error, expected);
    }

    #[derive(Debug, Deserialize)]
    struct Parameters {
        #[serde(deserialize_with = "from_text")]
        run_id: RunId,
        #[serde(default, deserialize_with = "from_optional_text")]
        count: Option<Count>,
    }

    fn parameters(query_string: &str) -> Result<(RunId, Option<Count>), String> {
        let uri = format!("/?{query_string}");
        let request = TestRequest::with_uri(&uri).to_http_request();
        let parsed = Query::<Parameters>::from_request(&request, &mut Payload::None).into_inner();
        let parsed = parsed.map(|Query(parameters)| (parameters.run_id, parameters.count));
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_are_parsed_as_their_values() {
        assert_eq!(parameters("run_id=7&other=x"), Ok((RunId(7), None)));
        assert_eq!(
            parameters("run_id=7&count=1"),
            Ok((RunId(7), Some(Count::ONE)))
        );
    }

    #[test]
    fn an_invalid_query_string_is_refused_with_the_name_of_the_parameter() {
        for (query_string, cause) in [
            ("", "missing field `run_id`"),
            ("run_id=1&run_id=1", "duplicate field `run_id`"),
            (
                "run_id=%2B1",
                "run_id must be a decimal number that fits 64 bits",
            ),
            (
                "run_id=1&count=",
                "count must be a decimal number from 1 to 64",
            ),
        ] {
            let expected = format!("bad_request: invalid query string: {cause}");
            assert_eq!(parameters(query_string), Err(expected), "{query_string}");
        }
    }
}

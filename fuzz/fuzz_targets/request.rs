//! Requests: query strings, headers and the values in them. What is taken has the form that is
//! promised, and reads the same when it is written again.

#![no_main]

use std::{fmt::Display, str::FromStr};

use actix_web::test::TestRequest;
use libfuzzer_sys::fuzz_target;
use daemon::{auth::Bearer, web::{accepts_json, preferred_wait, query}};
use shared::values::{FencingToken, Count, InvalidValue, ProfileKey, QualifiedRepo, RunId, UniqueId};

fn reads_as_written<T: FromStr<Err = InvalidValue> + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert!(value.to_string().parse::<T>().is_ok_and(|again| again == value), "{text}");
    }
}

fuzz_target!(|text: &str| {
    reads_as_written::<UniqueId>(text);
    reads_as_written::<ProfileKey>(text);
    reads_as_written::<QualifiedRepo>(text);
    reads_as_written::<RunId>(text);
    reads_as_written::<Count>(text);
    reads_as_written::<FencingToken>(text);
    let request = TestRequest::default();
    let request = match actix_web::http::header::HeaderValue::from_str(text) {
        Ok(value) => request
            .insert_header(("authorization", value.clone()))
            .insert_header(("prefer", value.clone()))
            .insert_header(("accept", value)),
        Err(_) => request,
    };
    let request = match format!("/take?{text}").parse::<actix_web::http::Uri>() {
        Ok(uri) => request.uri(&uri.to_string()).to_http_request(),
        Err(_) => request.to_http_request(),
    };
    let _ = Bearer::of(&request);
    let _ = accepts_json(request.headers());
    if let Some(wait) = preferred_wait(request.headers()) {
        assert!(wait.as_secs() <= 60);
    }
    let _ = query::<std::collections::BTreeMap<String, String>>(&request);
});

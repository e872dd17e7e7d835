//! Requests: query strings, headers and the values in them. An accepted value is equal to itself when it
//! is formatted and parsed again.

#![no_main]

use std::{fmt::Display, str::FromStr};

use actix_web::test::TestRequest;
use daemon::{
    auth::Bearer,
    web::{accepts_json, preferred_wait, query},
};
use libfuzzer_sys::fuzz_target;
use shared::{
    demand::Demand,
    operator::Author,
    policy::{Fact, Pattern},
    sha256::Sha256,
    values::{Count, FencingToken, InvalidValue, ProfileKey, QualifiedRepo, RunId, UniqueId},
};

fn assert_round_trip<T: FromStr<Err = InvalidValue> + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert!(
            value
                .to_string()
                .parse::<T>()
                .is_ok_and(|again| again == value),
            "{text}"
        );
    }
}

fuzz_target!(|text: &str| {
    assert_round_trip::<UniqueId>(text);
    assert_round_trip::<ProfileKey>(text);
    assert_round_trip::<QualifiedRepo>(text);
    assert_round_trip::<RunId>(text);
    assert_round_trip::<Count>(text);
    assert_round_trip::<FencingToken>(text);
    assert_round_trip::<Sha256>(text);
    if let Ok(demand) = text.parse::<Demand>() {
        assert_eq!(demand.to_string().parse::<Demand>().as_ref(), Ok(&demand));
    }
    if let Ok(fact) = text.parse::<Fact>() {
        let _ = fact.file_name();
        // A pattern matches itself: each `*` stands for the `*`.
        assert!(text.parse::<Pattern>().is_ok_and(|it| it.matches(fact.as_str())));
    }
    let _ = text.parse::<Author>();
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

//! Webhooks: the first line of the input is the signature, the second one the content type, the third one the
//! event, and the rest the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use monitor::webhook_delivery::{Delivery, DeliveryError, Signature};

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let (signature, content_type, event) = (text(), text(), text());
    let body = parts.next().unwrap_or_default();
    if let Some(signature) = signature.and_then(Signature::parse) {
        assert!(!signature.matches(b""));
    }
    match Delivery::parse(content_type, event, body) {
        Ok(Delivery::WorkflowJob(Some(job))) => assert_ne!(job.registration_id, Some(0)),
        Err(DeliveryError::ContentType { found }) => assert!(found.chars().count() <= 100),
        _ => {}
    }
});

//! Reports of monitors and their responses to takes. What is idle exists, and no number is absurd.

#![no_main]

use libfuzzer_sys::fuzz_target;
use queue_core::Report;
use shared::{clock::Timestamp, wire::TakeAnswer};

fuzz_target!(|json: &[u8]| {
    if let Ok(report) = Report::parse(json, Timestamp::default()) {
        for (key, profile) in &report.profiles {
            assert!(profile.idle.is_subset(&report.runners), "{key}");
            assert!(profile.target <= 10_000, "{key}");
        }
    }
    if let Ok(answer) = serde_json::from_slice::<TakeAnswer>(json) {
        let _ = answer.into_runners();
    }
});

//! Reports of monitors and their responses to takes. A report never has more idle runners than its
//! count of idle runners.

#![no_main]

use libfuzzer_sys::fuzz_target;
use queue_core::Report;
use shared::{
    clock::Timestamp,
    wire::{MonitorDashboard, TakeAnswer},
};

fuzz_target!(|json: &[u8]| {
    if let Ok(dashboard) = serde_json::from_slice::<MonitorDashboard>(json) {
        let counts = dashboard.profile_runner_counts.clone();
        let report = Report::new(dashboard, Timestamp::default());
        for (key, profile) in &report.profiles {
            assert!(profile.idle.len() <= counts[key].idle, "{key}");
        }
    }
    if let Ok(answer) = serde_json::from_slice::<TakeAnswer>(json) {
        let _ = answer.into_runners();
    }
});

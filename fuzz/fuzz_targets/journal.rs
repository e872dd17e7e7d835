//! The lines of the journal. An event that is read can be written as one line and read again, and what strangers
//! see of it does not contain the name of its job.

#![no_main]

use daemon::journal::Entry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    let Ok(entry) = serde_json::from_str::<Entry>(line) else {
        return;
    };
    let json = entry.to_json();
    assert!(!json.contains('\n'));
    let again: Entry = serde_json::from_str(&json).expect("what was written can be read");
    assert_eq!(
        (
            again.id,
            again.at,
            &again.event,
            &again.unique_id,
            again.facts.len()
        ),
        (
            entry.id,
            entry.at,
            &entry.event,
            &entry.unique_id,
            entry.facts.len()
        )
    );
    assert!(!entry.to_text().is_empty());
    if let Some(public) = entry.to_public_json() {
        let public: serde_json::Value = serde_json::from_str(&public).expect("it is JSON");
        for hidden in ["unique_id", "client_address", "runners"] {
            assert!(public.get(hidden).is_none(), "{hidden}");
        }
    }
});

//! The record of artifacts that were answered. One without its checksum is never read, and what is read is the
//! same after it was written and read again.

#![no_main]

use daemon::artifact_claims::Record;
use libfuzzer_sys::fuzz_target;
use shared::sha256::Sha256;

fuzz_target!(|text: &str| {
    let with_header = format!(
        "ci-runners artifact claims 1\nsha256={}\n{text}",
        Sha256::of(text.as_bytes())
    );
    for text in [text, &with_header] {
        if let Ok(record) = Record::parse(text) {
            let again = Record::parse(&record.to_text());
            assert_eq!(again.expect("what was written can be read"), record);
        }
    }
});

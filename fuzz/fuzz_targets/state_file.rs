//! A monitor's state file: its checksum, and the state in it. What is read can be planned with, and is the same
//! after it was written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use monitor::store::{with_checksum, without_checksum};
use monitor_core::{Monitor, testing::policy};
use shared::clock::Timestamp;

fuzz_target!(|content: &[u8]| {
    let now = Timestamp::from_seconds(1_790_000_000);
    let start = |snapshot: &[u8]| Monitor::new(policy(&[("linux", 2)]), Some(snapshot), now);
    assert_eq!(
        without_checksum(with_checksum(content)),
        Ok(content.to_vec())
    );
    // Most inputs have a wrong checksum; what follows it is read all the same.
    let _ = without_checksum(content.to_vec());
    if let Ok(monitor) = start(content) {
        let _ = monitor.plan(now);
        let _ = monitor.view();
        let snapshot = monitor.snapshot();
        let again = without_checksum(with_checksum(&snapshot)).expect("the checksum is right");
        assert_eq!(again, snapshot);
        let again = start(&again).expect("what was written can be read");
        assert_eq!(again.snapshot(), snapshot);
    }
});

//! What the kernel knows about another process.

use std::time::Duration;

/// Clock ticks of `/proc/<pid>/stat` in a second. It is 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: u64 = 100;

/// The processor time that a process has used, in user and kernel mode.
pub fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    let stat = stat.expect("a running process has a stat file");
    // The name, in parentheses, may contain spaces; user and system time are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(") ").expect("the name is in parentheses");
    let times = fields.split(' ').skip(11).take(2);
    let ticks: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// The memory of a process that is in use, in bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.expect("a running process has a status file");
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let kilobytes = kilobytes.and_then(|kilobytes| kilobytes.parse::<u64>().ok());
    kilobytes.expect("the status shows the memory") * 1024
}

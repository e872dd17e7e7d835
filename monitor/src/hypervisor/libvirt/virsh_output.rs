//! Parsers for the output of `virsh`.
//!
//! Pure functions. Lines that do not have the expected form are skipped: they are not about one of our
//! guests, or the next list has the same information.

use std::{net::IpAddr, time::SystemTime};

/// The names in the output of `list --name`: one per line.
pub fn names(output: &str) -> impl Iterator<Item = &str> {
    output
        .lines()
        .map(str::trim_end)
        .filter(|name| !name.is_empty())
}

/// The assignment of an address to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// In lower case.
    pub mac: String,
    pub address: IpAddr,
    /// None if it has no end.
    pub expires_at: Option<SystemTime>,
}

/// The leases in the output of `net-dhcp-leases`: a table with columns for the date and the time of
/// expiry in UTC, the MAC address, the protocol and the address, the last one with the length of its
/// prefix.
pub fn leases(output: &str) -> impl Iterator<Item = Lease> {
    output.lines().filter_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let position = columns.iter().position(|column| is_mac(column))?;
        let address = columns.get(position + 2)?.split('/').next()?;
        let expires_at = match columns[..position] {
            [date, time] => humantime::parse_rfc3339_weak(&format!("{date} {time}")).ok(),
            _ => None,
        };
        Some(Lease {
            mac: columns[position].to_ascii_lowercase(),
            address: address.parse().ok()?,
            // A lease without an end ends in 1970.
            expires_at: expires_at.filter(|time| *time != SystemTime::UNIX_EPOCH),
        })
    })
}

/// The MAC addresses in the output of `domiflist`, in lower case: the last column of a table.
pub fn macs(output: &str) -> Vec<String> {
    let last = output
        .lines()
        .filter_map(|line| line.split_whitespace().last());
    last.filter(|column| is_mac(column))
        .map(str::to_ascii_lowercase)
        .collect()
}

fn is_mac(column: &str) -> bool {
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|it| it.is_ascii_hexdigit());
    column.split(':').count() == 6 && column.split(':').all(is_byte)
}

/// Why QEMU has ended a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// The guest has powered itself off.
    PoweredOff,
    /// Something else, in QEMU's word, such as `guest-reset` or `host-signal`.
    Other(String),
}

/// The machine and the cause, if a line of `qemu-monitor-event --event SHUTDOWN` reports them, as in
/// `event SHUTDOWN at 1795901945.564994 for domain 'NAME': {"guest":true,"reason":"guest-shutdown"}`.
pub fn shutdown(line: &str) -> Option<(&str, Shutdown)> {
    #[derive(serde::Deserialize)]
    struct Detail {
        #[serde(default)]
        guest: bool,
        reason: Option<String>,
    }
    let rest = line.strip_prefix("event SHUTDOWN ")?;
    let (name, detail) = domain_and_detail(rest)?;
    let detail: Detail = serde_json::from_str(detail).ok()?;
    // QEMU before 4.0 has no reason.
    let cause = match detail.reason.as_deref() {
        Some("guest-shutdown") => Shutdown::PoweredOff,
        None if detail.guest => Shutdown::PoweredOff,
        Some(other) => Shutdown::Other(other.to_owned()),
        None => Shutdown::Other("host-request".to_owned()),
    };
    Some((name, cause))
}

/// The name and what is behind it, in `… for domain 'NAME': DETAIL`. Older releases have no quotes around
/// the name.
fn domain_and_detail(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once("for domain ")?;
    match rest.strip_prefix('\'') {
        Some(quoted) => quoted.split_once("': "),
        None => rest.split_once(": "),
    }
}

/// The name of the machine that has ended, and libvirt's event, if a line of `event --event lifecycle`
/// reports an end, as in `event 'lifecycle' for domain 'NAME': Stopped Destroyed`. Older releases have no
/// quotes around the name.
pub fn ended(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(" for domain ")?;
    let (name, event) = rest.rsplit_once(": ")?;
    let name = name
        .strip_prefix('\'')
        .and_then(|name| name.strip_suffix('\''))
        .unwrap_or(name);
    event.starts_with("Stopped").then_some((name, event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_name() {
        let output = "ci-runner-a.1\nanother one\n\nci-runner-b.2\n\n";
        let names: Vec<_> = names(output).collect();
        assert_eq!(names, ["ci-runner-a.1", "another one", "ci-runner-b.2"]);
    }

    #[test]
    fn every_lease_of_a_table_is_read() {
        let table = " Expiry Time           MAC address         Protocol   IP address          Hostname   Client ID or DUID\n\
             -----------------------------------------------------------------------------------------------\n \
             2026-11-28 20:00:00   52:54:00:A7:ec:b0   ipv4       192.168.122.10/24   one        01:52:54:00:a7:ec:b0\n \
             2026-11-28 21:00:00   52:54:00:a7:ec:b0   ipv4       192.168.122.11/24   -          -\n \
             2026-11-28 21:00:00   52:54:00:a7:ec:b0   ipv6       fd00::11/64         one        00:01:00:01\n \
             1970-01-01 00:00:00   52:54:00:a7:ec:b1   ipv4       192.168.122.12/24   -          -\n \
             -                     52:54:00:a7:ec:b2   ipv4       192.168.122.13/24   -          -\n \
             2026-11-28 21:00:00   52:54:00:a7:ec:b3   ipv4       N/A                 -          -\n \
             2026-11-28 21:00:00   52:54:00:a7         ipv4       192.168.122.14/24   -          -\n\n";
        let at = |time: &str| humantime::parse_rfc3339_weak(time).ok();
        let lease = |mac: &str, address: &str, expires_at| Lease {
            mac: mac.to_owned(),
            address: address.parse().unwrap(),
            expires_at,
        };
        let found: Vec<_> = leases(table).collect();
        let later = at("2026-11-28 21:00:00");
        assert_eq!(
            found,
            [
                lease(
                    "52:54:00:a7:ec:b0",
                    "192.168.122.10",
                    at("2026-11-28 20:00:00")
                ),
                lease("52:54:00:a7:ec:b0", "192.168.122.11", later),
                lease("52:54:00:a7:ec:b0", "fd00::11", later),
                lease("52:54:00:a7:ec:b1", "192.168.122.12", None),
                lease("52:54:00:a7:ec:b2", "192.168.122.13", None),
            ]
        );
        assert_eq!(leases("").count(), 0);
    }

    #[test]
    fn every_interface_has_a_mac_address() {
        let table = " Interface   Type      Source   Model    MAC\n\
             ----------------------------------------------------------\n \
             vnet0       network   ci       virtio   52:54:00:A7:EC:B0\n \
             -           bridge    cinet    -        52:54:00:a7:ec:b1\n \
             -           user      -        e1000    unknown\n\n";
        assert_eq!(macs(table), ["52:54:00:a7:ec:b0", "52:54:00:a7:ec:b1"]);
    }

    #[test]
    fn only_a_guest_that_powers_itself_off_has_done_so() {
        let line = |name: &str, detail: &str| {
            format!("event SHUTDOWN at 1795901945.564994 for domain {name}: {detail}")
        };
        let other = |reason: &str| Some(("a.1", Shutdown::Other(reason.to_owned())));
        for (name, detail, cause) in [
            (
                "'a.1'",
                r#"{"guest":true,"reason":"guest-shutdown"}"#,
                Some(("a.1", Shutdown::PoweredOff)),
            ),
            (
                "a.1",
                r#"{"guest":true}"#,
                Some(("a.1", Shutdown::PoweredOff)),
            ),
            (
                "'a.1'",
                r#"{"guest":true,"reason":"guest-reset"}"#,
                other("guest-reset"),
            ),
            (
                "'a.1'",
                r#"{"guest":true,"reason":"guest-panic"}"#,
                other("guest-panic"),
            ),
            (
                "'a.1'",
                r#"{"guest":false,"reason":"host-signal"}"#,
                other("host-signal"),
            ),
            (
                "'a.1'",
                r#"{"guest":false,"reason":"host-qmp-quit"}"#,
                other("host-qmp-quit"),
            ),
            ("'a.1'", r#"{"guest":false}"#, other("host-request")),
            ("'a.1'", "<null>", None),
        ] {
            let line = line(name, detail);
            assert_eq!(shutdown(&line), cause, "{line}");
        }
        assert_eq!(shutdown("event RESET at 1 for domain 'a.1': {}"), None);
        assert_eq!(shutdown("events received: 3"), None);
    }

    #[test]
    fn only_a_stopped_event_is_an_end() {
        for (line, name) in [
            (
                "event 'lifecycle' for domain 'a.1': Stopped Destroyed",
                Some("a.1"),
            ),
            (
                "event 'lifecycle' for domain 'a.1': Stopped Failed",
                Some("a.1"),
            ),
            (
                "event 'lifecycle' for domain a.1: Stopped Shutdown",
                Some("a.1"),
            ),
            (
                "event 'lifecycle' for domain 'a: b': Stopped Crashed",
                Some("a: b"),
            ),
            ("event 'lifecycle' for domain 'a.1': Started Booted", None),
            (
                "event 'lifecycle' for domain 'a.1': Shutdown Finished after guest request",
                None,
            ),
            ("events received: 3", None),
            ("", None),
        ] {
            let found = ended(line).map(|(name, _)| name);
            assert_eq!(found, name, "{line}");
        }
    }
}

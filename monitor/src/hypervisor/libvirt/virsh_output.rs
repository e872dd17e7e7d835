//! Parsers for the output of `virsh`.
//!
//! Pure functions. Lines that do not have the expected form are skipped: they are not about one of our
//! guests, or the next list has the same information.

use std::net::Ipv4Addr;

/// The names in the output of `list --name`: one per line.
pub fn names(output: &str) -> impl Iterator<Item = &str> {
    output
        .lines()
        .map(str::trim_end)
        .filter(|name| !name.is_empty())
}

/// The first IPv4 address in the output of `domifaddr`: a table with columns for name, MAC address,
/// protocol and address, the last one with the length of its prefix.
pub fn address(output: &str) -> Option<Ipv4Addr> {
    output.lines().find_map(|line| {
        let mut columns = line.split_whitespace().skip(2);
        let protocol = columns.next()?;
        let address = columns.next()?.split('/').next()?;
        (protocol == "ipv4").then(|| address.parse().ok())?
    })
}

/// The name of the machine that has ended, if a line of `event --event lifecycle` reports an end, as
/// in `event 'lifecycle' for domain 'NAME': Stopped Destroyed`. Older releases have no quotes around
/// the name.
pub fn ended(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(" for domain ")?;
    let (name, event) = rest.rsplit_once(": ")?;
    let name = name
        .strip_prefix('\'')
        .and_then(|name| name.strip_suffix('\''))
        .unwrap_or(name);
    event.starts_with("Stopped").then_some(name)
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
    fn the_first_ipv4_address_is_the_guests() {
        let head = " Name       MAC address          Protocol     Address\n\
                    ---------------------------------------------------------\n";
        for (rows, address) in [
            ("", None),
            ("\n", None),
            (
                " vnet0      52:54:00:12:34:56    ipv4         192.168.100.7/24\n",
                Some("192.168.100.7"),
            ),
            (
                " vnet0      52:54:00:12:34:56    ipv6         fd00::7/64\n \
                   -          -                    ipv4         10.0.0.7/8\n \
                   vnet1      52:54:00:12:34:57    ipv4         10.0.0.8/8\n",
                Some("10.0.0.7"),
            ),
            (" vnet0      52:54:00:12:34:56    ipv4         N/A\n", None),
            (
                " vnet0      52:54:00:12:34:56    ipv4         1.2.3/24\n",
                None,
            ),
        ] {
            let found = super::address(&format!("{head}{rows}"));
            assert_eq!(found, address.map(|it| it.parse().unwrap()), "{rows}");
        }
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
            assert_eq!(ended(line), name, "{line}");
        }
    }
}

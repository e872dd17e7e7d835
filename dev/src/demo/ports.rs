//! The four ports of the demo.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use cli::failure::Failure;

use crate::{args::Demo, listen::listen};

/// The port of each daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    pub monitor_a: u16,
    pub monitor_b: u16,
    pub queue: u16,
    pub github: u16,
}

/// A listener on each port.
#[derive(Debug)]
pub struct Listeners {
    pub monitor_a: TcpListener,
    pub monitor_b: TcpListener,
    pub queue: TcpListener,
    pub github: TcpListener,
}

impl Ports {
    /// The ports of the command line; each that is not named follows the port base.
    ///
    /// # Errors
    /// When two daemons would have the same port.
    pub fn from_args(args: &Demo) -> Result<Self, Failure> {
        // Does not overflow: clap limits the base.
        let after_base = |named: Option<u16>, offset| named.unwrap_or(args.port_base + offset);
        let ports = Self {
            monitor_a: after_base(args.monitor_a_port, 0),
            monitor_b: after_base(args.monitor_b_port, 1),
            queue: after_base(args.queue_port, 2),
            github: after_base(args.github_port, 3),
        };
        let owners = ports.owners();
        for (index, (owner, port, _)) in owners.iter().enumerate() {
            let mut before = owners[..index].iter();
            if let Some((other, ..)) = before.find(|(_, other, _)| other == port) {
                return Err(Failure::Usage(format!(
                    "choose ports: {other} and {owner} would both listen on {port}"
                )));
            }
        }
        Ok(ports)
    }

    /// Listens on all ports of the loopback interface.
    ///
    /// # Errors
    /// When one is taken. The text has the port and the option that chooses another.
    pub fn listen(&self) -> Result<Listeners, Failure> {
        let [monitor_a, monitor_b, queue, github] = self.owners().map(|(owner, port, option)| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            listen(owner, address, &format!("{option} or --port-base"))
        });
        Ok(Listeners {
            monitor_a: monitor_a?,
            monitor_b: monitor_b?,
            queue: queue?,
            github: github?,
        })
    }

    /// Each daemon, its port, and the option for it.
    fn owners(&self) -> [(&'static str, u16, &'static str); 4] {
        [
            (
                "the monitor of server a",
                self.monitor_a,
                "--monitor-a-port",
            ),
            (
                "the monitor of server b",
                self.monitor_b,
                "--monitor-b-port",
            ),
            ("the queue", self.queue, "--queue-port"),
            ("the emulated GitHub", self.github, "--github-port"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Command, Dev};
    use cli::exit::Exit;

    fn ports_of(line: &str) -> Result<Ports, Failure> {
        let line = format!("ci-runners-dev demo {line}");
        match Dev::try_parse_from(line.split_whitespace())
            .unwrap()
            .command
        {
            Command::Demo(args) => Ports::from_args(&args),
            other => panic!("expected `demo`, got {other:?}"),
        }
    }

    #[test]
    fn a_port_that_is_not_named_follows_the_base() {
        let ports = |monitor_a, monitor_b, queue, github| Ports {
            monitor_a,
            monitor_b,
            queue,
            github,
        };
        assert_eq!(ports_of("").unwrap(), ports(8000, 8001, 8002, 8003));
        assert_eq!(
            ports_of("--port-base 65532").unwrap(),
            ports(65532, 65533, 65534, 65535)
        );
        assert_eq!(
            ports_of("--queue-port 1 --monitor-b-port 2").unwrap(),
            ports(8000, 2, 1, 8003)
        );
        assert_eq!(
            ports_of("--monitor-a-port 1 --github-port 2").unwrap(),
            ports(1, 8001, 8002, 2)
        );
    }

    #[test]
    fn the_same_port_for_two_daemons_is_refused() {
        let failure = ports_of("--github-port 8002").unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert_eq!(
            failure.to_string(),
            "choose ports: the queue and the emulated GitHub would both listen on 8002"
        );
    }
}

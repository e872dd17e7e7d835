//! On which ports the demo listens: all of them, or it does not start.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use cli::failure::Failure;

use crate::{args::Demo, listen::listen};

/// The port of each daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The monitor of the first host.
    pub monitor_a: u16,
    /// The monitor of the second host.
    pub monitor_b: u16,
    /// The queue.
    pub queue: u16,
    /// The made-up GitHub.
    pub github: u16,
}

/// One listener for each.
#[derive(Debug)]
pub struct Listeners {
    /// For the monitor of the first host.
    pub monitor_a: TcpListener,
    /// For the monitor of the second host.
    pub monitor_b: TcpListener,
    /// For the queue.
    pub queue: TcpListener,
    /// For the made-up GitHub.
    pub github: TcpListener,
}

impl Ports {
    /// The ports that were typed, and for the others those after the base.
    ///
    /// # Errors
    /// When two daemons would have the same one.
    pub fn chosen(args: &Demo) -> Result<Self, Failure> {
        // clap takes no base from which the fourth port would not exist.
        let after_base = |typed: Option<u16>, offset| typed.unwrap_or(args.port_base + offset);
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
                    "choose ports: {port} would be for {other} and for {owner}"
                )));
            }
        }
        Ok(ports)
    }

    /// Listens on all of them, on this host alone.
    ///
    /// # Errors
    /// When one is taken; it is named, with what chooses another.
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

    /// Who has which port, and what chooses another.
    fn owners(&self) -> [(&'static str, u16, &'static str); 4] {
        [
            ("the monitor of host a", self.monitor_a, "--monitor-a-port"),
            ("the monitor of host b", self.monitor_b, "--monitor-b-port"),
            ("the queue", self.queue, "--queue-port"),
            ("the made-up GitHub", self.github, "--github-port"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Command, Dev};
    use cli::exit::Exit;

    fn chosen(line: &str) -> Result<Ports, Failure> {
        let line = format!("ci-runners-dev demo {line}");
        match Dev::try_parse_from(line.split_whitespace())
            .unwrap()
            .command
        {
            Command::Demo(args) => Ports::chosen(&args),
            other => panic!("that is `demo`, not {other:?}"),
        }
    }

    #[test]
    fn ports_follow_the_base_unless_they_were_typed() {
        let ports = |monitor_a, monitor_b, queue, github| Ports {
            monitor_a,
            monitor_b,
            queue,
            github,
        };
        assert_eq!(chosen("").unwrap(), ports(8000, 8001, 8002, 8003));
        assert_eq!(
            chosen("--port-base 65532").unwrap(),
            ports(65532, 65533, 65534, 65535)
        );
        assert_eq!(
            chosen("--queue-port 1 --monitor-b-port 2").unwrap(),
            ports(8000, 2, 1, 8003)
        );
        assert_eq!(
            chosen("--monitor-a-port 1 --github-port 2").unwrap(),
            ports(1, 8001, 8002, 2)
        );
    }

    #[test]
    fn a_port_for_two_is_refused() {
        let failure = chosen("--github-port 8002").unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert_eq!(
            failure.to_string(),
            "choose ports: 8002 would be for the queue and for the made-up GitHub"
        );
    }
}

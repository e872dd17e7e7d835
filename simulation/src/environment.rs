//! Everything in a run that is not a process: context, network and GitHub.

use std::time::Duration;

use crate::{
    context::Context,
    github::Github,
    messages::{ExchangeId, Node, Reply, Request},
    network::{Network, Sender},
};

pub struct Environment {
    pub context: Context,
    pub network: Network,
    pub github: Github,
}

impl Environment {
    pub fn new(context: Context) -> Self {
        Self {
            network: Network::default(),
            github: Github::new(context.now),
            context,
        }
    }

    /// See [`Network::send`].
    pub fn send(
        &mut self,
        from: Sender,
        to: Node,
        request: Request,
        timeout: Duration,
    ) -> ExchangeId {
        self.network
            .send(&mut self.context, from, to, request, timeout)
    }

    /// See [`Network::reply`].
    pub fn reply(&mut self, id: ExchangeId, reply: Reply) {
        self.network.reply(&mut self.context, id, reply);
    }
}

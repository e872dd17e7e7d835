//! The network between clients, queues and monitors: carries, delays, duplicates and loses
//! requests and replies.
//!
//! An exchange ends exactly once for its sender. What the receiver has done by then is independent
//! of that. The network does not call a process; its events do, through the world.

use std::{collections::BTreeMap, time::Duration};

use shared::clock::Timestamp;

use crate::{
    context::Context,
    events::{Event, Incarnation},
    messages::{ExchangeId, ExchangeResult, Node, Reply, Request},
};

/// How many exchanges are remembered after their end, for requests that arrive late.
const ENDED_EXCHANGES_MAX: u64 = 4000;

/// A process that sends a request. A reply to an earlier incarnation is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    pub node: Node,
    pub incarnation: Incarnation,
}

pub struct Exchange {
    pub from: Sender,
    pub to: Node,
    pub request: Request,
    /// Whether the sender has its result.
    pub has_ended: bool,
}

#[derive(Default)]
pub struct Network {
    exchanges: BTreeMap<ExchangeId, Exchange>,
    last_exchange: ExchangeId,
    partitions: Vec<(Node, Node, Timestamp)>,
}

impl Network {
    pub fn exchange(&self, id: ExchangeId) -> Option<&Exchange> {
        self.exchanges.get(&id)
    }

    /// Sends a request, and waits for a reply until `timeout` has passed.
    pub fn send(
        &mut self,
        context: &mut Context,
        from: Sender,
        to: Node,
        request: Request,
        timeout: Duration,
    ) -> ExchangeId {
        self.last_exchange += 1;
        let id = self.last_exchange;
        let exchange = Exchange {
            from,
            to,
            request,
            has_ended: false,
        };
        self.exchanges.insert(id, exchange);
        context.schedule_after(timeout, Event::ConnectionEnds(id));
        let copies = 1 + usize::from(context.fault_occurs(|rates| rates.duplicate));
        for _ in 0..copies {
            if self.is_lost(context, from.node, to) {
                continue;
            }
            let delay = latency(context);
            context.schedule_after(delay, Event::RequestArrives(id));
        }
        if context.fault_occurs(|rates| rates.disconnect) {
            let delay = context.rng.millis((1, 5000));
            context.schedule_after(delay, Event::ConnectionEnds(id));
        }
        id
    }

    /// Sends a reply, which arrives only if the sender still waits for it.
    pub fn reply(&mut self, context: &mut Context, id: ExchangeId, reply: Reply) {
        let Some(exchange) = self.exchanges.get(&id) else {
            return;
        };
        if self.is_lost(context, exchange.to, exchange.from.node) {
            return;
        }
        let delay = latency(context);
        context.schedule_after(delay, Event::ReplyArrives(id, Box::new(reply)));
    }

    /// Ends an exchange; returns it unless it had ended already.
    pub fn end(
        &mut self,
        context: &Context,
        id: ExchangeId,
        result: &ExchangeResult,
    ) -> Option<&Exchange> {
        let exchange = self.exchanges.get_mut(&id)?;
        if std::mem::replace(&mut exchange.has_ended, true) {
            return None;
        }
        let is_report = matches!(
            (&exchange.request, result),
            (Request::Poll(..), ExchangeResult::Reply(_))
        );
        // Reports are too long and too many for a trace.
        if !is_report {
            let from = exchange.from.node;
            context.trace(format_args!("{id} {from:?} receives {result:?}"));
        }
        Some(exchange)
    }

    /// Whether the sender of a request no longer waits for the reply.
    pub fn has_ended(&self, id: ExchangeId) -> bool {
        self.exchanges
            .get(&id)
            .is_none_or(|exchange| exchange.has_ended)
    }

    /// Forgets exchanges that ended long ago.
    pub fn forget_ended(&mut self) {
        let newest = self.last_exchange.saturating_sub(ENDED_EXCHANGES_MAX);
        let ended: Vec<ExchangeId> = self
            .exchanges
            .range(..=newest)
            .filter(|(_, exchange)| exchange.has_ended)
            .map(|(&id, _)| id)
            .collect();
        for id in ended {
            self.exchanges.remove(&id);
        }
    }

    /// Breaks all open connections to a process that was killed.
    pub fn break_connections_to(&mut self, context: &mut Context, node: Node) {
        let open = self
            .exchanges
            .iter()
            .filter(|(_, exchange)| exchange.to == node && !exchange.has_ended);
        for (&id, _) in open {
            let delay = context.rng.millis((1, 50));
            context.schedule_after(delay, Event::ConnectionEnds(id));
        }
    }

    /// Separates two nodes from each other until `until`.
    pub fn partition(&mut self, one: Node, other: Node, until: Timestamp) {
        self.partitions.push((one, other, until));
    }

    pub fn end_partitions(&mut self) {
        self.partitions.clear();
    }

    fn is_lost(&self, context: &mut Context, from: Node, to: Node) -> bool {
        let is_separated = self.partitions.iter().any(|&(one, other, until)| {
            context.now < until && ((one, other) == (from, to) || (one, other) == (to, from))
        });
        is_separated || context.fault_occurs(|rates| rates.loss)
    }
}

/// How long a message travels.
fn latency(context: &mut Context) -> Duration {
    if context.fault_occurs(|rates| rates.delay) {
        context.rng.millis((1, 30_000))
    } else {
        context.rng.millis((1, 30))
    }
}

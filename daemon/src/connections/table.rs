//! The table of all connections: admission of new ones, and the choice of those that are closed for them.

use std::{cmp::Reverse, collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use shared::clock::{Clock, Timestamp};

use super::{
    ConnectionHandle, Phase,
    heads::HeadMemory,
    limits::{Limits, Source},
};
use crate::repeated;
use std::sync::atomic::Ordering::Relaxed;

/// Pause between two searches for stalled clients.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// When nothing could be closed, how long new connections are refused without another search.
const SEARCH_PAUSE: Duration = Duration::from_millis(20);
/// How long a connection may take for its next step before it is closed earlier than others.
const FRESH: Duration = Duration::from_secs(1);
/// At most one of this many connections is closed at a time to make room. Several at once, because the
/// search looks at all.
const CLOSED_SHARE: usize = 32;

/// All connections of a daemon. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Shared>);

struct Shared {
    limits: Limits,
    clock: Clock,
    heads: HeadMemory,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    open: HashMap<u64, ConnectionHandle>,
    counts: HashMap<Source, usize>,
    /// Nothing could be closed for a new connection; until when no further search is made.
    is_full_until: Timestamp,
}

impl Connections {
    /// No connections yet.
    pub(crate) fn new(limits: Limits, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            limits,
            clock,
            heads: HeadMemory::default(),
            table: Mutex::default(),
        }))
    }

    /// Admits a new connection, for which others may be closed, or refuses it.
    pub(super) fn admit(&self, peer: Option<SocketAddr>) -> Option<ConnectionHandle> {
        let Shared {
            limits,
            clock,
            heads,
            table,
        } = &*self.0;
        let source = peer.and_then(|peer| limits.source_of(peer.ip()));
        let mut table = table.lock();
        let now = clock.now();
        let of_address = source.and_then(|source| table.counts.get(&source).copied());
        let (cause, has_room) = if of_address.is_some_and(|count| count >= limits.per_address) {
            let share = limits.per_address.div_ceil(CLOSED_SHARE);
            let is_same = |other: &ConnectionHandle| other.0.source == source;
            (
                "connections_of_address",
                table.make_room(share, now, is_same),
            )
        } else if table.open.len() >= limits.total {
            let share = limits.total.div_ceil(CLOSED_SHARE);
            ("connections", table.make_room(share, now, |_| true))
        } else {
            ("", true)
        };
        let handle = has_room.then(|| table.insert(source, *clock, heads.clone()));
        drop(table);
        if !cause.is_empty() {
            let cause = match (cause, handle.is_some()) {
                ("connections", true) => "connections_closed_for_others",
                ("connections", false) => "too_many_connections",
                (_, true) => "connections_of_address_closed_for_others",
                (_, false) => "too_many_connections_of_address",
            };
            repeated::count(cause, || {
                let address = peer.map(|peer| peer.ip().to_canonical().to_string());
                format!("one from {}", address.unwrap_or_default())
            });
        }
        handle
    }

    /// Forgets a connection that has ended.
    pub(super) fn remove(&self, handle: &ConnectionHandle) {
        self.0.table.lock().remove(handle.0.id);
    }

    /// Closes the connections of stalled clients, for as long as the daemon runs.
    pub(crate) async fn close_stalled(self) {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            self.sweep(self.0.clock.now());
        }
    }

    pub(super) fn sweep(&self, now: Timestamp) {
        let mut table = self.0.table.lock();
        let stalled = table.open.values().filter(|handle| handle.has_stalled(now));
        let stalled: Vec<ConnectionHandle> = stalled.cloned().collect();
        for handle in &stalled {
            table.remove(handle.0.id);
        }
        drop(table);
        for handle in stalled {
            let cause = match handle.phase() {
                Phase::Receiving => "request_too_slow",
                _ => "response_not_read",
            };
            repeated::count(cause, || "a connection was closed".to_owned());
            handle.close();
        }
    }

    /// The number of connections.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.table.lock().open.len()
    }
}

impl Table {
    fn insert(
        &mut self,
        source: Option<Source>,
        clock: Clock,
        heads: HeadMemory,
    ) -> ConnectionHandle {
        self.last_id += 1;
        let handle = ConnectionHandle::new(self.last_id, source, clock, heads);
        self.open.insert(self.last_id, handle.clone());
        if let Some(source) = source {
            *self.counts.entry(source).or_default() += 1;
        }
        handle
    }

    fn remove(&mut self, id: u64) {
        let Some(handle) = self.open.remove(&id) else {
            return;
        };
        if let Some(source) = handle.0.source
            && let Some(count) = self.counts.get_mut(&source)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&source);
            }
        }
    }

    /// Closes up to `share` connections of those that `may_close` names, all of the same [`rank`]. Of these,
    /// those of the address with most connections, and the oldest, come first.
    fn make_room(
        &mut self,
        share: usize,
        now: Timestamp,
        may_close: impl Fn(&ConnectionHandle) -> bool,
    ) -> bool {
        if now < self.is_full_until {
            return false;
        }
        let candidates = self.open.values().filter(|handle| may_close(handle));
        let mut candidates: Vec<_> = candidates
            .filter_map(|handle| {
                let count = handle.0.source.and_then(|source| self.counts.get(&source));
                let crowd = count.map_or(0, |count| count.ilog2());
                let rank = rank(handle, now)?;
                Some((rank, Reverse(crowd), handle.since(), handle.0.id))
            })
            .collect();
        let Some(first_rank) = candidates.iter().map(|candidate| candidate.0).min() else {
            self.is_full_until = now + SEARCH_PAUSE;
            return false;
        };
        candidates.retain(|candidate| candidate.0 == first_rank);
        if share < candidates.len() {
            candidates.select_nth_unstable(share);
            candidates.truncate(share);
        }
        for (.., id) in candidates {
            if let Some(handle) = self.open.get(&id).cloned() {
                self.remove(id);
                handle.close();
            }
        }
        true
    }
}

/// Which connections are closed first for others; `None` for those that are not. A connection that has
/// just been accepted comes late: its request may be on its way.
fn rank(handle: &ConnectionHandle, now: Timestamp) -> Option<u8> {
    let is_fresh = now.since(handle.since()) < FRESH;
    match handle.phase() {
        Phase::Idle if handle.0.has_served.load(Relaxed) => Some(1),
        Phase::Idle if !is_fresh => Some(0),
        Phase::Receiving if !is_fresh => Some(2),
        Phase::Responding | Phase::Flushing if !is_fresh => Some(3),
        Phase::Idle | Phase::Receiving => Some(4),
        Phase::Responding | Phase::Flushing => Some(5),
        Phase::Serving => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::ConnectionSettings;
    use super::*;

    fn connections(total: usize, per_address: usize) -> Connections {
        let settings = ConnectionSettings {
            connections_per_address_max: Some(per_address),
            ..ConnectionSettings::default()
        };
        let mut limits = Limits::with_descriptors(1024, &settings);
        limits.total = total;
        Connections::new(limits, Clock::start())
    }

    fn peer(address: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(address.parse().unwrap(), 1))
    }

    fn is_closed(handle: &ConnectionHandle) -> bool {
        handle.0.is_closed.load(Relaxed)
    }

    /// Lets it be in its phase since long ago.
    fn make_old(handle: &ConnectionHandle) {
        handle.0.since.store(1, Relaxed);
    }

    #[test]
    fn idle_connections_are_closed_first_and_served_ones_never() {
        let connections = connections(7, 10);
        let admit = || connections.admit(peer("127.0.0.1"));
        let served = admit().unwrap();
        served.serve();
        let [unused, kept, receiving, responding, fresh, answered] =
            [(); 6].map(|()| admit().unwrap());
        kept.0.has_served.store(true, Relaxed);
        receiving.enter(Phase::Receiving);
        responding.serve();
        responding.respond(true);
        for old in [&unused, &kept, &receiving, &responding, &served] {
            make_old(old);
        }
        answered.serve();
        answered.respond(true);
        for closed in [unused, kept, receiving, responding, fresh, answered] {
            assert!(!is_closed(&closed));
            admit().unwrap().serve();
            assert!(is_closed(&closed));
        }
        assert!(admit().is_none(), "all are being served");
        assert!(!is_closed(&served));
        assert_eq!(connections.count(), 7);
    }

    #[test]
    fn an_address_with_too_many_loses_its_own_connections() {
        let connections = connections(100, 2);
        let other = connections.admit(peer("192.0.2.2")).unwrap();
        let admit = || connections.admit(peer("192.0.2.1"));
        let (first, second) = (admit().unwrap(), admit().unwrap());
        let third = admit().unwrap();
        assert!(is_closed(&first) && !is_closed(&second) && !is_closed(&other));
        second.serve();
        third.serve();
        assert!(admit().is_none());
        connections.remove(&second);
        assert!(admit().is_some());
        assert!(!is_closed(&other));
    }

    #[test]
    fn the_crowd_pays_before_a_single_client_does() {
        let connections = connections(9, 100);
        let single = connections.admit(peer("192.0.2.2")).unwrap();
        let crowd: Vec<_> = (0..8)
            .map(|_| connections.admit(peer("192.0.2.1")).unwrap())
            .collect();
        connections.admit(peer("192.0.2.3")).unwrap();
        assert!(!is_closed(&single) && is_closed(&crowd[0]));
    }

    #[test]
    fn a_client_that_stalls_is_noticed() {
        let connections = connections(9, 9);
        let handle = connections.admit(peer("192.0.2.1")).unwrap();
        let at = |seconds: u64| connections.0.clock.now() + Duration::from_secs(seconds);
        assert!(
            !handle.has_stalled(at(1000)),
            "an idle one has its keep-alive"
        );
        handle.enter(Phase::Receiving);
        assert!(!handle.has_stalled(at(9)));
        assert!(handle.has_stalled(at(11)));
        handle.serve();
        assert!(!handle.has_stalled(at(1000)), "a held request may last");
        let written = super::super::Blocked {
            since: at(0),
            written: 0,
        };
        *handle.0.blocked.lock() = Some(written);
        assert!(!handle.has_stalled(at(9)));
        handle.0.written.store(40 << 10, Relaxed);
        assert!(!handle.has_stalled(at(11)), "it reads 4 KiB a second");
        assert!(!handle.has_stalled(at(20)));
        assert!(handle.has_stalled(at(22)), "it has stopped reading");
    }
}

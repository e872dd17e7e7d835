//! Leases: which addresses the guests of a server have.
//!
//! A guest may get another address while it boots, its former one may stay its own for a while, and one
//! that an ended guest had is given to the next.

use std::{collections::BTreeMap, net::Ipv4Addr};

use crate::rng::Rng;

/// The last bytes of the addresses that a server gives to guests: few, so that they are used again.
const LAST_BYTES: std::ops::RangeInclusive<u8> = 2..=24;

/// Whose each leased address is, on all servers.
#[derive(Default)]
pub struct Leases(BTreeMap<(usize, Ipv4Addr), String>);

impl Leases {
    /// Gives a guest another address. Half of the times its former one stays its own as well.
    pub fn renew(
        &mut self,
        rng: &mut Rng,
        server: usize,
        guest_name: &str,
        is_alive: impl Fn(&str) -> bool,
    ) -> Ipv4Addr {
        let own = self.of_server(server);
        let has_one = own.filter(|(_, holder)| *holder == guest_name).count() == 1;
        if !has_one || rng.chance(0.5) {
            self.0
                .retain(|(host, _), holder| *host != server || holder != guest_name);
        }
        let all = LAST_BYTES.map(|byte| Ipv4Addr::new(10, 0, server as u8, byte));
        let is_free = |address: &Ipv4Addr| {
            let holder = self.0.get(&(server, *address));
            holder.is_none_or(|holder| !is_alive(holder))
        };
        let free: Vec<_> = all.filter(is_free).collect();
        let address = free[rng.index(free.len())];
        self.0.insert((server, address), guest_name.to_owned());
        address
    }

    fn of_server(&self, server: usize) -> impl Iterator<Item = (&Ipv4Addr, &String)> {
        let all = self.0.iter();
        all.filter(move |((host, _), _)| *host == server)
            .map(|((_, address), holder)| (address, holder))
    }

    /// Whether a guest has an address.
    pub fn has(&self, server: usize, guest_name: &str, address: Ipv4Addr) -> bool {
        let holder = self.0.get(&(server, address));
        holder.is_some_and(|holder| holder == guest_name)
    }
}

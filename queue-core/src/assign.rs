//! Which servers a job takes its runners from.

use shared::values::Count;

use super::fleet::ServerId;

/// Chooses servers for `wanted` runners out of `offers`, each a server and how many idle runners
/// it has. Most idle first, ties by server. `None` if all together have too few.
pub fn assign(wanted: Count, offers: &[(ServerId, usize)]) -> Option<Vec<(ServerId, Count)>> {
    let mut offers: Vec<_> = offers
        .iter()
        .copied()
        .filter(|&(_, idle)| idle > 0)
        .collect();
    offers.sort_by_key(|&(server, idle)| (std::cmp::Reverse(idle), server));
    let mut missing = wanted.get();
    let mut chosen = Vec::new();
    for (server, idle) in offers {
        let share = idle.min(missing);
        missing -= share;
        chosen.push((
            server,
            Count::new(share as u64).expect("a share is at least one and at most the job's count"),
        ));
        if missing == 0 {
            return Some(chosen);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_with_most_idle_runners_come_first() {
        for (wanted, offers, expected) in [
            (1, &[(0, 1), (1, 3), (2, 3)][..], Some(&[(1, 1)][..])),
            (4, &[(0, 1), (1, 3), (2, 3)], Some(&[(1, 3), (2, 1)])),
            (
                7,
                &[(0, 1), (1, 3), (2, 3)],
                Some(&[(1, 3), (2, 3), (0, 1)]),
            ),
            (8, &[(0, 1), (1, 3), (2, 3)], None),
            (1, &[(0, 0)], None),
            (1, &[], None),
        ] {
            let chosen = assign(Count::new(wanted).unwrap(), offers).map(|chosen| {
                chosen
                    .into_iter()
                    .map(|(server, count)| (server, count.get()))
                    .collect::<Vec<_>>()
            });
            assert_eq!(chosen.as_deref(), expected, "{wanted} of {offers:?}");
        }
    }
}

//! Which servers a job gets its runners from.

use shared::values::Count;

use crate::state::fleet::ServerId;

/// Selects servers for `count` runners out of `offers`, each a server and how many idle runners it
/// has: the most idle first, ties by server. `None` if all together have too few.
pub fn assign_servers(
    count: Count,
    offers: &[(ServerId, usize)],
) -> Option<Vec<(ServerId, Count)>> {
    let mut offers: Vec<_> = offers
        .iter()
        .copied()
        .filter(|&(_, idle)| idle > 0)
        .collect();
    offers.sort_by_key(|&(server, idle)| (std::cmp::Reverse(idle), server));
    let mut missing = count.get();
    let mut selected = Vec::new();
    for (server, idle) in offers {
        let share = idle.min(missing);
        missing -= share;
        selected.push((
            server,
            Count::new(share as u64).expect("a share is at least 1 and at most the job's count"),
        ));
        if missing == 0 {
            return Some(selected);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_with_the_most_idle_runners_come_first() {
        for (count, offers, expected) in [
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
            let selected = assign_servers(Count::new(count).unwrap(), offers).map(|selected| {
                selected
                    .into_iter()
                    .map(|(server, count)| (server, count.get()))
                    .collect::<Vec<_>>()
            });
            assert_eq!(selected.as_deref(), expected, "{count} of {offers:?}");
        }
    }
}

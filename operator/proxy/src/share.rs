//! A proxy's part of what all proxies together may have in a pod.

/// Places that the proxy at `position` of `proxies` gets of a pod's `concurrency`. All shares together are the
/// concurrency, unless there are fewer places than proxies: then each has one.
pub(crate) fn share(concurrency: u32, proxies: u32, position: u32, turn: u32) -> u32 {
    let proxies = proxies.max(1);
    let rank = (u64::from(position) + u64::from(turn)) % u64::from(proxies);
    let left = u64::from(concurrency % proxies);
    (concurrency / proxies + u32::from(rank < left)).max(1)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn the_shares_of_all_proxies_are_the_concurrency() {
        for (concurrency, proxies, turn) in [(10, 2, 0), (3, 2, 7), (7, 3, u32::MAX), (1000, 7, 12), (5, 1, 3)] {
            let shares: Vec<u32> = (0..proxies).map(|at| share(concurrency, proxies, at, turn)).collect();
            assert_eq!(shares.iter().sum::<u32>(), concurrency, "{shares:?}");
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
        }
    }

    #[test]
    fn fewer_places_than_proxies_leave_nobody_without() {
        assert_eq!((0..3).map(|at| share(1, 3, at, 5)).collect::<Vec<_>>(), [1, 1, 1]);
    }
}

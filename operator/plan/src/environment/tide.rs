//! How many generic pods a pool is to hold for the claims that are likely to come: as many as came, lately, in the time
//! that it takes to start a pod. (A claimed pod is replaced after that time, so what is claimed meanwhile must lie ready:
//! claim rate × start time.)
//!
//! It rises at once and falls slowly, by half in a minute: claims come in bursts, and a pod that is there costs less than
//! one that is missed. After a few quiet minutes nothing is left of it.

use std::time::Duration;

use crate::seen::SeenPod;

/// In this time without claims, half as many pods are held.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// What a pod's start is taken to last while none has been seen.
pub const USUAL_START: Duration = Duration::from_secs(3);
/// What it is taken to last at most: a pod that waited for its image says little of the next one's.
const LONGEST_START: i64 = 60;
/// A size that was written is seen within this time. Until then, a pool that is smaller says nothing.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// The level of one pool. Times are those of any clock that only goes forward.
#[derive(Clone, Debug, PartialEq)]
pub struct Tide {
    level: f64,
    at: Duration,
    /// When more was asked for than was held.
    risen: Option<Duration>,
}

impl Tide {
    /// As it is held to be when nothing is known of the past: so high as to leave a pool of `pods` as it is at first.
    pub fn new(pods: i32, now: Duration) -> Self {
        Self { level: f64::from(pods.max(0)), at: now, risen: None }
    }

    /// Takes the replicas that the pool is asked to have. We never ask for fewer than are held, unless the pool may have
    /// no more. So when they are fewer, that is all there is to hold, or somebody else made the pool smaller (an operator
    /// that led meanwhile, or leads as well), and it is not pushed up again for what was held: only for what is asked for.
    pub fn follow(&mut self, replicas: i32, now: Duration) {
        let is_seen = self.risen.is_none_or(|risen| risen + SEEN_WITHIN <= now);
        if is_seen && replicas < self.pods() {
            self.level = f64::from(replicas.max(0));
        }
    }

    /// Since when claims have not been looked at.
    pub fn seen(&self) -> Duration {
        self.at
    }

    /// Takes what is asked for now, and gives the pods to hold.
    pub fn rise(&mut self, asked: i32, now: Duration) -> i32 {
        let quiet = now.saturating_sub(self.at).as_secs_f64();
        let fallen = self.level * 0.5f64.powf(quiet / HALF_LIFE.as_secs_f64());
        if f64::from(asked) > fallen {
            self.risen = Some(now);
        }
        (self.level, self.at) = (fallen.max(f64::from(asked)), now);
        self.pods()
    }

    /// When it will have fallen by one pod, if nothing comes; none: it has none.
    pub fn falls_in(&self) -> Option<Duration> {
        let pods = self.pods();
        let edge = f64::from(pods) - 0.5;
        (pods > 0).then(|| HALF_LIFE.mul_f64((self.level / edge).log2().max(0.0)) + Duration::from_millis(10))
    }

    fn pods(&self) -> i32 {
        self.level.round() as i32
    }
}

/// The most of these claims that came within one start of each other, and ended after `since`. They are in the order
/// of their times.
pub fn claimed_in_one_start<'a>(
    claims: impl IntoIterator<Item = &'a Duration>,
    start: Duration,
    since: Duration,
) -> i32 {
    let claims: Vec<Duration> = claims.into_iter().copied().collect();
    let mut first = 0;
    let mut most = 0;
    for (last, time) in claims.iter().enumerate() {
        while claims.get(first).is_some_and(|begun| *begun + start < *time) {
            first += 1;
        }
        if *time > since {
            most = most.max(last + 1 - first);
        }
    }
    i32::try_from(most).unwrap_or(i32::MAX)
}

/// How long a generic pod takes to be ready: what lies in the middle of those that are free now.
pub fn start_time(pods: &[SeenPod]) -> Option<Duration> {
    let free = pods.iter().filter(|pod| pod.state() == Some(muon_crds::words::State::Free));
    let mut seconds: Vec<i64> = free.filter_map(|pod| pod.started_in).collect();
    seconds.sort_unstable();
    // The API server's times are whole seconds.
    let middle = seconds.get(seconds.len() / 2)?.clamp(&1, &LONGEST_START);
    Some(Duration::from_secs(middle.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_steady_stream_holds_its_rate_times_the_start() {
        let start = at(4.0);
        let claims: Vec<Duration> = (1..600).map(|number| at(f64::from(number) * 0.5)).collect();
        let mut tide = Tide::new(0, at(0.0));
        // Looked at every five seconds; two claims a second, four seconds a start.
        for second in (5..300).step_by(5) {
            let now = at(f64::from(second));
            let come = claims.iter().filter(|time| **time <= now);
            let pods = tide.rise(claimed_in_one_start(come, start, tide.seen()), now);
            assert!((8..=9).contains(&pods), "{pods} at {second} s");
        }
    }

    #[test]
    fn a_burst_is_remembered_and_forgotten_by_half_in_a_minute() {
        let burst: Vec<Duration> = (0..20).map(|number| at(10.0 + f64::from(number) * 0.01)).collect();
        let mut tide = Tide::new(0, at(0.0));
        let asked = claimed_in_one_start(&burst, at(3.0), tide.seen());
        assert_eq!(tide.rise(asked, at(10.5)), 20, "at once, however late it is looked at");
        assert_eq!(claimed_in_one_start(&burst, at(3.0), tide.seen()), 0, "a claim counts once");
        let held: Vec<i32> = (1..8).map(|minute| tide.rise(0, at(10.5 + f64::from(minute) * 60.0))).collect();
        assert_eq!(held, [10, 5, 3, 1, 1, 0, 0]);
        assert_eq!(tide.falls_in(), None);
    }

    #[test]
    fn a_second_burst_finds_what_the_first_one_needed() {
        let mut tide = Tide::new(0, at(0.0));
        assert_eq!(tide.rise(10, at(1.0)), 10);
        assert_eq!(tide.rise(2, at(21.0)), 8, "what is asked for less than is held changes nothing");
        assert_eq!(tide.rise(10, at(31.0)), 10);
    }

    #[test]
    fn it_is_known_when_one_pod_fewer_is_held() {
        let mut tide = Tide::new(0, at(0.0));
        tide.rise(4, at(0.0));
        let mut now = at(0.0);
        for pods in [3, 2, 1, 0] {
            now += tide.falls_in().unwrap();
            let mut just_before = tide.clone();
            assert_eq!(just_before.rise(0, now - at(0.02)), pods + 1);
            assert_eq!(tide.rise(0, now), pods);
        }
    }

    #[test]
    fn an_operator_that_knows_nothing_lets_a_pool_shrink_slowly() {
        let mut tide = Tide::new(12, at(100.0));
        assert_eq!(tide.rise(0, at(100.0)), 12);
        assert_eq!(tide.rise(0, at(160.0)), 6);
    }

    #[test]
    fn a_pool_that_somebody_else_made_smaller_is_not_pushed_up_again() {
        let mut tide = Tide::new(12, at(0.0));
        tide.follow(12, at(1.0));
        assert_eq!(tide.rise(0, at(1.0)), 12);
        tide.follow(5, at(2.0));
        assert_eq!(tide.rise(0, at(2.0)), 5);
        assert_eq!(tide.rise(7, at(3.0)), 7, "but for what is asked for");
        tide.follow(5, at(4.0));
        assert_eq!(tide.rise(0, at(4.0)), 7, "the watch may not have told yet that there are to be seven");
        tide.follow(7, at(30.0));
        assert_eq!(tide.rise(0, at(30.0)), 5, "what is there does not hold the level");
        tide.follow(7, at(31.0));
        assert_eq!(tide.rise(0, at(31.0)), 5, "nor raises it");
    }

    #[test]
    fn the_time_of_a_start_is_that_of_the_pod_in_the_middle() {
        let pod = |state: &str, started_in| SeenPod { state: state.to_owned(), started_in, ..SeenPod::default() };
        assert_eq!(start_time(&[]), None);
        assert_eq!(start_time(&[pod("free", None), pod("claimed", Some(9))]), None, "a load makes a pod unready");
        let pods = [pod("free", Some(2)), pod("free", Some(86_400)), pod("free", Some(3))];
        assert_eq!(start_time(&pods), Some(at(3.0)));
        assert_eq!(start_time(&[pod("free", Some(0))]), Some(at(1.0)));
        assert_eq!(start_time(&[pod("free", Some(86_400))]), Some(at(60.0)));
    }
}

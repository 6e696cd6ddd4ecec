//! Where the time of a request went.

use std::time::{Duration, Instant};

use muon_crds::wire::LoadReport;

/// How a pod came to have the code, as the proxy saw it that had it loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loading {
    /// When a pod was first asked for; none: there was one.
    pub(crate) asked: Option<Instant>,
    /// When its agent was asked.
    pub(crate) begun: Instant,
    /// When its agent had answered.
    pub(crate) ended: Instant,
    /// What the agent said of its own phases.
    pub(crate) report: LoadReport,
}

/// A part of a request's time: when it began, counted from the request, and how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Since the request began.
    pub from: Duration,
    /// Its length.
    pub took: Duration,
}

/// The part of a request's time in which its pod was got and loaded. A request that came while others already waited
/// for the same pod has what was left of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cold {
    /// Until there was a pod: reserved, claimed, or scaled up.
    pub claim: Option<Part>,
    /// The agent's call.
    pub load: Part,
    /// Inside of it, as the agent says: none where the code was there.
    pub steps: Option<Steps>,
}

/// The steps of a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Getting the package from the store.
    pub fetch: Part,
    /// Verifying its digest. It is done piece by piece while it comes; told as if it were done at the end.
    pub verify: Part,
    /// What of unpacking was left then.
    pub unpack: Part,
    /// The runtime's import of the code.
    pub import: Part,
}

impl Cold {
    /// What of it fell into the time of a request; none if the pod was loaded before.
    pub(crate) fn within(loading: &Loading, started: Instant) -> Option<Self> {
        if loading.ended <= started {
            return None;
        }
        let part = |from: Instant, to: Instant| {
            let from = from.max(started);
            Part { from: from.saturating_duration_since(started), took: to.saturating_duration_since(from) }
        };
        let LoadReport { fetch_us, verify_us, unpack_us, load_us, already } = loading.report;
        let steps = (!already).then(|| {
            // The agent tells lengths; it answers as soon as the last step is done.
            let back = |from: Instant, micros: u64| {
                from.checked_sub(Duration::from_micros(micros)).unwrap_or(from).max(loading.begun)
            };
            let import = back(loading.ended, load_us);
            let unpack = back(import, unpack_us);
            let verify = back(unpack, verify_us);
            Steps {
                fetch: part(back(verify, fetch_us), verify),
                verify: part(verify, unpack),
                unpack: part(unpack, import),
                import: part(import, loading.ended),
            }
        });
        let claim = loading.asked.filter(|_| loading.begun > started).map(|asked| part(asked, loading.begun));
        Some(Self { claim, load: part(loading.begun, loading.ended), steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn part(from: u64, took: u64) -> Part {
        Part { from: ms(from), took: ms(took) }
    }

    fn loading(base: Instant, already: bool) -> Loading {
        let report = LoadReport { fetch_us: 10_000, verify_us: 4_000, unpack_us: 5_000, load_us: 20_000, already };
        Loading { asked: Some(base + ms(1)), begun: base + ms(6), ended: base + ms(46), report }
    }

    #[test]
    fn steps_end_with_the_load() {
        let started = Instant::now();
        let cold = Cold::within(&loading(started, false), started).unwrap();
        assert_eq!((cold.claim, cold.load), (Some(part(1, 5)), part(6, 40)));
        let steps = cold.steps.unwrap();
        assert_eq!(
            (steps.fetch, steps.verify, steps.unpack, steps.import),
            (part(7, 10), part(17, 4), part(21, 5), part(26, 20))
        );
    }

    #[test]
    fn who_came_later_has_what_was_left() {
        let base = Instant::now();
        let cold = Cold::within(&loading(base, false), base + ms(16)).unwrap();
        assert_eq!((cold.claim, cold.load), (None, part(0, 30)));
        assert_eq!((cold.steps.unwrap().fetch, cold.steps.unwrap().verify), (part(0, 1), part(1, 4)));
        assert_eq!(Cold::within(&loading(base, false), base + ms(46)), None);
        assert_eq!(Cold::within(&loading(base, true), base).unwrap().steps, None);
    }
}

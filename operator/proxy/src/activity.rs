//! What this proxy has seen and is doing, for the operator.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use muon_crds::wire::{Activity, FunctionActivity, LoadFailure, PodActivity};

use crate::proxy::Proxy;
use crate::slots::Load;

/// Changes that come together are told together.
const TOGETHER: Duration = Duration::from_millis(10);

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Proxy {
    /// The activity, as soon as its sequence has passed `after`, or when `wait` is over.
    pub(crate) async fn activity_after(&self, after: u64, wait: Duration) -> Activity {
        let mut sequence = self.shared.sequence.subscribe();
        let passed =
            tokio::time::timeout(wait, sequence.wait_for(|now| *now > after)).await.is_ok_and(|seen| seen.is_ok());
        if passed {
            tokio::time::sleep(TOGETHER.min(wait)).await;
        }
        self.activity()
    }

    /// The activity now.
    pub fn activity(&self) -> Activity {
        // The sequence is read first: what changes from here on is told again.
        let seq = *self.shared.sequence.borrow();
        let now = Instant::now();
        let mut activity = Activity {
            proxy: self.shared.config.name.clone(),
            seq,
            up_ms: self.complete.get().map_or(0, |since| millis(since.elapsed())),
            seen: *self.seen.lock().unwrap_or_else(PoisonError::into_inner),
            ..Activity::default()
        };
        for served in self.all_served() {
            let inner = served.lock();
            let idle = if inner.is_idle() {
                inner.last_end().map(|last| now.saturating_duration_since(last))
            } else {
                Some(Duration::ZERO)
            };
            let loaded = inner.slots.loaded_pods();
            // One that is kept loaded and was never called is idle for as long as this proxy knows.
            let since_ever = (loaded > 0).then(|| Duration::from_millis(activity.up_ms));
            if let Some(idle) = idle.or(since_ever) {
                activity.functions.push(FunctionActivity {
                    uid: served.uid.to_string(),
                    in_flight: inner.slots.in_flight(),
                    queued: inner.queued(),
                    wanted: served.wanted(&inner),
                    idle_ms: millis(idle),
                    loaded,
                });
            }
            for (endpoint, load) in inner.slots.endpoints() {
                let broken = load == Load::Broken;
                if let Some(idle) = endpoint.idle_for(now).or(broken.then_some(Duration::ZERO)) {
                    activity.pods.push(PodActivity {
                        uid: endpoint.uid.to_string(),
                        in_flight: endpoint.in_flight(),
                        idle_ms: millis(idle),
                        loaded: load == Load::Loaded,
                        broken,
                    });
                }
            }
            if let Some(failure) = &inner.failure {
                activity.failures.push(LoadFailure {
                    uid: served.uid.to_string(),
                    revision: failure.revision.clone(),
                    message: failure.message.clone(),
                    reason: failure.reason.clone(),
                });
            }
        }
        activity
    }
}

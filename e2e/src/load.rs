//! A small open-loop load: requests start by the clock and not by the answers, so that a stall is seen as such.
//! Bounded in count and time, and only ever sent to a cluster of our own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use crate::route::{Reply, Route};

const LONGEST: Duration = Duration::from_secs(120);
const MOST: usize = 20_000;

/// A load that runs until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    worker: JoinHandle<Vec<Shot>>,
}

/// One request of a load.
#[derive(Clone, Debug)]
pub struct Shot {
    /// When it was sent.
    pub sent: Instant,
    /// When its answer was there.
    pub answered: Instant,
    /// The answer, or why there is none.
    pub result: Result<Reply, String>,
}

impl Load {
    /// Sends GETs to the path, this many in a second.
    pub fn start(route: &Route, path: &str, per_second: u32) -> Self {
        assert!(is_ours(route), "load goes to a cluster of our own only");
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let worker = tokio::spawn(run(
            route.clone(),
            path.to_owned(),
            Duration::from_secs(1) / per_second,
            Arc::clone(&stop),
            Arc::clone(&answered),
        ));
        Self { stop, answered, worker }
    }

    /// Lets so many more requests be answered, well or badly.
    pub async fn more(&self, count: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + count;
        crate::wait::until("the load goes on", Duration::from_secs(60), async || {
            (self.answered.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
    }

    /// Sends no more, waits for the answers under way, and gives them all in the order of their sending.
    pub async fn stop(self) -> Vec<Shot> {
        self.stop.store(true, Ordering::Relaxed);
        let mut shots = self.worker.await.expect("the load ran to its end");
        shots.sort_by_key(|shot| shot.sent);
        shots
    }
}

/// The benchmark network and the loopback interface, and nothing else in the world.
fn is_ours(route: &Route) -> bool {
    let base = route.base().strip_prefix("http://").unwrap_or_default();
    ["198.18.", "198.19.", "127."].iter().any(|ours| base.starts_with(ours))
}

async fn run(
    route: Route,
    path: String,
    period: Duration,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
) -> Vec<Shot> {
    let deadline = Instant::now() + LONGEST;
    let mut clock = tokio::time::interval(period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    let mut shots = Vec::new();
    while !stop.load(Ordering::Relaxed) && Instant::now() < deadline && shots.len() + under_way.len() < MOST {
        clock.tick().await;
        while let Some(shot) = under_way.try_join_next() {
            shots.push(shot.expect("a request ends"));
        }
        let (route, path, answered) = (route.clone(), path.clone(), Arc::clone(&answered));
        under_way.spawn(async move {
            let sent = Instant::now();
            let result = route.try_send(route.request(Method::GET, &path)).await;
            answered.fetch_add(1, Ordering::Relaxed);
            Shot { sent, answered: Instant::now(), result }
        });
    }
    while let Some(shot) = under_way.join_next().await {
        shots.push(shot.expect("a request ends"));
    }
    shots
}

impl Shot {
    /// The text of a good answer.
    pub fn text(&self) -> Option<String> {
        self.result.as_ref().ok().filter(|reply| reply.status == 200).map(Reply::text)
    }
}

/// Panics over every request that was not answered well, and says how many were.
pub fn none_lost(shots: &[Shot]) -> usize {
    let lost: Vec<String> = shots
        .iter()
        .enumerate()
        .filter(|(_, shot)| shot.text().is_none())
        .map(|(n, shot)| match &shot.result {
            Ok(reply) => format!("#{n}: {} {}", reply.status, reply.text()),
            Err(error) => format!("#{n}: {error}"),
        })
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} requests were lost:\n{}",
        lost.len(),
        shots.len(),
        lost.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
    );
    shots.len()
}

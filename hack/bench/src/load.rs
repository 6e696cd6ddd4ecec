//! The client side: connections, and an open-loop load over them.

mod connection;
mod flood;
mod pace;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

pub(crate) use connection::{Answer, Connection, Target};
pub(crate) use flood::{Flood, Flooded};

use crate::error::Error;
use pace::Pace;

/// Latencies are kept from a microsecond to a minute, to three digits.
const LATENCY: (u64, u64, u8) = (1_000, 60_000_000_000, 3);

/// What a load gave.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// From the moment at which a request was due (open loop) or sent (closed loop) to the end of its reply, in
    /// nanoseconds, of requests answered with 200.
    latency: Histogram<u64>,
    /// Requests answered with 200.
    pub(crate) answered: u64,
    /// Requests turned away in order: 503 with Retry-After.
    pub(crate) shed: u64,
    /// Requests answered otherwise, or not.
    pub(crate) failed: u64,
    /// The first failure, in words.
    pub(crate) why: Option<String>,
    /// How long it lasted.
    pub(crate) time: Duration,
}

impl Load {
    fn new() -> Result<Self, Error> {
        let latency = Histogram::new_with_bounds(LATENCY.0, LATENCY.1, LATENCY.2);
        let latency = latency.map_err(|error| Error::Request(error.to_string()))?;
        Ok(Self { latency, answered: 0, shed: 0, failed: 0, why: None, time: Duration::ZERO })
    }

    fn count(&mut self, answer: Result<Answer, Error>, latency: Duration) {
        match answer {
            Ok(Answer::Ok) => {
                self.answered += 1;
                self.latency.saturating_record(latency.as_nanos() as u64);
            }
            Ok(Answer::Shed) => self.shed += 1,
            Err(error) => {
                self.failed += 1;
                self.why.get_or_insert(error.to_string());
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.shed += other.shed;
        self.failed += other.failed;
        self.why = self.why.take().or(other.why);
        // Both have the same bounds.
        let _ = self.latency.add(other.latency);
    }

    /// The latency below which the share `q` of the answered requests lies, in milliseconds; NaN without any.
    pub(crate) fn quantile_ms(&self, q: f64) -> f64 {
        if self.latency.is_empty() { f64::NAN } else { self.latency.value_at_quantile(q) as f64 / 1e6 }
    }

    /// Requests answered a second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.time.as_secs_f64()
    }

    /// This load, if every request of it was answered: one with failures measures something else.
    pub(crate) fn whole(self) -> Result<Self, Error> {
        if self.failed + self.shed > 0 || self.answered == 0 {
            return Err(Error::Request(format!(
                "a load with failures is no measurement: {} answered, {} shed, {} failed ({})",
                self.answered,
                self.shed,
                self.failed,
                self.why.unwrap_or_default()
            )));
        }
        Ok(self)
    }
}

/// A number of requests, at this moment.
pub(crate) type InFlight = Arc<AtomicUsize>;

/// An open-loop load.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    /// Requests a second.
    pub(crate) rate: f64,
    /// How long requests become due.
    pub(crate) time: Duration,
    /// Connections at most; a request that finds all of them busy waits, and its latency shows it.
    pub(crate) connections: usize,
    /// Counts what is on its way.
    pub(crate) in_flight: InFlight,
    /// Counts what was answered with 200.
    pub(crate) answered: InFlight,
}

impl Open {
    /// A load of this rate.
    pub(crate) fn new(rate: f64, time: Duration, connections: usize) -> Self {
        Self { rate, time, connections, in_flight: InFlight::default(), answered: InFlight::default() }
    }

    /// Runs it. Latency counts from when a request was due, so that a stall is seen by all requests that it delays
    /// (no coordinated omission).
    pub(crate) async fn run(&self, target: &Target) -> Result<Load, Error> {
        self.spread(std::slice::from_ref(target)).await
    }

    /// The same over several targets, as many connections to each.
    pub(crate) async fn spread(&self, targets: &[Target]) -> Result<Load, Error> {
        let mut tasks = Vec::new();
        let mut open = Vec::new();
        for target in targets.iter().cycle().take(self.connections) {
            open.push(Connection::open(target).await?);
        }
        let begun = Instant::now();
        let pace = Pace::start(self.rate, self.time)?;
        for mut connection in open {
            let (pace, in_flight, answered) = (pace.clone(), self.in_flight.clone(), self.answered.clone());
            tasks.push(tokio::spawn(async move {
                let mut load = Load::new()?;
                while let Some(due) = pace.next().await {
                    in_flight.fetch_add(1, Ordering::Relaxed);
                    let answer = connection.call().await;
                    in_flight.fetch_sub(1, Ordering::Relaxed);
                    answered.fetch_add(usize::from(matches!(answer, Ok(Answer::Ok))), Ordering::Relaxed);
                    load.count(answer, due.elapsed());
                }
                Ok(load)
            }));
        }
        sum(tasks, begun).await
    }
}

/// Closed-loop load: each connection sends its next request when it has the reply; for CPU a request.
pub(crate) async fn closed(target: &Target, time: Duration, connections: usize) -> Result<Load, Error> {
    closed_over(std::slice::from_ref(target), time, connections).await
}

/// The same over several targets, as many connections to each.
pub(crate) async fn closed_over(targets: &[Target], time: Duration, connections: usize) -> Result<Load, Error> {
    let mut open = Vec::new();
    for target in targets.iter().cycle().take(connections) {
        open.push(Connection::open(target).await?);
    }
    let begun = Instant::now();
    let tasks = open
        .into_iter()
        .map(|mut connection| {
            tokio::spawn(async move {
                let mut load = Load::new()?;
                while begun.elapsed() < time {
                    let sent = Instant::now();
                    let answer = connection.call().await;
                    load.count(answer, sent.elapsed());
                }
                Ok(load)
            })
        })
        .collect();
    sum(tasks, begun).await
}

async fn sum(tasks: Vec<tokio::task::JoinHandle<Result<Load, Error>>>, begun: Instant) -> Result<Load, Error> {
    let mut all = Load::new()?;
    for task in tasks {
        all.add(task.await.map_err(|error| Error::Request(error.to_string()))??);
    }
    all.time = begun.elapsed();
    Ok(all)
}

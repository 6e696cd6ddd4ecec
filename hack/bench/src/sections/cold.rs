//! Cold requests, one after another, each held against a bare claim of the same round.
//!
//! Between two of them nothing else goes on: all pools are full, the proxies have reserved again what they reserve, and
//! nobody has written for a while. So every write within a request's time is its own.

mod report;

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};

use crate::audit::{Audit, now};
use crate::bed::{BareClaims, Bed, Proxy, Wanted, account, wait};
use crate::context::Context;
use crate::error::Error;
use crate::load::Connection;
use crate::row::Row;
use crate::samples::Samples;
use crate::scrape::Scraped;

/// Generic pods that each pool keeps: enough that one cold start leaves free ones.
const POOL: usize = 4;
/// The function of the bare claims.
const BARE: &str = "bare";
/// The runtimes, the one without any load time first.
const RUNTIMES: [&str; 3] = ["native", "python", "node"];
/// The parts of a cold start that proxies time.
const PHASES: [&str; 4] = ["route", "claim", "load", "first_byte"];
/// How long nobody has written before a request is sent.
const QUIET: Duration = Duration::from_millis(500);
/// How long after the reply writes are still counted.
const AFTER: Duration = Duration::from_secs(2);

/// What a turn does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// A bare claim.
    Claim,
    /// A cold request to a function of this runtime.
    Cold(usize),
}

/// What one round gave.
#[derive(Default)]
struct Round {
    claim: Samples,
    cold: [Samples; RUNTIMES.len()],
    /// Seconds in each phase, summed over the requests.
    phases: [[f64; PHASES.len()]; RUNTIMES.len()],
    /// Writes by Muon's accounts before the reply, of each cold request, and in a time after it.
    before: Samples,
    after: Samples,
    /// Writes by whomever until the pool is full again, of each.
    whole: Samples,
    /// What was written before the reply.
    written: Vec<String>,
}

pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    Bed::with(context, "cold", async |bed| {
        for runtime in RUNTIMES {
            bed.environment(runtime, context.image(runtime)?, POOL, POOL).await?;
        }
        bed.functions(&[Wanted::new(BARE, RUNTIMES[0])]).await?;
        let proxies = bed.proxies().await?;
        let claims = BareClaims::new(bed, account(context, &proxies[0]).await?, BARE).await?;
        for runtime in RUNTIMES {
            bed.pool_full(runtime, POOL).await?;
        }
        let expected = try_join_all(RUNTIMES.map(|runtime| bed.reserved_in_the_end(runtime))).await?;
        let (claimed, native, other) = (context.size(5, 2), context.size(8, 2), context.size(2, 1));
        let mut rounds = Vec::new();
        let bar = context.progress(context.flags.rounds() * (claimed + native + 2 * other), "cold requests");
        let mut dice = context.dice("cold");
        for number in context.rounds(0.95) {
            let mut turns = vec![Turn::Claim; claimed];
            for runtime in 0..RUNTIMES.len() {
                turns.extend(vec![Turn::Cold(runtime); if runtime == 0 { native } else { other }]);
            }
            let turns = dice.shuffled(turns);
            rounds.push(
                Section { context, bed, claims: &claims, expected: &expected }.round(number, &turns, &bar).await?,
            );
        }
        bar.finish();
        Ok(report::rows(&rounds))
    })
    .await
}

/// What all rounds have in common.
struct Section<'a> {
    context: &'a Context,
    bed: &'a Bed,
    claims: &'a BareClaims<'a>,
    /// How many pods of each runtime the proxies keep reserved.
    expected: &'a [usize],
}

impl Section<'_> {
    async fn round(&self, number: usize, turns: &[Turn], bar: &indicatif::ProgressBar) -> Result<Round, Error> {
        let name = |turn: usize| format!("cold-{number}-{turn}");
        let cold = turns.iter().enumerate().filter_map(|(at, turn)| match turn {
            Turn::Cold(runtime) => Some(Wanted::new(name(at), RUNTIMES[*runtime])),
            Turn::Claim => None,
        });
        self.bed.functions(&cold.collect::<Vec<_>>()).await?;
        let proxies = self.bed.proxies().await?;
        let mut round = Round::default();
        for (at, turn) in turns.iter().enumerate() {
            self.settled().await?;
            match turn {
                Turn::Claim => {
                    let free = self.claims.free(RUNTIMES[0]).await?;
                    let pod = free.first().ok_or_else(|| Error::Cluster("no pod of the pool is free".into()))?;
                    round.claim.push_ms(self.claims.claim(pod).await?);
                }
                Turn::Cold(runtime) => {
                    self.cold(&name(at), *runtime, &proxies, at % proxies.len(), &mut round).await?;
                }
            }
            bar.inc(1);
        }
        forget(self.bed, turns, name).await?;
        Ok(round)
    }

    /// Waits until nothing is left of what went before.
    async fn settled(&self) -> Result<(), Error> {
        for (runtime, reserved) in RUNTIMES.iter().zip(self.expected) {
            self.bed.pool_full(runtime, POOL).await?;
            self.bed.reserved_again(runtime, *reserved).await?;
        }
        Audit::quiet(&self.context.node.audit_log, &self.bed.namespace, QUIET).await
    }

    /// One cold request, and what it cost.
    async fn cold(
        &self,
        name: &str,
        runtime: usize,
        proxies: &[Proxy],
        by: usize,
        round: &mut Round,
    ) -> Result<(), Error> {
        let mut connection = Connection::open(&self.bed.at(proxies[by].address, name)).await?;
        let before = phases(proxies).await?;
        let audit = Audit::begin(&self.context.node.audit_log)?;
        let begun = Instant::now();
        connection.get().await?;
        round.cold[runtime].push_ms(begun.elapsed());
        let replied = now();
        let later = Instant::now() + AFTER;
        self.bed.pool_full(RUNTIMES[runtime], POOL).await?;
        let whole = audit.writes(&self.bed.namespace)?.len();
        tokio::time::sleep_until(later.into()).await;
        let writes = audit.writes(&self.bed.namespace)?;
        let (early, late): (Vec<_>, Vec<_>) =
            writes.iter().filter(|write| write.is_ours()).partition(|write| write.done <= replied);
        round.before.push(early.len() as f64);
        round.after.push(late.len() as f64);
        round.whole.push(whole as f64);
        round.written.extend(early.into_iter().map(crate::audit::Write::text));
        for (sum, (after, before)) in round.phases[runtime].iter_mut().zip(phases(proxies).await?.iter().zip(before)) {
            *sum += after - before;
        }
        Ok(())
    }
}

/// Seconds that cold starts have spent in each phase, by the histograms of all proxies.
async fn phases(proxies: &[Proxy]) -> Result<[f64; PHASES.len()], Error> {
    let mut sums = [0.0; PHASES.len()];
    for proxy in proxies {
        let scraped = Scraped::of(proxy.address).await?;
        for (sum, phase) in sums.iter_mut().zip(PHASES) {
            *sum += scraped.sum(&format!("muon_proxy_cold_seconds_sum{{phase=\"{phase}\"}}"));
        }
    }
    Ok(sums)
}

/// Deletes what the round has claimed, and waits until it is gone: the next round must not pay for it.
async fn forget(bed: &Bed, turns: &[Turn], name: impl Fn(usize) -> String) -> Result<(), Error> {
    let cold = turns.iter().enumerate().filter(|(_, turn)| **turn != Turn::Claim);
    bed.delete(&cold.map(|(at, _)| name(at)).collect::<Vec<_>>()).await?;
    let pods = bed.api::<Pod>();
    let claimed = ListParams::default().labels(muon_crds::words::FUNCTION);
    pods.delete_collection(&DeleteParams::default().grace_period(0), &claimed).await?;
    wait("claimed pods to be gone", 120, || async {
        let left = pods.list(&claimed).await?.items.len();
        Ok(if left == 0 { Ok(()) } else { Err(format!("{left} are there")) })
    })
    .await
}

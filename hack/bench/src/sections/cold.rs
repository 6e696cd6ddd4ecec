//! Cold requests, one after another, each held against a bare claim of the same round.

use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};

use crate::audit::{Audit, now};
use crate::bed::{BareClaims, Bed, Wanted, account, wait};
use crate::context::Context;
use crate::error::Error;
use crate::load::Connection;
use crate::row::Row;
use crate::samples::Samples;

/// Generic pods that each pool keeps: enough that one cold start leaves free ones.
const POOL: usize = 4;
/// The function of the bare claims.
const BARE: &str = "bare";
/// The runtimes, the one without any load time first.
const RUNTIMES: [&str; 3] = ["native", "python", "node"];

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
    /// Writes by Muon's accounts before the reply, of each cold request.
    writes: Samples,
    /// Writes by whomever until the pool is full again, of each.
    whole: Samples,
}

pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    Bed::with(context, "cold", async |bed| {
        for runtime in RUNTIMES {
            bed.environment(runtime, context.image(runtime)?, POOL, POOL).await?;
        }
        bed.functions(&[Wanted::new(BARE, RUNTIMES[0])]).await?;
        let proxies = bed.proxies().await?;
        let claims = BareClaims::new(bed, account(context, &proxies[0]).await?, BARE).await?;
        let mut expected = Vec::new();
        for runtime in RUNTIMES {
            bed.pool_full(runtime, POOL).await?;
            expected.push(bed.reserved_in_the_end(runtime).await?);
        }
        let (native, other) = (context.size(12, 3), context.size(3, 1));
        let mut rounds = Vec::new();
        let bar = context.progress(context.flags.rounds() * (2 * native + 2 * other), "cold requests");
        let mut dice = context.dice("cold");
        for number in context.rounds(0.9) {
            let mut turns = vec![Turn::Claim; native];
            for runtime in 0..RUNTIMES.len() {
                turns.extend(vec![Turn::Cold(runtime); if runtime == 0 { native } else { other }]);
            }
            rounds.push(round(context, bed, &claims, &expected, number, dice.shuffled(turns), &bar).await?);
        }
        bar.finish();
        Ok(report(&rounds))
    })
    .await
}

async fn round(
    context: &Context,
    bed: &Bed,
    claims: &BareClaims<'_>,
    expected: &[usize],
    number: usize,
    turns: Vec<Turn>,
    bar: &indicatif::ProgressBar,
) -> Result<Round, Error> {
    let name = |turn: usize| format!("cold-{number}-{turn}");
    let cold = turns.iter().enumerate().filter_map(|(at, turn)| match turn {
        Turn::Cold(runtime) => Some(Wanted::new(name(at), RUNTIMES[*runtime])),
        Turn::Claim => None,
    });
    bed.functions(&cold.collect::<Vec<_>>()).await?;
    let proxies = bed.proxies().await?;
    let mut round = Round::default();
    for (at, turn) in turns.iter().enumerate() {
        for (runtime, reserved) in RUNTIMES.iter().zip(expected) {
            bed.pool_full(runtime, POOL).await?;
            bed.reserved_again(runtime, *reserved).await?;
        }
        match turn {
            Turn::Claim => {
                let free = claims.free(RUNTIMES[0]).await?;
                let pod = free.first().ok_or_else(|| Error::Cluster("no pod of the pool is free".into()))?;
                round.claim.push_ms(claims.claim(pod).await?);
            }
            Turn::Cold(runtime) => {
                let proxy = &proxies[at % proxies.len()];
                let mut connection = Connection::open(&bed.at(proxy.address, &name(at))).await?;
                let audit = Audit::begin(&context.node.audit_log)?;
                let begun = Instant::now();
                connection.get().await?;
                round.cold[*runtime].push_ms(begun.elapsed());
                let replied = now();
                bed.pool_full(RUNTIMES[*runtime], POOL).await?;
                let writes = audit.writes(&bed.namespace)?;
                let before = writes.iter().filter(|write| write.is_ours() && write.done <= replied).count();
                round.writes.push(before as f64);
                round.whole.push(writes.len() as f64);
            }
        }
        bar.inc(1);
    }
    forget(bed, &turns, name).await?;
    Ok(round)
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

fn report(rounds: &[Round]) -> Vec<Row> {
    let each = |figure: &dyn Fn(&Round) -> f64| Samples::from(rounds.iter().map(figure).collect::<Vec<_>>());
    let claim = Row::new("cold.claim.p50", "ms", &each(&|round| round.claim.median()))
        .note("B: the proxy's own patch, by its account, on a ready pod of a pool; nothing before or behind it");
    let longest = Row::new("cold.claim.max", "ms", &each(&|round| round.claim.max()));
    let mut rows = vec![claim.clone(), longest];
    for (runtime, name) in RUNTIMES.iter().enumerate() {
        let p50 = Row::new(format!("cold.{name}.p50"), "ms", &each(&|round| round.cold[runtime].median()));
        let max = Row::new(format!("cold.{name}.max"), "ms", &each(&|round| round.cold[runtime].max())).against(&p50);
        if runtime == 0 {
            rows.push(
                p50.against(&claim).bar(2.0).stretch(0.5).note("a runtime that loads nothing: what is left is ours"),
            );
            rows.push(max.bar(2.0).stretch(1.5).note("the longest of each round stands for p99"));
        } else {
            rows.push(p50.against(&claim));
            rows.push(max);
        }
    }
    rows.push(Row::new("cold.api-writes", "count", &each(&|round| round.writes.max())).bar(1.0).stretch(0.0).note(
        "by Muon's accounts, received after the request was sent and answered before its reply; the most of each round",
    ));
    rows.push(
        Row::new("cold.api-writes.whole", "count", &each(&|round| round.whole.median()))
            .note("by all accounts, until the pool is full again; without Events and Leases"),
    );
    rows
}

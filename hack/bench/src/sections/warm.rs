//! Warm requests: what each proxy adds to a call of the pod itself, what it costs, and how much it carries.

use std::time::Duration;

use crate::arm::{Arm, Deployed};
use crate::bed::Bed;
use crate::cgroup::Meter;
use crate::context::Context;
use crate::error::Error;
use crate::load::{Open, closed};
use crate::row::Row;
use crate::samples::Samples;

/// Requests a second of the open-loop load.
const RATE: f64 = 1000.0;
/// Connections of every load.
const CONNECTIONS: usize = 32;
/// The latency that a load of the ramp must keep at p99, in milliseconds.
const KEPT: f64 = 10.0;
/// Milliseconds of a load that keeps all connections busy.
const BUSY: u64 = 1000;
/// By how much each load is smaller than the one before that was too large, and how many are tried.
const RAMP: (f64, usize) = (0.88, 14);

/// All that is deployed; the first is what the others are held against.
const ARMS: [Arm; 7] =
    [Arm::Direct, Arm::Muon, Arm::Haproxy, Arm::Nginx, Arm::Traefik, Arm::MuonDirect, Arm::ClusterIp];

/// What the rounds of one arm gave.
#[derive(Default)]
struct Figures {
    p50: Samples,
    p99: Samples,
    /// CPU time of the proxy a request, in microseconds, at the open-loop rate and with all connections busy.
    cpu: Samples,
    cpu_busy: Samples,
    busy: Samples,
    most: Samples,
}

pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    Bed::with(context, "warm", async |bed| {
        bed.environment("native", context.image("native")?, 2, 2).await?;
        bed.deployment("plain", &context.image("native")?, 1).await?;
        let mut deployed = Vec::new();
        for arm in ARMS {
            deployed.push(arm.deploy(context, bed).await?);
        }
        bed.pool_full("native", 2).await?;
        measure(context, &deployed).await
    })
    .await
}

async fn measure(context: &Context, deployed: &[Deployed]) -> Result<Vec<Row>, Error> {
    let rounds = context.flags.rounds();
    let (open, busy) = (Duration::from_secs(context.flags.seconds()), Duration::from_millis(BUSY));
    let mut figures: Vec<Figures> = ARMS.iter().map(|_| Figures::default()).collect();
    let mut client = Samples::default();
    let bar = context.progress(rounds * ARMS.len(), "warm requests");
    let mut dice = context.dice("warm");
    for _ in context.rounds(0.95) {
        for turn in dice.shuffled((0..ARMS.len()).collect()) {
            let (arm, figures) = (&deployed[turn], &mut figures[turn]);
            let (meter, mine) = (Meter::start(&arm.proxies)?, context.client_meter()?);
            let load = Open::new(RATE, open, CONNECTIONS).run(&arm.target).await?.whole()?;
            figures.p50.push(load.quantile_ms(0.5));
            figures.p99.push(load.quantile_ms(0.99));
            figures.cpu.push(meter.used()?.as_secs_f64() * 1e6 / load.answered as f64);
            client.push(mine.processors()?);
            let meter = Meter::start(&arm.proxies)?;
            let load = closed(&arm.target, busy, CONNECTIONS).await?.whole()?;
            figures.cpu_busy.push(meter.used()?.as_secs_f64() * 1e6 / load.answered as f64);
            figures.busy.push(load.rate());
            if matches!(arm.arm, Arm::Direct | Arm::Haproxy | Arm::Muon) {
                figures.most.push(most(arm, load.rate()).await?);
            }
            bar.inc(1);
        }
    }
    bar.finish();
    Ok(report(&figures, &client))
}

/// The largest load whose p99 stays below the limit and that is answered as fast as it becomes due: sought downwards
/// from what the arm carries when nobody keeps to a pace, which is more than that.
async fn most(arm: &Deployed, carried: f64) -> Result<f64, Error> {
    let mut rate = carried;
    for _ in 0..RAMP.1 {
        let load = Open::new(rate, Duration::from_millis(BUSY / 3), 2 * CONNECTIONS).run(&arm.target).await?;
        if load.failed + load.shed == 0 && load.quantile_ms(0.99) <= KEPT {
            return Ok(load.rate());
        }
        rate *= RAMP.0;
    }
    Ok(0.0)
}

fn report(figures: &[Figures], client: &Samples) -> Vec<Row> {
    let of = |arm: Arm| {
        let found = ARMS.iter().position(|other| *other == arm).unwrap_or_default();
        &figures[found]
    };
    let row = |what: &str, unit: &str, arm: Arm, pick: fn(&Figures) -> &Samples| {
        Row::new(format!("warm.{}.{what}", arm.name()), unit, pick(of(arm)))
    };
    let mut rows = Vec::new();
    for arm in ARMS {
        rows.push(row("p50", "ms", arm, |figures| &figures.p50));
        rows.push(row("p99", "ms", arm, |figures| &figures.p99));
        rows.push(row("rate-c32", "1/s", arm, |figures| &figures.busy).more_is_better());
    }
    // The pod itself is no slower for being ours.
    let direct = row("p50", "ms", Arm::Direct, |figures| &figures.p50);
    if let Some(ours) = rows.iter_mut().find(|row| row.id == "warm.muon-direct.p50") {
        *ours = ours.clone().against(&direct).bar(1.02).note(
            "the claimed pod at its own address, against the plain Deployment's: a Function has no ClusterIP that passes the proxy by",
        );
    }
    rows.extend(added(&of));
    for (what, pick) in
        [("cpu", (|figures| &figures.cpu) as fn(&Figures) -> &Samples), ("cpu-c32", |figures| &figures.cpu_busy)]
    {
        let theirs = [Arm::Haproxy, Arm::Nginx, Arm::Traefik].map(|arm| row(what, "us", arm, pick));
        let ours = row(what, "us", Arm::Muon, pick);
        rows.push(
            ours.clone()
                .against(&theirs[0])
                .bar(1.25)
                .stretch(1.0)
                .note("all proxies of ours together, access log as installed"),
        );
        let mut third = ours.against(&theirs[2]).bar(1.0 / 3.0);
        third.id = format!("warm.muon.{what}.traefik");
        rows.push(third);
        rows.extend(theirs);
    }
    let most = |arm| row("max-rate", "1/s", arm, |figures| &figures.most).more_is_better();
    let theirs = most(Arm::Haproxy);
    rows.push(most(Arm::Muon).against(&theirs).stretch(1.0).note(format!(
        "the largest open-loop load with p99 below {KEPT} ms, sought downwards from rate-c32 in steps of 12 %"
    )));
    rows.push(theirs);
    rows.push(most(Arm::Direct));
    rows.push(
        Row::new("warm.client", "cores", client)
            .note("processors that the load client took at 1,000 requests a second, in a cgroup of even weight"),
    );
    rows
}

/// What a proxy adds is what is compared: the pod's own time is the same in all arms.
fn added<'a>(of: &impl Fn(Arm) -> &'a Figures) -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, limit, pick) in
        [("p50", 1.1, (|figures| &figures.p50) as fn(&Figures) -> &Samples), ("p99", 1.2, |figures| &figures.p99)]
    {
        let added = |arm: Arm| {
            Row::new(format!("warm.{}.added.{what}", arm.name()), "ms", &pick(of(arm)).minus(pick(of(Arm::Direct))))
        };
        let theirs = added(Arm::Haproxy);
        rows.push(added(Arm::Muon).against(&theirs).bar(limit).stretch(1.0));
        rows.push(theirs);
        rows.push(added(Arm::Nginx));
        rows.push(added(Arm::Traefik));
    }
    rows
}

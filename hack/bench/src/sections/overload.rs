//! Ten times what a function can carry: what of its peak is still answered, what a client of another function notices,
//! and how much memory the proxies take for it.

use std::time::Duration;

use crate::bed::{Bed, Proxy, Wanted, wait};
use crate::cgroup::Cgroup;
use crate::context::Context;
use crate::error::Error;
use crate::load::{Connection, Flood, Flooded, Load, Open, Target, closed_over};
use crate::row::Row;
use crate::samples::Samples;

const NATIVE: &str = "native";
/// The function that is wanted too much, and its neighbour.
const BUSY: &str = "busy";
const CALM: &str = "calm";
/// Requests that one pod is given at once, its pods, and the milliseconds that each request takes: the capacity is the
/// same however fast the machine is.
const CONCURRENCY: i32 = 4;
const PODS: i32 = 2;
const WORK: u64 = 20;
/// How many times the peak is offered.
const TIMES: f64 = 10.0;
/// More connections than the queue of both proxies has places, so that it does overflow.
const CONNECTIONS: usize = 2_500;
/// Requests a second of the neighbour's client, and its connections.
const RATE: (f64, usize) = (200.0, 16);
/// How long a load lasts, in seconds, and the flood.
const TIME: u64 = 3;
const FLOOD: u64 = 5;
const MIB: f64 = 1024.0 * 1024.0;

/// What the rounds gave.
#[derive(Default)]
struct Figures {
    peak: Samples,
    goodput: Samples,
    shed: Samples,
    failed: Samples,
    alone: Samples,
    beside: Samples,
    memory: Samples,
    client: Samples,
    why: Option<String>,
}

pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    Bed::with(context, "overload", async |bed| {
        bed.environment(NATIVE, context.image(NATIVE)?, 3, 4).await?;
        let busy = Wanted { concurrency: CONCURRENCY, max: PODS, ..Wanted::new(BUSY, NATIVE) };
        bed.functions(&[busy, Wanted::new(CALM, NATIVE)]).await?;
        let proxies = bed.proxies().await?;
        let calm = bed.at(proxies[0].address, CALM);
        Connection::open(&calm).await?.get().await?;
        let busy: Vec<Target> = proxies.iter().map(|proxy| slow(bed, proxy)).collect();
        all_pods(bed, &busy).await?;
        let mut figures = Figures::default();
        let bar = context.progress(context.flags.rounds().min(3), "ten times the capacity");
        for _ in context.few_rounds(3, 0.9) {
            round(context, &proxies, &busy, &calm, &mut figures).await?;
            bar.inc(1);
        }
        bar.finish();
        Ok(report(figures))
    })
    .await
}

fn slow(bed: &Bed, proxy: &Proxy) -> Target {
    let mut target = bed.at(proxy.address, BUSY);
    target.path += &format!("?sleep={WORK}");
    target
}

/// Asks for as much as it takes until the function has all the pods that it may have.
async fn all_pods(bed: &Bed, busy: &[Target]) -> Result<(), Error> {
    wait("the function to have all its pods", 60, || async {
        closed_over(busy, Duration::from_secs(1), 64).await?;
        let pods = bed.pods_of(BUSY).await?.len();
        Ok(if pods >= PODS as usize { Ok(()) } else { Err(format!("{pods} of {PODS} are")) })
    })
    .await
}

async fn round(
    context: &Context,
    proxies: &[Proxy],
    busy: &[Target],
    calm: &Target,
    figures: &mut Figures,
) -> Result<(), Error> {
    let time = Duration::from_secs(TIME);
    let places = (CONCURRENCY * PODS) as usize;
    let peak = closed_over(busy, time, 2 * places).await?.whole()?.rate();
    figures.peak.push(peak);
    figures.alone.push(neighbour(calm).await?.quantile_ms(0.99));
    let flood = Flood { targets: busy.to_vec(), rate: TIMES * peak, seconds: FLOOD as f64, connections: CONNECTIONS };
    let running = flood.start()?;
    let beside = async {
        // In the middle of it: its connections are open, its queue is full.
        tokio::time::sleep(Duration::from_secs(2)).await;
        neighbour(calm).await
    };
    let (flooded, beside, memory) = futures::join!(running.end(), beside, most_memory(context, proxies));
    let Flooded { goodput, shed, failed, why, processors } = flooded?;
    figures.goodput.push(goodput);
    figures.shed.push(shed);
    figures.failed.push(failed as f64);
    figures.client.push(processors);
    figures.beside.push(beside?.quantile_ms(0.99));
    figures.memory.push(memory? / MIB);
    figures.why = figures.why.take().or(why);
    Ok(())
}

/// A client of another function, at an even and modest pace.
async fn neighbour(calm: &Target) -> Result<Load, Error> {
    Open::new(RATE.0, Duration::from_secs(TIME), RATE.1).run(calm).await?.whole()
}

/// The most that one of the proxies holds during the flood, in bytes.
async fn most_memory(context: &Context, proxies: &[Proxy]) -> Result<f64, Error> {
    let groups = proxies.iter().map(|proxy| Cgroup::of_pod(&context.node.cgroup, &proxy.uid));
    let groups = groups.collect::<Result<Vec<_>, _>>()?;
    let mut most = Samples::default();
    for _ in 0..(FLOOD + 2) * 5 {
        groups.iter().for_each(|group| most.push(group.resident()));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(most.max())
}

fn report(figures: Figures) -> Vec<Row> {
    let peak = Row::new("overload.peak", "1/s", &figures.peak).more_is_better().note(format!(
        "closed loop; {PODS} pods of concurrency {CONCURRENCY}, {WORK} ms a request: the most that there can be is {} a second",
        1000 * CONCURRENCY as u64 * PODS as u64 / WORK
    ));
    let alone = Row::new("overload.neighbour.alone.p99", "ms", &figures.alone)
        .note(format!("another function at {} requests a second, nothing else going on", RATE.0));
    let failed = Row::new("overload.failed", "count", &figures.failed).bar(0.0);
    vec![
        Row::new("overload.goodput", "1/s", &figures.goodput)
            .more_is_better()
            .against(&peak)
            .bar(0.9)
            .note(format!("answered with 200 in the {FLOOD} s in which {TIMES} times the peak is offered, open loop, over {CONNECTIONS} connections")),
        peak,
        Row::new("overload.shed", "1/s", &figures.shed).note("503 with Retry-After"),
        failed.note(figures.why.map_or_else(|| "neither answered nor shed".to_owned(), |why| format!("first: {why}"))),
        Row::new("overload.neighbour.p99", "ms", &figures.beside).against(&alone).bar(2.0).note("during the flood"),
        alone,
        Row::new("overload.proxy.memory", "MiB", &figures.memory).bar(128.0).note("the larger of the proxies, at its most"),
        Row::new("overload.client", "cores", &figures.client)
            .note("processors that the flood's client took, a process in a cgroup of its own, of even weight (100)"),
    ]
}

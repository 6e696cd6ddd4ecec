//! A trace in the shape of production's, replayed faster: what memory is held for it, against one replica of everything.

mod calls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use tokio::sync::Notify;

use crate::bed::{Bed, Wanted};
use crate::cgroup::Cgroup;
use crate::context::Context;
use crate::error::Error;
use crate::load::Connection;
use crate::row::Row;
use crate::samples::Samples;
use calls::{Call, FUNCTIONS, calls};

/// How many seconds of the trace pass in one of ours.
const FASTER: f64 = 10.0;
/// Seconds of ours that an idle pod stays.
const IDLE: i32 = 5;
const POOL: (usize, usize) = (3, 20);
/// Creations at once.
const AT_ONCE: usize = 16;
/// How often the pods are counted.
const COUNT_EVERY: Duration = Duration::from_millis(250);

/// What one call was like.
struct Answered {
    call: Call,
    /// From when it was due to the end of its reply, in seconds of ours.
    took: f64,
    failed: bool,
}

pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    Bed::with(context, "trace", async |bed| {
        let functions = context.size(FUNCTIONS, 200);
        let seconds = context.size(700, 240) as f64;
        let trace = calls(context.dice("trace"), functions, seconds);
        bed.environment("native", context.image("native")?, POOL.0, POOL.1).await?;
        let plain = bed.deployment("plain", &context.image("native")?, 1).await?;
        let plain = memory(context, &plain)?;
        bed.undeploy("plain").await?;
        let wanted = Wanted::many(functions, "trace", "native").into_iter();
        let wanted: Vec<_> = wanted.map(|one| Wanted { max: 10, concurrency: 1, idle_seconds: IDLE, ..one }).collect();
        futures::stream::iter(&wanted)
            .map(|one| async { bed.function(one).await.and(bed.route(&one.name, &one.name).await) })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        bed.ready(60 + functions as u64 / 2).await?;
        bed.pool_full("native", POOL.0).await?;
        let generic = memory(context, &bed.generic("native").await?)?;

        let over = Arc::new(Notify::new());
        let replayed = async {
            let answered = replay(context, bed, &trace).await;
            over.notify_one();
            answered
        };
        let (answered, held) = futures::join!(replayed, pod_seconds(bed, &over));
        Ok(report(&answered?, Held { pods: held?, generic, plain, functions, seconds: seconds / FASTER }))
    })
    .await
}

/// Every call when it is due, on a connection of its own.
async fn replay(context: &Context, bed: &Bed, trace: &[Call]) -> Result<Vec<Answered>, Error> {
    let proxies = bed.proxies().await?;
    let bar = context.progress(trace.len(), "calls of a trace");
    let begun = Instant::now();
    let calls = trace.iter().enumerate().map(|(number, call)| {
        let mut target = bed.at(proxies[number % proxies.len()].address, &format!("trace-{}", call.function));
        target.path += &format!("?sleep={:.0}", call.duration / FASTER * 1e3);
        let bar = bar.clone();
        async move {
            let due = begun + Duration::from_secs_f64(call.at / FASTER);
            tokio::time::sleep_until(due.into()).await;
            let reply = async { Connection::open(&target).await?.get().await }.await;
            bar.inc(1);
            Answered { call: *call, took: due.elapsed().as_secs_f64(), failed: reply.is_err() }
        }
    });
    let answered = futures::future::join_all(calls).await;
    bar.finish();
    Ok(answered)
}

/// The sum over all pods of the seconds that each was there, from now on.
async fn pod_seconds(bed: &Bed, over: &Notify) -> Result<f64, Error> {
    let mut sum = 0.0;
    let mut before = Instant::now();
    loop {
        let ended = tokio::time::timeout(COUNT_EVERY, over.notified()).await.is_ok();
        // Also those on their way out: their memory is still held.
        let pods = bed.api::<Pod>().list_metadata(&ListParams::default()).await?.items.len();
        sum += pods as f64 * before.elapsed().as_secs_f64();
        before = Instant::now();
        if ended {
            return Ok(sum);
        }
    }
}

/// Resident memory of a pod of these, in bytes: the middle one.
fn memory(context: &Context, pods: &[Pod]) -> Result<f64, Error> {
    let mut found = Samples::default();
    for pod in pods {
        found.push(Cgroup::of_pod(&context.node.cgroup, &pod.uid().unwrap_or_default())?.resident());
    }
    Ok(found.median())
}

/// What was held for the trace.
struct Held {
    /// Seconds of all pods of ours together.
    pods: f64,
    /// Memory of one of ours, and of a plain one, in bytes.
    generic: f64,
    plain: f64,
    functions: usize,
    /// How long the replay lasted.
    seconds: f64,
}

fn report(answered: &[Answered], held: Held) -> Vec<Row> {
    let working: f64 = answered.iter().map(|one| one.call.duration / FASTER).sum();
    let (mut added, mut slowdown) = (Samples::default(), Samples::default());
    for one in answered.iter().filter(|one| !one.failed) {
        let duration = one.call.duration / FASTER;
        added.push((one.took - duration).max(0.0) * 1e3);
        slowdown.push(one.took / duration);
    }
    let failed = answered.iter().filter(|one| one.failed).count();
    let ours = held.pods * held.generic / 1e6;
    let plain =
        Row::once("trace.memory.plain", "MB·s", held.functions as f64 * held.seconds * held.plain / 1e6).note(format!(
            "{} Deployments of one replica, {:.1} MB each as one was measured: computed, the node cannot hold as many",
            held.functions,
            held.plain / 1e6
        ));
    vec![
        Row::once("trace.calls", "count", answered.len() as f64).note(format!(
            "of {} functions, most of them never called, in {:.0} s; the trace runs {FASTER} times faster, pod starts do not",
            held.functions, held.seconds
        )),
        Row::once("trace.errors", "count", failed as f64).bar(0.0),
        Row::once("trace.memory.muon", "MB·s", ours).against(&plain).bar(0.1).stretch(0.05).note(format!(
            "pods of the pool and of functions, {:.1} MB each with the agent; Muon's own parts not counted; idle pods stay {IDLE} s",
            held.generic / 1e6
        )),
        plain,
        Row::once("trace.memory.used-share", "", working * held.generic / 1e6 / ours)
            .more_is_better()
            .note("memory-seconds of pods while they worked, of all that were held"),
        Row::once("trace.added.p50", "ms", added.median()).note("latency beyond the function's own time, cold starts included"),
        Row::once("trace.added.p99", "ms", added.quantile(0.99)),
        Row::once("trace.slowdown.p99", "", slowdown.quantile(0.99)).note("latency divided by the function's own time"),
    ]
}

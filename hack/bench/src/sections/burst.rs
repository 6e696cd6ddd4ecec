//! Many first requests at once: to one function, to as many functions as the pool has pods, to more than it has.

use std::time::Instant;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::bed::{BareClaims, Bed, Wanted, account};
use crate::context::Context;
use crate::error::Error;
use crate::load::Connection;
use crate::row::Row;
use crate::samples::Samples;

const NATIVE: &str = "native";
/// The function of the bare claims.
const BARE: &str = "bare";
/// Requests at once to one function.
const ONE: usize = 50;
/// Generic pods of the pool that runs dry.
const DRY: usize = 3;

/// What one burst gave.
struct Burst {
    /// When the last reply was there, in milliseconds.
    last: f64,
    errors: f64,
}

pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    let mut rows = Bed::with(context, "burst-one", async |bed| one(context, bed).await).await?;
    rows.extend(Bed::with(context, "burst-many", async |bed| many(context, bed).await).await?);
    rows.extend(Bed::with(context, "burst-dry", async |bed| dry(context, bed).await).await?);
    Ok(rows)
}

/// All requests at the same moment, each over a connection of its own, spread over all proxies.
async fn burst(bed: &Bed, functions: &[String]) -> Result<Burst, Error> {
    let proxies = bed.proxies().await?;
    let mut connections = Vec::new();
    for (number, function) in functions.iter().enumerate() {
        connections.push(Connection::open(&bed.at(proxies[number % proxies.len()].address, function)).await?);
    }
    let begun = Instant::now();
    let replies = join_all(connections.iter_mut().map(Connection::get)).await;
    let last = begun.elapsed().as_secs_f64() * 1e3;
    let errors = replies.iter().filter(|reply| reply.is_err()).count() as f64;
    Ok(Burst { last, errors })
}

/// As many cold functions, called once each at the same moment, and gone again.
async fn cold(bed: &Bed, count: usize, prefix: &str) -> Result<Burst, Error> {
    let functions = Wanted::many(count, prefix, NATIVE);
    bed.functions(&functions).await?;
    let names: Vec<String> = functions.into_iter().map(|function| function.name).collect();
    let found = burst(bed, &names).await?;
    bed.delete(&names).await?;
    Ok(found)
}

/// Fifty requests at once to one cold function.
async fn one(context: &Context, bed: &Bed) -> Result<Vec<Row>, Error> {
    const POOL: usize = 4;
    bed.environment(NATIVE, context.image(NATIVE)?, POOL, POOL).await?;
    let (mut last, mut errors, mut claims) = (Samples::default(), Samples::default(), Samples::default());
    let bar = context.progress(context.flags.rounds(), "50 requests to one cold function");
    for number in context.rounds(0.2) {
        // It may have ten pods: that it takes one is what is shown.
        let function = Wanted { max: 10, concurrency: 100, ..Wanted::new(format!("one-{number}"), NATIVE) };
        bed.functions(std::slice::from_ref(&function)).await?;
        bed.pool_full(NATIVE, POOL).await?;
        let found = burst(bed, &vec![function.name.clone(); ONE]).await?;
        last.push(found.last);
        errors.push(found.errors);
        claims.push(bed.claimed(&function.name).await? as f64);
        bed.delete(&[function.name]).await?;
        bar.inc(1);
    }
    bar.finish();
    Ok(vec![
        Row::new("burst.one.last-reply", "ms", &last),
        Row::new("burst.one.errors", "count", &errors).bar(0.0).stretch(0.0),
        Row::new("burst.one.claims", "count", &claims).bar(1.0).stretch(1.0).note("met by both proxies at once"),
    ])
}

/// As many cold functions at once as the pool has pods, against as many bare claims at once.
async fn many(context: &Context, bed: &Bed) -> Result<Vec<Row>, Error> {
    let pool = context.size(50, 6);
    bed.environment(NATIVE, context.image(NATIVE)?, pool, pool).await?;
    bed.functions(&[Wanted::new(BARE, NATIVE)]).await?;
    let proxies = bed.proxies().await?;
    let claims = BareClaims::new(bed, account(context, &proxies[0]).await?, BARE).await?;
    let (mut last, mut errors, mut bare) = (Samples::default(), Samples::default(), Samples::default());
    let bar = context.progress(2 * context.flags.rounds().min(3), "as many cold functions as pods");
    let mut dice = context.dice("burst");
    for number in context.few_rounds(3, 0.65) {
        for ours in dice.shuffled(vec![true, false]) {
            bed.pool_full(NATIVE, pool).await?;
            if ours {
                let found = cold(bed, pool, &format!("many-{number}")).await?;
                last.push(found.last);
                errors.push(found.errors);
            } else {
                // Those that proxies have reserved are theirs: as many claims as pods are free, scaled to all of them.
                let free = claims.free(NATIVE).await?;
                claims.awaken(free.len()).await;
                let begun = Instant::now();
                for claimed in join_all(free.iter().map(|pod| claims.claim(pod))).await {
                    claimed?;
                }
                bare.push(begun.elapsed().as_secs_f64() * 1e3 * pool as f64 / free.len() as f64);
                for pod in &free {
                    claims.forget(pod).await?;
                }
            }
            bar.inc(1);
        }
    }
    bar.finish();
    let bare = Row::new("burst.many.bare-claims", "ms", &bare).note(format!("{pool} bare claims at once"));
    Ok(vec![
        Row::new("burst.many.last-reply", "ms", &last)
            .against(&bare)
            .bar(1.5)
            .stretch(1.1)
            .note(format!("{pool} cold functions at once, a pool of {pool}")),
        bare,
        Row::new("burst.many.errors", "count", &errors).bar(0.0).stretch(0.0),
    ])
}

/// More cold functions at once than the pool has pods, against a plain Deployment that grows to as many.
async fn dry(context: &Context, bed: &Bed) -> Result<Vec<Row>, Error> {
    let count = context.size(20, 6);
    bed.environment(NATIVE, context.image(NATIVE)?, DRY, count).await?;
    let (mut last, mut errors, mut bare) = (Samples::default(), Samples::default(), Samples::default());
    let bar = context.progress(2 * context.flags.rounds().min(3), "more cold functions than pods");
    let mut dice = context.dice("dry");
    for number in context.few_rounds(3, 0.95) {
        for ours in dice.shuffled(vec![true, false]) {
            bed.quiet(NATIVE, DRY).await?;
            if ours {
                let found = cold(bed, count, &format!("dry-{number}")).await?;
                last.push(found.last);
                errors.push(found.errors);
            } else {
                let name = format!("grows-{number}");
                bed.deployment(&name, &context.image(NATIVE)?, DRY).await?;
                let replicas = json!({"spec": {"replicas": count}});
                let begun = Instant::now();
                bed.api::<Deployment>().patch(&name, &PatchParams::default(), &Patch::Merge(replicas)).await?;
                bed.scaled(&name, count).await?;
                bare.push(begun.elapsed().as_secs_f64() * 1e3);
                bed.undeploy(&name).await?;
            }
            bar.inc(1);
        }
    }
    bar.finish();
    let bare =
        Row::new("burst.dry.bare-scaling", "ms", &bare).note(format!("a plain Deployment from {DRY} to {count} pods"));
    Ok(vec![
        Row::new("burst.dry.last-reply", "ms", &last)
            .against(&bare)
            .stretch(1.1)
            .note(format!("{count} cold functions at once, a pool of {DRY}")),
        bare,
        Row::new("burst.dry.errors", "count", &errors).bar(0.0),
    ])
}

//! The control of the benchmark itself: a build that is worse on purpose must look worse, or the figures say nothing.
//!
//! The program with the feature `weakened` knows no home proxy, joins nobody who asks for a pod, and finds routes in a
//! list. It runs as one more pod with the proxies' account; no other proxy, no Service and not the operator knows it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use muon_crds::{HTTPTrigger, words};
use serde_json::json;

use crate::bed::{Bed, Wanted, from, is_ready, wait};
use crate::cgroup::{Cgroup, Meter};
use crate::context::Context;
use crate::error::Error;
use crate::load::{Connection, Target, closed};
use crate::row::Row;
use crate::samples::Samples;

const NATIVE: &str = "native";
const POOL: usize = 12;
/// Name of the weakened proxy's pod.
const NAME: &str = "muon-bench-weakened";
/// Requests at once to one cold function.
const ONE: usize = 50;
/// Creations at once.
const AT_ONCE: usize = 16;

/// A proxy under measurement.
struct Proxy {
    address: IpAddr,
    group: [Cgroup; 1],
}

/// What the rounds of one of the two gave.
#[derive(Default)]
struct Figures {
    claims: Samples,
    cold: Samples,
    lookup: Samples,
}

pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    Bed::with(context, "weakened", async |bed| {
        let pods: Api<Pod> = Api::namespaced(bed.client.clone(), "muon-system");
        remove(&pods).await?;
        let result = measure(context, bed, &pods).await;
        remove(&pods).await?;
        result
    })
    .await
}

async fn remove(pods: &Api<Pod>) -> Result<(), Error> {
    if pods.get_opt(NAME).await?.is_some() {
        pods.delete(NAME, &DeleteParams::default().grace_period(0)).await?;
    }
    wait("the weakened proxy to be gone", 60, || async {
        Ok(if pods.get_opt(NAME).await?.is_none() { Ok(()) } else { Err("it is there".to_owned()) })
    })
    .await
}

async fn measure(context: &Context, bed: &Bed, pods: &Api<Pod>) -> Result<Vec<Row>, Error> {
    bed.environment(NATIVE, context.image(NATIVE)?, POOL, POOL).await?;
    let weakened = start(context, bed, pods).await?;
    let real = bed.proxies().await?.remove(0);
    let real = Proxy { address: real.address, group: [Cgroup::of_pod(&context.node.cgroup, &real.uid)?] };
    bed.functions(&[Wanted::new("warm", NATIVE)]).await?;
    let last = routes(bed, context.size(500, 300)).await?;
    let mut figures = [Figures::default(), Figures::default()];
    let bar = context.progress(context.flags.rounds().min(3) * 2, "the weakened build");
    let mut dice = context.dice("weakened");
    for round in context.few_rounds(3, 0.9) {
        for which in dice.shuffled(vec![0, 1]) {
            let (proxy, figures) = ([&real, &weakened][which], &mut figures[which]);
            one(bed, proxy, &format!("{which}-{round}"), figures).await?;
            figures.lookup.push(lookup(bed, proxy, &last).await?);
            bar.inc(1);
        }
    }
    bar.finish();
    let [real, weakened] = figures;
    let row = |what: &str, unit: &str, samples: &Samples| {
        Row::new(format!("weakened.{what}"), unit, samples).more_is_better()
    };
    let claims = Row::new("weakened.control.claims", "count", &real.claims).bar(1.0);
    let lookup = Row::new("weakened.control.lookup-cpu", "us", &real.lookup);
    let cold = Row::new("weakened.control.cold.p50", "ms", &real.cold);
    Ok(vec![
        row("claims", "count", &weakened.claims)
            .bar(2.0)
            .note("must be seen to be worse: claims for 50 requests at once to one cold function, nobody joined"),
        claims.note("the same of the build that is installed"),
        row("lookup-cpu", "us", &weakened.lookup).against(&lookup).bar(1.2).note(format!(
            "must be seen to be worse: CPU a request, the last of {} routes of one host in a list",
            context.size(500, 300)
        )),
        lookup,
        row("cold.p50", "ms", &weakened.cold).against(&cold).note("it claims by itself, after the request has come"),
        cold,
    ])
}

/// The proxies' pod with another program, and labels that nobody looks for.
async fn start(context: &Context, bed: &Bed, pods: &Api<Pod>) -> Result<Proxy, Error> {
    let deployments: Api<Deployment> = Api::namespaced(bed.client.clone(), "muon-system");
    let proxy = deployments.get("muon-proxy").await?;
    let template = proxy.spec.and_then(|spec| spec.template.spec);
    let mut spec = serde_json::to_value(template).map_err(|error| Error::Request(error.to_string()))?;
    spec["containers"][0]["image"] = context.image("weakened")?.into();
    spec["containers"][0]["imagePullPolicy"] = "IfNotPresent".into();
    let pod = json!({"metadata": {"name": NAME, "labels": {words::APP_NAME: "muon-bench"}}, "spec": spec});
    pods.create(&PostParams::default(), &from(pod)?).await?;
    wait("the weakened proxy to be ready", 60, || async {
        Ok(if is_ready(&pods.get(NAME).await?) { Ok(()) } else { Err("it is not".to_owned()) })
    })
    .await?;
    let pod = pods.get(NAME).await?;
    let group = Cgroup::of_pod(&context.node.cgroup, &pod.uid().unwrap_or_default())?;
    Ok(Proxy { address: bed.direct(&pod)?.address.ip(), group: [group] })
}

/// Many routes of one host, inside the cluster only; gives the path of the last.
async fn routes(bed: &Bed, count: usize) -> Result<String, Error> {
    let triggers = bed.api::<HTTPTrigger>();
    let path = |number: usize| format!("/lookup/{number}/it");
    let manifests = (0..count)
        .map(|number| {
            from(json!({
                "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": {"name": format!("lookup-{number}")},
                "spec": {"host": bed.host, "path": path(number), "function": {"name": "warm"}},
            }))
        })
        .collect::<Result<Vec<HTTPTrigger>, _>>()?;
    let parameters = PostParams::default();
    futures::stream::iter(&manifests)
        .map(|manifest| triggers.create(&parameters, manifest))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    bed.ready(60 + count as u64 / 4).await?;
    Ok(path(count - 1))
}

/// One cold request to each of some functions, then fifty at once to one.
async fn one(bed: &Bed, proxy: &Proxy, name: &str, figures: &mut Figures) -> Result<(), Error> {
    let mut functions = Wanted::many(3, &format!("cold-{name}"), NATIVE);
    functions.push(Wanted { max: 10, concurrency: 100, ..Wanted::new(format!("one-{name}"), NATIVE) });
    bed.functions(&functions).await?;
    bed.pool_full(NATIVE, POOL).await?;
    let (mut cold, burst) = (Samples::default(), &functions[3].name);
    for function in &functions[..3] {
        let mut connection = Connection::open(&bed.at(proxy.address, &function.name)).await?;
        let begun = Instant::now();
        connection.get().await?;
        cold.push_ms(begun.elapsed());
        bed.pool_full(NATIVE, POOL).await?;
    }
    figures.cold.push(cold.median());
    let mut connections = Vec::new();
    for _ in 0..ONE {
        connections.push(Connection::open(&bed.at(proxy.address, burst)).await?);
    }
    // Only the claims matter here: that a weakened build may also fail is no failure of the measurement.
    join_all(connections.iter_mut().map(Connection::get)).await;
    figures.claims.push(bed.claimed(burst).await? as f64);
    bed.delete(&functions.into_iter().map(|function| function.name).collect::<Vec<_>>()).await
}

/// CPU time of a request by the last of many routes, in microseconds.
async fn lookup(bed: &Bed, proxy: &Proxy, path: &str) -> Result<f64, Error> {
    let address = SocketAddr::new(proxy.address, words::PORT_GATEWAY);
    let target = Target { address, host: bed.host.clone(), path: path.to_owned() };
    Connection::open(&target).await?.get().await?;
    let meter = Meter::start(&proxy.group)?;
    let load = closed(&target, Duration::from_secs(1), 16).await?.whole()?;
    Ok(meter.used()?.as_secs_f64() * 1e6 / load.answered as f64)
}

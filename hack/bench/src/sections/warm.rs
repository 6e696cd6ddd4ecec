//! Warm requests.

use std::time::Duration;

use crate::bed::{Cluster, Kind};
use crate::context::Context;
use crate::error::Error;
use crate::haproxy::Haproxy;
use crate::load::{Connection, Target, closed_loop, open_loop};
use crate::processor::{find, used_by_all_ns, used_ns};
use crate::row::Row;
use crate::samples::Samples;

const WARM: &str = "warm";

/// The pod of a plain Deployment called directly, through our proxy, and through HAProxy, in turn.
pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    let cluster = Cluster::prepare(context.image("python")?, 2).await?;
    let result = measure(context, &cluster).await;
    cluster.remove().await?;
    result
}

async fn measure(context: &Context, cluster: &Cluster) -> Result<Vec<Row>, Error> {
    cluster.functions(&[WARM.to_owned()], Kind::Deployment).await?;
    let proxies = cluster.proxies().await?;
    let Some(proxy) = proxies.first().copied() else { return Err(Error::Cluster("no proxy is ready".into())) };
    let ours = cluster.route(proxy, WARM);
    Connection::open(&ours).await?.get().await?;
    let direct = cluster.direct(WARM).await?;
    let pids = find("muon", "proxy");
    let beside = *pids
        .iter()
        .find(|pid| has_address(**pid, proxy))
        .ok_or_else(|| Error::Cluster("the proxy's process is not on this machine".into()))?;
    let haproxy = Haproxy::start(beside, proxy, direct.address).await?;
    let peer = Target { address: haproxy.address, ..direct.clone() };
    let time = Duration::from_secs(context.flags.seconds());
    let arms = [("direct", &direct), ("muon", &ours), ("haproxy", &peer)];
    let mut latency: [Samples; 3] = Default::default();
    let mut cost: [Samples; 3] = Default::default();
    let bar = context.progress(context.flags.rounds() * arms.len(), "warm requests");
    let mut dice = context.dice("warm");
    for _ in 0..context.flags.rounds() {
        for arm in dice.shuffled(vec![0, 1, 2]) {
            let (_, target) = arms[arm];
            let load = open_loop(target, 300.0, time, 8).await?;
            latency[arm].push(load.latency.median());
            let used = || match arm {
                1 => used_by_all_ns(&pids),
                2 => used_ns(haproxy.pid()),
                _ => 0,
            };
            let before = used();
            let load = closed_loop(target, time, 32).await?;
            cost[arm].push((used() - before) as f64 / 1e3 / load.answered as f64);
            bar.inc(1);
        }
    }
    bar.finish();
    let mut rows: Vec<Row> =
        (0..3).map(|arm| Row::new(format!("warm.{}.p50", arms[arm].0), "ms", &latency[arm])).collect();
    let theirs = Row::new("warm.haproxy.cpu", "us", &cost[2]);
    rows.push(Row::new("warm.muon.cpu", "us", &cost[1]).against(&theirs).bar(1.25).stretch(1.0));
    rows.push(theirs);
    Ok(rows)
}

/// Whether the process lives in the network namespace that has this address.
fn has_address(pid: u32, ip: std::net::IpAddr) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/net/fib_trie")).is_ok_and(|text| {
        let mine = format!("|-- {ip}");
        text.lines().zip(text.lines().skip(1)).any(|(line, next)| line.trim() == mine && next.contains("host LOCAL"))
    })
}

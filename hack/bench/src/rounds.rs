//! The run: what is measured, in which turn, and what it is held against.

use std::time::{Duration, Instant, SystemTime};

use indicatif::{ProgressBar, ProgressStyle};

use crate::Flags;
use crate::audit::Audit;
use crate::cluster::{Cluster, Kind};
use crate::error::Error;
use crate::haproxy::Haproxy;
use crate::http::{Connection, Target, closed_loop, open_loop};
use crate::processor::{find, used_by_all_ns, used_ns};
use crate::report::{Machine, Report, Row};
use crate::sample::Samples;

/// Generic pods that the pool keeps: enough that one cold start leaves free ones.
const POOL: usize = 4;
/// Function that takes the warm load.
const WARM: &str = "warm";
/// Function that meets fifty requests at once.
const BURST: &str = "burst";

/// Runs everything and reports.
pub(crate) async fn run(flags: &Flags) -> Result<Report, Error> {
    let cluster = Cluster::prepare(flags.image.clone(), POOL as i32).await?;
    let result = measure(flags, &cluster).await;
    // Removed also after a failure; the failure is what the user wants to read first.
    let removed = cluster.remove().await;
    let rows = result?;
    removed?;
    let command = format!(
        "hack/bench/run --cold {} --rounds {} --rate {} --seconds {}",
        flags.cold, flags.rounds, flags.rate, flags.seconds
    );
    Ok(Report { machine: Machine::read(), command, rows })
}

async fn measure(flags: &Flags, cluster: &Cluster) -> Result<Vec<Row>, Error> {
    let mut rows = cold(flags, cluster).await?;
    rows.extend(burst(cluster).await?);
    rows.extend(warm(flags, cluster).await?);
    Ok(rows)
}

fn progress(length: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:24} {bar:40} {pos}/{len} {elapsed}");
    ProgressBar::new(length as u64)
        .with_message(what)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// One bare claim, one cold request, in turn; every one with the pool proven full before it.
async fn cold(flags: &Flags, cluster: &Cluster) -> Result<Vec<Row>, Error> {
    let names: Vec<String> = (0..flags.cold).map(|number| format!("cold-{number}")).collect();
    let bare: Vec<String> = (0..flags.cold).map(|number| format!("bare-{number}")).collect();
    cluster.functions(&names, Kind::Pool).await?;
    let bare = cluster.bare_pods(&bare).await?;
    let proxies = cluster.proxies().await?;
    let Some(first) = proxies.first().copied() else { return Err(Error::Cluster("no proxy is ready".into())) };

    let (mut claim, mut request, mut warm, mut writes) =
        (Samples::default(), Samples::default(), Samples::default(), Samples::default());
    let bar = progress(names.len(), "cold requests");
    for (number, (name, pod)) in names.iter().zip(&bare).enumerate() {
        cluster.pool_full(POOL).await?;
        // The first claim over a connection that has slept would pay for waking it; a proxy's is kept awake by its watches.
        if number == 0 {
            cluster.pods_of(name).await?;
        }
        claim.push_ms(cluster.bare_claim(pod).await?);
        let target = cluster.route(proxies.get(number % proxies.len()).copied().unwrap_or(first), name);
        let mut connection = Connection::open(&target).await?;
        let audit = Audit::begin(&flags.audit_log)?;
        request.push_ms(connection.get().await?);
        let replied = now();
        warm.push_ms(connection.get().await?);
        // The log is written behind the reply; the refilled pool at the next turn proves that it has caught up here.
        cluster.pods_of(name).await?;
        writes.push(audit.writes(&replied)?.len() as f64);
        cluster.delete_functions(std::slice::from_ref(name)).await?;
        bar.inc(1);
    }
    bar.finish();
    let bare = Row::quantile("claim.bare.p50", "ms", &claim, 0.5);
    let p50 = Row::quantile("cold.p50", "ms", &request, 0.5).against(&bare, Some(3.0));
    let p99 = Row::quantile("cold.p99", "ms", &request, 0.99).against(&p50, Some(2.0));
    let writes = Row::quantile("cold.api-writes.max", "count", &writes, 1.0).at_most(1.0);
    let bare99 = Row::quantile("claim.bare.p99", "ms", &claim, 0.99);
    let second = Row::quantile("cold.second-request.p50", "ms", &warm, 0.5);
    Ok(vec![bare, bare99, p50, p99, second, writes])
}

/// Fifty requests at once to one cold function, spread over all proxies.
async fn burst(cluster: &Cluster) -> Result<Vec<Row>, Error> {
    cluster.functions(&[BURST.to_owned()], Kind::Pool).await?;
    cluster.pool_full(POOL).await?;
    let proxies = cluster.proxies().await?;
    let mut connections = Vec::new();
    for number in 0..50 {
        connections.push(Connection::open(&cluster.route(proxies[number % proxies.len()], BURST)).await?);
    }
    let start = Instant::now();
    let replies = futures::future::join_all(connections.iter_mut().map(Connection::get)).await;
    let mut whole = Samples::default();
    whole.push_ms(start.elapsed());
    let mut failed = Samples::default();
    failed.push(replies.iter().filter(|reply| reply.is_err()).count() as f64);
    let mut pods = Samples::default();
    pods.push(cluster.pods_of(BURST).await?.len() as f64);
    cluster.delete_functions(&[BURST.to_owned()]).await?;
    Ok(vec![
        Row::rounds("burst50.last-reply", "ms", &whole),
        Row::rounds("burst50.errors", "count", &failed).at_most(0.0),
        Row::rounds("burst50.claims", "count", &pods).at_most(1.0),
    ])
}

/// The pod of a plain Deployment called directly, through our proxy, and through HAProxy, in turn.
async fn warm(flags: &Flags, cluster: &Cluster) -> Result<Vec<Row>, Error> {
    cluster.functions(&[WARM.to_owned()], Kind::Deployment).await?;
    cluster.pool_full(POOL).await?;
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

    let time = Duration::from_secs(flags.seconds);
    let arms = [("direct", &direct), ("proxy", &ours), ("haproxy", &peer)];
    let mut latency: [(Samples, Samples); 3] = Default::default();
    let mut cost: [Samples; 3] = Default::default();
    let mut rate: [Samples; 3] = Default::default();
    let bar = progress(flags.rounds * arms.len(), "warm requests");
    for round in 0..flags.rounds {
        for turn in 0..arms.len() {
            // Another order each round, so that no arm always follows the same one.
            let arm = (turn + round) % arms.len();
            let (_, target) = arms[arm];
            let load = open_loop(target, flags.rate, time, 8).await?;
            expect_all(&load)?;
            latency[arm].0.push(load.latency.quantile(0.5).unwrap_or(f64::NAN));
            latency[arm].1.push(load.latency.quantile(0.99).unwrap_or(f64::NAN));
            let used = || match arm {
                1 => used_by_all_ns(&pids),
                2 => used_ns(haproxy.pid()),
                _ => 0,
            };
            let before = used();
            let load = closed_loop(target, time, 32).await?;
            expect_all(&load)?;
            cost[arm].push((used() - before) as f64 / 1e3 / load.answered as f64);
            rate[arm].push(load.answered as f64 / time.as_secs_f64());
            bar.inc(1);
        }
    }
    bar.finish();
    let mut rows = Vec::new();
    for (arm, (name, _)) in arms.iter().enumerate() {
        rows.push(Row::rounds(&format!("warm.{name}.p50"), "ms", &latency[arm].0));
        rows.push(Row::rounds(&format!("warm.{name}.p99"), "ms", &latency[arm].1));
        rows.push(Row::rounds(&format!("warm.{name}.rate-c32"), "1/s", &rate[arm]));
    }
    // What a proxy adds is what is compared: the pod's own time is the same in all arms.
    for (which, q, limit) in [(0, "p50", 1.1), (1, "p99", 1.2)] {
        let pick = |arm: usize| if which == 0 { &latency[arm].0 } else { &latency[arm].1 };
        let added = |arm: usize| {
            let mut samples = Samples::default();
            for (mine, bare) in pick(arm).values().iter().zip(pick(0).values()) {
                samples.push(mine - bare);
            }
            samples
        };
        let theirs = Row::rounds(&format!("warm.haproxy.added.{q}"), "ms", &added(2));
        rows.push(Row::rounds(&format!("warm.proxy.added.{q}"), "ms", &added(1)).against(&theirs, Some(limit)));
        rows.push(theirs);
    }
    let theirs = Row::rounds("cpu.haproxy", "us", &cost[2]);
    rows.push(Row::rounds("cpu.proxy", "us", &cost[1]).against(&theirs, Some(1.25)));
    rows.push(theirs);
    Ok(rows)
}

fn expect_all(load: &crate::http::Load) -> Result<(), Error> {
    if load.failed > 0 || load.answered == 0 {
        return Err(Error::Request(format!(
            "{} answered, {} failed: a load with failures is no measurement",
            load.answered, load.failed
        )));
    }
    Ok(())
}

/// Whether the process lives in the network namespace that has this address.
fn has_address(pid: u32, ip: std::net::IpAddr) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/net/fib_trie")).is_ok_and(|text| {
        let mine = format!("|-- {ip}");
        text.lines().zip(text.lines().skip(1)).any(|(line, next)| line.trim() == mine && next.contains("host LOCAL"))
    })
}

/// The time now as the audit log writes it.
fn now() -> String {
    let now = k8s_openapi::jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    format!("{now:.6}")
}

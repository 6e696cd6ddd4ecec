//! Processes killed under a steady load through the Ingress controller: what is lost.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt as _};
use muon_crds::words;

use crate::bed::{Bed, Wanted, is_ready, wait};
use crate::cgroup::Cgroup;
use crate::context::Context;
use crate::error::Error;
use crate::load::{Connection, Load, Open, Target};
use crate::row::Row;
use crate::samples::Samples;

/// Requests a second.
const RATE: f64 = 500.0;
const CONNECTIONS: usize = 64;

/// What is killed.
#[derive(Clone, Copy)]
enum Victim {
    Proxy,
    Operator,
    ApiServer,
}

impl Victim {
    fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Operator => "operator",
            Self::ApiServer => "apiserver",
        }
    }
}

pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    Bed::with(context, "kill", async |bed| {
        bed.environment("native", context.image("native")?, 2, 2).await?;
        bed.functions(&[Wanted::new("steady", "native")]).await?;
        let target = ingress(context, bed).await?;
        let mut rows = Vec::new();
        let victims = [Victim::Proxy, Victim::Operator, Victim::ApiServer];
        let rounds = context.size(context.flags.rounds().min(3), 1);
        let bar = context.progress(rounds * victims.len(), "killed under load");
        for (number, victim) in victims.into_iter().enumerate() {
            let (mut failed, mut inside, mut longest) = (Samples::default(), Samples::default(), Samples::default());
            let mut why = None;
            for _ in context.few_rounds(rounds, 0.9 * (number + 1) as f64 / victims.len() as f64) {
                let (load, in_flight) = killed(context, bed, &target, victim).await?;
                failed.push((load.failed + load.shed) as f64);
                inside.push(in_flight as f64);
                longest.push(load.quantile_ms(1.0));
                why = why.or(load.why);
                bar.inc(1);
            }
            let name = victim.name();
            let inside = Row::new(format!("kill.{name}.in-flight"), "count", &inside);
            let failed = Row::new(format!("kill.{name}.failed"), "count", &failed);
            let failed = match victim {
                // What was inside the killed process is lost with it; not all that was in flight was inside.
                Victim::Proxy => failed.against(&inside).bar(1.0),
                Victim::Operator | Victim::ApiServer => failed.bar(0.0),
            };
            rows.push(failed.note(why.map_or_else(
                || format!("at {RATE} requests a second through the Ingress controller"),
                |why| format!("first failure: {why}"),
            )));
            rows.push(inside.note("around the moment of the kill, in all processes together"));
            rows.push(Row::new(format!("kill.{name}.longest"), "ms", &longest).note("of the answered requests"));
        }
        bar.finish();
        Ok(rows)
    })
    .await
}

/// The function through the Ingress controller, once it serves there.
async fn ingress(context: &Context, bed: &Bed) -> Result<Target, Error> {
    let authority = context.node.ingress.trim_start_matches("http://").trim_end_matches('/');
    let address: SocketAddr = authority.parse().map_err(|_| Error::Cluster(format!("Ingress at {authority}")))?;
    let target = Target { address, host: bed.host.clone(), path: "/steady".into() };
    wait("the Ingress controller to know the route", 60, || async {
        Ok(match Connection::open(&target).await?.get().await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.to_string()),
        })
    })
    .await?;
    Ok(target)
}

/// A load in the middle of which a process is killed, and how many requests were on their way then.
async fn killed(context: &Context, bed: &Bed, target: &Target, victim: Victim) -> Result<(Load, usize), Error> {
    let time = Duration::from_secs(5);
    let open = Open::new(RATE, time, CONNECTIONS);
    let in_flight = open.in_flight.clone();
    let (pid, pod) = find(context, bed, victim).await?;
    let load = tokio::spawn({
        let (open, target) = (open, target.clone());
        async move { open.run(&target).await }
    });
    tokio::time::sleep(time / 3).await;
    let mut kill = tokio::process::Command::new("kill").args(["-KILL", &pid.to_string()]).spawn()?;
    // The kill happens somewhere in this time: the most that was on its way in it.
    let mut on_their_way = 0;
    let status = loop {
        on_their_way = on_their_way.max(in_flight.load(Ordering::Relaxed));
        if let Some(status) = kill.try_wait()? {
            break status;
        }
        tokio::task::yield_now().await;
    };
    let load = load.await.map_err(|error| Error::Request(error.to_string()))??;
    if !status.success() {
        return Err(Error::Program { program: "kill".into(), why: format!("process {pid} was gone already") });
    }
    recovered(bed, victim, pod).await?;
    Ok((load, on_their_way))
}

/// The process to kill, and the pod it runs in.
async fn find(context: &Context, bed: &Bed, victim: Victim) -> Result<(u32, Option<Pod>), Error> {
    let named = |pid: &u32, name: &str| {
        // The kernel keeps 15 characters.
        let text = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        text.trim() == name.chars().take(15).collect::<String>()
    };
    let gone = || Error::Cluster(format!("the {}'s process is not on this machine", victim.name()));
    if matches!(victim, Victim::ApiServer) {
        let program = context.node.bin.join("kube-apiserver");
        return Ok((running(&program).ok_or_else(gone)?, None));
    }
    let pods: Api<Pod> = Api::namespaced(bed.client.clone(), "muon-system");
    let selector = format!("{}={}", words::APP_COMPONENT, victim.name());
    let pods = pods.list(&ListParams::default().labels(&selector)).await?;
    for pod in pods.items.into_iter().filter(is_ready) {
        let processes = Cgroup::of_pod(&context.node.cgroup, &pod.uid().unwrap_or_default())?.members();
        if let Some(pid) = processes.into_iter().find(|pid| named(pid, "muon")) {
            return Ok((pid, Some(pod)));
        }
    }
    Err(gone())
}

/// The process that was started as this program.
fn running(program: &Path) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())).find(|pid| {
        let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        text.split(|byte| *byte == 0).next() == Some(program.as_os_str().as_encoded_bytes())
    })
}

/// Waits until all is as before. A killed pod is replaced: kubelet would start its container again later each time.
async fn recovered(bed: &Bed, victim: Victim, pod: Option<Pod>) -> Result<(), Error> {
    let pods: Api<Pod> = Api::namespaced(bed.client.clone(), "muon-system");
    if let Some(pod) = &pod {
        pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
    }
    let selector = format!("{}=muon", words::APP_PART_OF);
    let parts = ListParams::default().labels(&selector);
    wait("everything killed to be back", 120, || async {
        let listed = match pods.list(&parts).await {
            Ok(listed) => listed.items,
            // The API server was the victim.
            Err(error) => return Ok(Err(error.to_string())),
        };
        let ready = listed.iter().filter(|one| is_ready(one)).count();
        Ok(if ready >= 5 && ready == listed.len() {
            Ok(())
        } else {
            Err(format!("{ready} of {} pods of muon-system are ready", listed.len()))
        })
    })
    .await?;
    // The second proxy must serve before the first may be killed.
    let settle = if matches!(victim, Victim::Operator) { 1 } else { 3 };
    tokio::time::sleep(Duration::from_secs(settle)).await;
    Ok(())
}

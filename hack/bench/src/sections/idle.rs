//! What functions cost that nobody calls.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::audit::Audit;
use crate::bed::{Bed, Wanted};
use crate::cgroup::{Cgroup, Meter};
use crate::context::Context;
use crate::error::Error;
use crate::row::Row;
use crate::samples::Samples;

const POOL: usize = 3;
/// Creations at once.
const AT_ONCE: usize = 16;

pub(crate) async fn rows(context: &Context) -> Result<Vec<Row>, Error> {
    Bed::with(context, "idle", async |bed| {
        bed.environment("native", context.image("native")?, POOL, POOL).await?;
        bed.pool_full("native", POOL).await?;
        let parts = parts(bed, context).await?;
        let before = memory(&parts);
        let count = context.size(1000, 50);
        let functions = Wanted::many(count, "idle", "native");
        let made = futures::stream::iter(&functions).map(|function| bed.function(function)).buffer_unordered(AT_ONCE);
        made.try_collect::<Vec<_>>().await?;
        bed.ready(60 + count as u64 / 4).await?;
        // What making them has set going comes to its end.
        tokio::time::sleep(Duration::from_secs(if context.flags.quick { 3 } else { 10 })).await;
        let window = Duration::from_secs(if context.flags.quick { 3 } else { 12 });
        let (mut cpu, mut writes) = (Samples::default(), Samples::default());
        let bar = context.progress(context.flags.rounds().min(3), "functions that nobody calls");
        for _ in context.few_rounds(3, 0.85) {
            let audit = Audit::begin(&context.node.audit_log)?;
            let meter = Meter::start(&parts)?;
            tokio::time::sleep(window).await;
            cpu.push(meter.processors()? * 1000.0);
            writes.push(audit.writes(&bed.namespace)?.iter().filter(|write| write.is_ours()).count() as f64);
            bar.inc(1);
        }
        bar.finish();
        let pods = bed.api::<Pod>().list(&ListParams::default()).await?.items.len();
        let seconds = window.as_secs();
        Ok(vec![
            Row::once("idle.pods-beyond-pool", "count", pods as f64 - POOL as f64)
                .bar(0.0)
                .note(format!("{count} Functions in one Environment, whose pool is {POOL}")),
            Row::new("idle.cpu", "mcores", &cpu)
                .bar(5.0)
                .stretch(2.0)
                .note(format!("operators, proxies and store together, in windows of {seconds} s")),
            Row::new("idle.writes", "count", &writes).bar(0.0).note(format!("by Muon's accounts, in {seconds} s")),
            Row::once("idle.memory", "MB", memory(&parts) / 1e6)
                .note("operators, proxies and store together, resident"),
            Row::once("idle.memory-per-function", "KB", (memory(&parts) - before) / 1e3 / count as f64)
                .note("by how much that grew, for each Function, in all five processes together"),
        ])
    })
    .await
}

/// The cgroups of everything of ours that is not a function's.
async fn parts(bed: &Bed, context: &Context) -> Result<Vec<Cgroup>, Error> {
    let pods: Api<Pod> = Api::namespaced(bed.client.clone(), "muon-system");
    let pods = pods.list(&ListParams::default().labels(&format!("{}=muon", muon_crds::words::APP_PART_OF))).await?;
    pods.iter().map(|pod| Cgroup::of_pod(&context.node.cgroup, &pod.uid().unwrap_or_default())).collect()
}

/// Resident memory of the groups' processes, in bytes.
fn memory(groups: &[Cgroup]) -> f64 {
    groups.iter().map(Cgroup::resident).sum()
}

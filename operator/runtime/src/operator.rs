//! `muon operator`: the reconcilers, with a lease that saves their work from being done twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kube::Client;
use muon_reconcile::fetch::{Forward, ForwardError, Rules};
use muon_reconcile::leadership::Candidate;
use muon_reconcile::{History, Settings};

use crate::admin;
use crate::error::Error;
use crate::flags::OperatorFlags;
use crate::shutdown::Shutdown;
use crate::traces::{self, spans};

/// Name of the lease.
const LEASE: &str = "muon-operator";

/// Reconciles until the signal to stop.
pub(crate) async fn run(flags: OperatorFlags) -> Result<(), Error> {
    let shutdown = Shutdown::on_signal().map_err(Error::Runtime)?;
    let settings = settings(&flags)?;
    let registry = admin::registry();
    let client = Client::try_default().await?;
    let probes = admin::listen(flags.identity.admin_port).await?;
    let ready: admin::Ready = Arc::new(|| async { Ok(()) }.boxed());
    let probed = tokio::spawn(admin::serve(probes, registry.clone(), ready, shutdown.clone().requested()));

    let candidate = Candidate {
        client: client.clone(),
        namespace: flags.identity.namespace.clone(),
        name: LEASE.to_owned(),
        identity: flags.identity.pod_name.clone(),
        seconds: flags.lease_seconds,
    };
    let (leader, lease) = candidate.campaign().await?;
    let ratio = flags.traces.trace_ratio;
    let spans_of = move |visit| if spans::is_sampled(ratio) { spans::of_visit(visit) } else { Vec::new() };
    let (visits, export) =
        traces::start(&flags.traces, ("muon-operator", &flags.identity), &registry, spans_of)?.unzip();
    let settings = Settings { visits, ..settings };
    let result = muon_reconcile::run(client, settings, leader, &registry, shutdown.requested()).await;
    // The last receiver is gone with `run`: the lease is given back, and the other replica need not wait.
    match lease.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the lease could not be given back"),
        Err(error) => tracing::warn!(%error, "the lease's task ended"),
    }
    if let Some(export) = export {
        export.finish().await;
    }
    probed.abort();
    result.map_err(|error| Error::Operator(error.to_string()))
}

fn settings(flags: &OperatorFlags) -> Result<Settings, ForwardError> {
    Ok(Settings {
        cluster_domain: flags.cluster_domain.clone(),
        rules: rules(flags)?,
        cluster_variables: cluster_variables(std::env::vars()),
        image_pull_policy: flags.image_pull_policy.clone(),
        max_archive_bytes: flags.max_archive_bytes,
        archive_deadline: Duration::from_secs(flags.archive_deadline_seconds),
        concurrency: flags.concurrency,
        sweep_every: Duration::from_secs(flags.sweep_seconds),
        idle_tick: Duration::from_millis(flags.idle_tick_ms),
        builds: flags.builds_per_namespace.into(),
        build_history: History { complete: flags.builds_kept.into(), failed: flags.failed_builds_kept.into() },
        ..Settings::new(&flags.identity.namespace, &flags.identity.pod_name, &flags.agent_image, &flags.store_url)
    })
}

fn rules(flags: &OperatorFlags) -> Result<Rules, ForwardError> {
    let rules = Rules {
        schemes: flags.source_schemes.clone(),
        hosts: flags.source_hosts.clone(),
        internal: flags.internal_hosts.clone(),
        redirects: flags.redirect_hosts.clone(),
        plain: flags.plain_http_hosts.clone(),
        api_server: std::env::var("KUBERNETES_SERVICE_HOST")
            .ok()
            .and_then(|host| host.parse().ok())
            .into_iter()
            .collect(),
        forward: None,
    };
    let forward = flags.source_proxy.as_deref().map(|url| Forward::new(url, &rules)).transpose()?;
    Ok(Rules { forward, ..rules })
}

/// What kubelet tells every container about the API server's Service. This process is in a container as well, and so
/// knows what functions' variables may refer to.
fn cluster_variables(all: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    all.filter(|(name, _)| name.starts_with("KUBERNETES_SERVICE_") || name.starts_with("KUBERNETES_PORT")).collect()
}

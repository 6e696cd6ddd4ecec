//! `muon proxy`: watches feed the data plane; claims go to the API server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, Client};
use muon_crds::{Function, HTTPTrigger, words};
use muon_order::Signer;
use muon_proxy::{Appender, Change, Config, Listeners, Peer, Proxy};

use crate::admin::{self, Exposition};
use crate::claim::ApiClaimer;
use crate::error::Error;
use crate::flags::{Identity, ProxyFlags};
use crate::peers;
use crate::shutdown::Shutdown;
use crate::store_address;
use crate::traces::{self, spans};
use crate::watches::{changes, follow, follow_readable};

/// Serves until the signal to stop, and then until what is in flight has ended.
pub(crate) async fn run(flags: ProxyFlags, log: Option<Appender>) -> Result<(), Error> {
    let shutdown = Shutdown::on_signal().map_err(Error::Runtime)?;
    let registry = admin::registry();
    let client = Client::try_default().await?;
    let (traces, export) =
        traces::start(&flags.traces, ("muon-proxy", &flags.identity), &registry, spans::of_invocation)?.unzip();
    let proxy = Proxy::new(
        Config { log, traces, ..config(&flags) },
        signer(&flags.order_dir)?,
        Arc::new(ApiClaimer::new(client.clone())),
        &registry,
    )?;

    let probes = admin::listen(flags.identity.admin_port).await?;
    let ready: admin::Ready = {
        let proxy = Arc::clone(&proxy);
        Arc::new(move || {
            let ready = proxy.ready();
            async move { if ready { Ok(()) } else { Err("the tables are not complete, or the proxy drains".to_owned()) } }.boxed()
        })
    };
    watch(&client, &proxy, &flags.identity);
    let stored = Arc::clone(&proxy);
    tokio::spawn(store_address::follow(flags.store_url.clone(), move |url| stored.set_store(url)));
    let shown = Arc::clone(&proxy);
    let exposition = Exposition { registry, exemplars: Arc::new(move || shown.exemplars()) };
    tokio::spawn(admin::serve(probes, exposition, ready, std::future::pending()));
    // Whoever still has this pod's address from before a crash must meet a closed port, not a proxy without tables:
    // a refused connection has sent nothing, and is made again to another proxy.
    tokio::select! {
        () = complete(&proxy) => {}
        () = shutdown.clone().requested() => return Ok(()),
    }
    let listeners = Listeners {
        gateway: admin::listen(words::PORT_GATEWAY).await?,
        ingress: admin::listen(words::PORT_INGRESS).await?,
        functions: admin::listen(words::PORT_FUNCTIONS).await?,
        peer: admin::listen(words::PORT_PEER).await?,
    };
    tracing::info!(proxy = flags.identity.pod_name, "the proxy serves");
    proxy.serve(listeners, shutdown.requested()).await;
    if let Some(export) = export {
        export.finish().await;
    }
    Ok(())
}

/// Until every table is there.
async fn complete(proxy: &Proxy) {
    let mut look = tokio::time::interval(Duration::from_millis(5));
    while !proxy.ready() {
        look.tick().await;
    }
}

fn config(flags: &ProxyFlags) -> Config {
    Config {
        cluster_domain: flags.cluster_domain.clone(),
        access_log: flags.access_log,
        trace_ratio: flags.traces.trace_ratio,
        max_connections: Config::connections_within(flags.memory_bytes),
        max_body_bytes: flags.max_body_bytes,
        reserve: flags.reserve,
        drain_delay: Duration::from_secs(flags.drain_delay_seconds),
        drain_timeout: Duration::from_secs(flags.drain_seconds),
        ..Config::new(flags.identity.pod_name.clone(), flags.store_url.clone())
    }
}

fn signer(dir: &Path) -> Result<Signer, Error> {
    let path = dir.join("seed");
    let seed = std::fs::read(&path).map_err(|source| Error::KeyFile { path: path.clone(), source })?;
    Signer::from_seed(&seed).map_err(|source| Error::Key { path, source })
}

/// Three kinds feed the tables; a fourth watch tells who the other proxies are.
fn watch(client: &Client, proxy: &Arc<Proxy>, identity: &Identity) {
    let apply = |proxy: &Arc<Proxy>| {
        let proxy = Arc::clone(proxy);
        move |changes: Vec<Change>| proxy.apply(changes)
    };
    let (mine, all) = (client.clone(), watcher::Config::default());
    let hand_on = changes::<HTTPTrigger, _>(Change::Trigger, apply(proxy));
    tokio::spawn(async move { follow_readable(&mine, all, hand_on).await });
    let (mine, all) = (client.clone(), watcher::Config::default());
    let hand_on = changes::<Function, _>(Change::Function, apply(proxy));
    tokio::spawn(async move { follow_readable(&mine, all, hand_on).await });
    let pods = Api::<Pod>::all(client.clone());
    let ours = watcher::Config::default().labels(words::ENVIRONMENT);
    tokio::spawn(follow(pods, ours, changes::<Pod, Pod>(Change::Pod, apply(proxy))));
    let proxies = Api::<Pod>::namespaced(client.clone(), &identity.namespace);
    let peers = Arc::clone(proxy);
    tokio::spawn(peers::follow(proxies, move |all: Vec<Peer>| peers.set_peers(all)));
}

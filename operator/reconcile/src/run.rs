//! The operator, put together: watches all the time, drivers and loops while it leads.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::info;

use crate::cache::Cache;
use crate::context::Context;
use crate::controller::{self, Pace};
use crate::metrics::Metrics;
use crate::order_key::OrderKeyError;
use crate::queues::Queues;
use crate::settings::Settings;
use crate::{environment, function, http_trigger, keeper, order_key, package, proxies, scale, watches};

/// Connections to a store or proxy that are kept open though idle.
const IDLE_CONNECTIONS: usize = 4;
/// Pods come and go together; an Environment is looked at once for all of it.
const GATHER_PODS: Duration = Duration::from_millis(50);

/// Why the operator ends by itself.
#[derive(thiserror::Error, Debug)]
pub enum OperatorError {
    /// There is no key to sign with.
    #[error(transparent)]
    OrderKey(#[from] OrderKeyError),
    /// A metric could not be registered: two have one name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The HTTP client could not be made.
    #[error("HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// Something that runs as long as the process ended.
    #[error("{0} ended; the process must start anew")]
    Ended(&'static str),
}

/// Runs the operator until `shutdown` resolves. `leader` says whether this replica drives; the others keep their
/// stores warm. Two that drive at once do no harm: every write is bound to what was looked at, or says the same.
pub async fn run(
    client: Client,
    settings: Settings,
    mut leader: watch::Receiver<bool>,
    registry: &prometheus::Registry,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), OperatorError> {
    let metrics = Metrics::new(registry)?;
    let signer = Arc::new(order_key::get_or_create(&client, &settings.namespace).await?);
    // Inside the cluster, over plain HTTP: no proxy of the environment, no certificates.
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only(std::iter::empty())
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(3))
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build()?;

    let queues = Queues::default();
    let (cache, running) = watches::all(&client, &settings.namespace, &queues, &metrics);
    let mut watching: FuturesUnordered<_> = running.into_iter().map(tokio::spawn).collect();
    let _stop = AbortOnDrop(watching.iter().map(tokio::task::JoinHandle::abort_handle).collect());
    let context = Arc::new(Context::new(&client, &http, settings, signer, cache, queues, metrics));

    let lead = async {
        loop {
            if leader.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            info!("leading");
            context.metrics.leading(true);
            tokio::select! {
                () = drive(Arc::clone(&context)) => return,
                _ = leader.wait_for(|leads| !*leads) => info!("no longer leading"),
            }
            context.metrics.leading(false);
        }
    };
    tokio::select! {
        () = shutdown => Ok(()),
        () = lead => Err(OperatorError::Ended("the operator's drivers")),
        _ = watching.next() => Err(OperatorError::Ended("a watch")),
    }
}

/// Everything that writes. Dropped when another replica leads.
async fn drive(context: Arc<Context>) {
    if context.cache.ready().await.is_err() {
        return;
    }
    let queues = context.queues.clone();
    let told = {
        let (queues, functions) = (queues.clone(), context.cache.functions.clone());
        move |wakes| queues.told(&functions, wakes)
    };
    let follow = proxies::follow(
        context.peers.clone(),
        Arc::clone(&context.board),
        context.cache.proxies.clone(),
        Arc::clone(&queues.proxies),
        context.metrics.clone(),
        told,
    );
    let pace = Pace::of(context.settings.concurrency);
    let cache = &context.cache;
    let shared = || Arc::clone(&context);
    queues.index.tides.begin();
    everything(&context);
    // Each on its own: one that was woken must not have all others polled. They end when this does.
    let mut drivers = JoinSet::new();
    drivers.spawn(follow);
    drivers.spawn(scale::run(shared()));
    drivers.spawn(keeper::run(shared()));
    drivers.spawn({
        let (context, bell) = (shared(), Arc::clone(&queues.gateways));
        async move { context.gateways.run(bell).await }
    });
    let pools = Pace { debounce: GATHER_PODS, ..pace };
    let (queue, store) = (queues.environments.clone(), cache.environments.clone());
    drivers.spawn(controller::run(shared(), queue, store, pools, environment::reconcile));
    let (queue, store) = (queues.packages.clone(), cache.packages.clone());
    let packages = Pace { resync: package::VERIFY, ..pace };
    drivers.spawn(controller::run(shared(), queue, store, packages, package::reconcile));
    let (queue, store) = (queues.functions.clone(), cache.functions.clone());
    drivers.spawn(controller::run(shared(), queue, store, pace, function::reconcile));
    let (queue, store) = (queues.triggers.clone(), cache.triggers.clone());
    drivers.spawn(controller::run(shared(), queue, store, pace, http_trigger::reconcile));
    // None of them ends by itself, unless it panics.
    drivers.join_next().await;
}

/// Has everything looked at: what the last leader was doing is not known.
fn everything(context: &Context) {
    let Context { cache, queues, .. } = context;
    let Cache { environments, packages, functions, triggers, .. } = cache;
    queues.environments.extend(environments.names());
    queues.packages.extend(packages.names());
    queues.functions.extend(functions.names());
    queues.triggers.extend(triggers.names());
    queues.gateways.notify_one();
}

/// Ends tasks with the operator.
struct AbortOnDrop(Vec<tokio::task::AbortHandle>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

//! The operator, put together: watches all the time, drivers and loops while it leads.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use kube::Client;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::watch;
use tracing::info;

use crate::cache::Cache;
use crate::context::Context;
use crate::controller::{self, Pace};
use crate::metrics::Metrics;
use crate::order_key::OrderKeyError;
use crate::queues::Queues;
use crate::settings::Settings;
use crate::{environment, function, http_trigger, order_key, package, proxies, scale, watches};

/// Connections to a store or proxy that are kept open though idle.
const IDLE_CONNECTIONS: usize = 4;
/// Pods come and go together; an Environment is looked at once for all of it.
const GATHER_PODS: Duration = Duration::from_millis(50);

/// When watches are broken off, several begin anew together.
const GATHER_RESTARTS: Duration = Duration::from_secs(1);

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
            tokio::select! {
                () = drive(Arc::clone(&context)) => return,
                _ = leader.wait_for(|leads| !*leads) => info!("no longer leading"),
            }
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
    // A new leader looks at everything once: what the last one was doing is not known.
    queues.restarted.notify_one();
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
    let pace = Pace { concurrency: context.settings.concurrency, debounce: Duration::ZERO };
    let pool_pace = Pace { debounce: GATHER_PODS, ..pace };
    let cache = &context.cache;
    let shared = || Arc::clone(&context);
    let again = async {
        loop {
            queues.restarted.notified().await;
            everything(&context);
            tokio::time::sleep(GATHER_RESTARTS).await;
        }
    };
    tokio::join!(
        again,
        follow,
        context.gateways.run(Arc::clone(&queues.gateways)),
        scale::run(shared()),
        controller::run(
            shared(),
            queues.environments.clone(),
            cache.environments.clone(),
            pool_pace,
            environment::reconcile
        ),
        controller::run(shared(), queues.packages.clone(), cache.packages.clone(), pace, package::reconcile),
        controller::run(shared(), queues.functions.clone(), cache.functions.clone(), pace, function::reconcile),
        controller::run(shared(), queues.triggers.clone(), cache.triggers.clone(), pace, http_trigger::reconcile),
    );
}

/// Has everything looked at.
fn everything(context: &Context) {
    let Context { cache, queues, .. } = context;
    let Cache { environments, packages, functions, triggers, .. } = cache;
    queues.environments.extend(environments.state().iter().map(|it| ObjectRef::from_obj(it.as_ref())));
    queues.packages.extend(packages.state().iter().map(|it| ObjectRef::from_obj(it.as_ref())));
    queues.functions.extend(functions.state().iter().map(|it| ObjectRef::from_obj(it.as_ref())));
    queues.triggers.extend(triggers.state().iter().map(|it| ObjectRef::from_obj(it.as_ref())));
    queues.gateways.notify_one();
}

/// Ends tasks with the operator.
struct AbortOnDrop(Vec<tokio::task::AbortHandle>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

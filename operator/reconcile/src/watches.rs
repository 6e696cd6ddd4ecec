//! All watches of the operator, each told to the queues.

use std::future::Future;
use std::pin::Pin;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use kube::core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::Store;
use kube::runtime::watcher::{Config, watcher};
use kube::{Client, Resource};
use muon_crds::words;
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::metrics::Metrics;
use crate::queues::Queues;
use crate::watch::{Change, Watched, from_events, watch, watch_guarded};

/// A watch that is running; it never ends by itself.
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the queues of a change.
type Tell<K> = fn(&Queues, &Store<K>, Change<'_, K>);

/// Starts nothing yet: gives the stores, and the watches that fill them while they are polled.
pub fn all(client: &Client, namespace: &str, queues: &Queues, metrics: &Metrics) -> (Cache, Vec<Running>) {
    let mut start = Start { client, queues, metrics, running: Vec::new() };
    let ours = Config::default().labels(&format!("{}={}", words::MANAGED_BY, words::MUON));
    let environments = Config::default().labels(words::ENVIRONMENT);
    let proxies = Config::default().labels(&crate::proxies::selector());
    let cache = Cache {
        environments: start.guarded(Queues::environment),
        packages: start.guarded(Queues::package),
        functions: start.guarded(Queues::function),
        triggers: start.guarded(Queues::trigger),
        deployments: start.plain(ours.clone(), Queues::deployment),
        pods: start.plain(environments, Queues::pod),
        services: start.plain(ours.clone(), Queues::service),
        slices: start.plain(ours.clone(), Queues::slice),
        ingresses: start.plain(ours.clone(), Queues::ingress),
        policies: start.plain(ours.clone(), Queues::policy),
        budgets: start.plain(ours, Queues::budget),
        classes: start.plain(Config::default(), Queues::class),
        secrets: start.metadata::<Secret>(Queues::secret),
        config_maps: start.metadata::<ConfigMap>(Queues::config_map),
        proxies: start.watched(Api::namespaced(client.clone(), namespace), proxies, Queues::proxy),
        index: std::sync::Arc::clone(&queues.index),
    };
    (cache, start.running)
}

struct Start<'a> {
    client: &'a Client,
    queues: &'a Queues,
    metrics: &'a Metrics,
    running: Vec<Running>,
}

impl Start<'_> {
    fn guarded<K: Watched + DeserializeOwned>(&mut self, tell: Tell<K>) -> Store<K> {
        let (queues, metrics) = (self.queues.clone(), self.metrics.clone());
        let api: Api<DeserializeGuard<K>> = Api::all(self.client.clone());
        let told = move |store: &Store<K>, change: Change<'_, K>| tell(&queues, store, change);
        let (store, run) = watch_guarded(api, Config::default(), metrics, told);
        self.running.push(Box::pin(run));
        store
    }

    fn plain<K: Watched + DeserializeOwned>(&mut self, config: Config, tell: Tell<K>) -> Store<K> {
        self.watched(Api::all(self.client.clone()), config, tell)
    }

    fn watched<K: Watched + DeserializeOwned>(&mut self, api: Api<K>, config: Config, tell: Tell<K>) -> Store<K> {
        let queues = self.queues.clone();
        let (store, run) = watch(api, config, move |store, change| tell(&queues, store, change));
        self.running.push(Box::pin(run));
        store
    }

    /// Metadata only: the API server never sends the values. Of the metadata, name and version are kept.
    fn metadata<K>(&mut self, tell: Tell<PartialObjectMeta<K>>) -> Store<PartialObjectMeta<K>>
    where
        K: Watched + DeserializeOwned + Resource<Scope = NamespaceResourceScope>,
    {
        let queues = self.queues.clone();
        let api: Api<PartialObjectMeta<K>> = Api::all(self.client.clone());
        let events = watcher(api, Config::default()).modify(|object| {
            object.types = None;
            object.metadata.labels = None;
            object.metadata.annotations = None;
            object.metadata.owner_references = None;
        });
        let (store, run) = from_events(events, move |store, change| tell(&queues, store, change));
        self.running.push(Box::pin(run));
        store
    }
}

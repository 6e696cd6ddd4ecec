//! All watches of the operator, each told to the queues.

use std::future::Future;
use std::pin::Pin;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, watcher};
use kube::{Client, Resource};
use muon_crds::words;

use crate::cache::Cache;
use crate::metrics::Metrics;
use crate::objects::{Form, Objects, Stored};
use crate::queues::Queues;
use crate::readable::Readable;
use crate::reference::ObjectRef;
use crate::watch::{Change, from_events, paged, watch};

/// A watch that is running; it never ends by itself.
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the queues of a change.
type Tell<K> = fn(&Queues, &ObjectRef<K>, Change<'_, K>);

/// Starts nothing yet: gives the stores, and the watches that fill them while they are polled. Kinds that grow with
/// the number of Functions are kept packed.
pub fn all(client: &Client, namespace: &str, queues: &Queues, metrics: &Metrics) -> (Cache, Vec<Running>) {
    let mut start = Start { client, queues, metrics, running: Vec::new() };
    let ours = Config::default().labels(&format!("{}={}", words::MANAGED_BY, words::MUON));
    let environments = Config::default().labels(words::ENVIRONMENT);
    let proxies = Config::default().labels(&crate::proxies::selector());
    let cache = Cache {
        environments: start.kind(every(), Form::Plain, whole, Queues::environment),
        packages: start.kind(every(), Form::Packed, crate::package::thin, Queues::package),
        functions: start.kind(every(), Form::Packed, whole, Queues::function),
        triggers: start.kind(every(), Form::Packed, whole, Queues::trigger),
        deployments: start.kind(ours.clone(), Form::Plain, whole, Queues::deployment),
        pods: start.kind(environments, Form::Plain, whole, Queues::pod),
        services: start.kind(ours.clone(), Form::Packed, whole, Queues::service),
        slices: start.kind(ours.clone(), Form::Plain, whole, Queues::slice),
        ingresses: start.kind(ours.clone(), Form::Packed, whole, Queues::ingress),
        policies: start.kind(ours.clone(), Form::Plain, whole, Queues::policy),
        budgets: start.kind(ours.clone(), Form::Plain, whole, Queues::budget),
        jobs: start.kind(ours, Form::Packed, whole, Queues::job),
        autoscalers: start.kind(every(), Form::Plain, target, Queues::autoscaler),
        classes: start.kind(every(), Form::Plain, whole, Queues::class),
        secrets: start.metadata::<Secret>(Queues::secret),
        config_maps: start.metadata::<ConfigMap>(Queues::config_map),
        proxies: start.watched(Api::namespaced(client.clone(), namespace), proxies, Form::Plain, whole, Queues::proxy),
        index: std::sync::Arc::clone(&queues.index),
    };
    (cache, start.running)
}

/// All objects of a kind.
fn every() -> Config {
    Config::default()
}

/// Keeps the whole object.
fn whole<K>(_: &mut K) {}

/// Keeps of an autoscaler whom it scales.
fn target(scaler: &mut HorizontalPodAutoscaler) {
    scaler.metadata.annotations = None;
    scaler.metadata.labels = None;
    if let Some(spec) = &mut scaler.spec {
        spec.metrics = None;
        spec.behavior = None;
    }
    scaler.status = None;
}

struct Start<'a> {
    client: &'a Client,
    queues: &'a Queues,
    metrics: &'a Metrics,
    running: Vec<Running>,
}

impl Start<'_> {
    fn kind<K: Stored>(&mut self, config: Config, form: Form, thin: fn(&mut K), tell: Tell<K>) -> Objects<K> {
        self.watched(Api::all(self.client.clone()), config, form, thin, tell)
    }

    fn watched<K: Stored>(
        &mut self,
        api: Api<Readable<K>>,
        config: Config,
        form: Form,
        thin: fn(&mut K),
        tell: Tell<K>,
    ) -> Objects<K> {
        let (queues, metrics) = (self.queues.clone(), self.metrics.clone());
        let told = move |name: &ObjectRef<K>, change: Change<'_, K>| tell(&queues, name, change);
        let (store, run) = watch(api, config, form, thin, metrics, told);
        self.running.push(Box::pin(run));
        store
    }

    /// Metadata only: the API server never sends the values. Of the metadata, name and version are kept.
    fn metadata<K>(&mut self, tell: Tell<PartialObjectMeta<K>>) -> Objects<PartialObjectMeta<K>>
    where
        K: Stored + Resource<Scope = NamespaceResourceScope>,
    {
        let queues = self.queues.clone();
        let api: Api<PartialObjectMeta<K>> = Api::all(self.client.clone());
        let events = watcher(api, paged(Config::default())).modify(|object| {
            object.types = None;
            object.metadata.labels = None;
            object.metadata.annotations = None;
            object.metadata.owner_references = None;
        });
        let (store, run) = from_events(events, Form::Packed, move |name, change| tell(&queues, name, change));
        self.running.push(Box::pin(run));
        store
    }
}

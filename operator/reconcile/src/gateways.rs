//! The way into each namespace: Services `muon-gateway` and `muon-functions`, and slices with the proxies' addresses.
//! Drivers have them made when they first need them; a loop keeps them right and removes those that nobody needs.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Client, ResourceExt as _};
use muon_crds::pods;
use muon_crds::words::{self, FUNCTIONS_SERVICE, GATEWAY_SERVICE, manager};
use muon_plan::gateway::{self, Observed, Proxy};
use muon_plan::meta::Component;
use tokio::sync::Notify;
use tracing::warn;

use crate::apply::{Applier, ApplyError, Ours};
use crate::cache::{Cache, is_controlled_by};
use crate::metrics::Metrics;
use crate::place::namespace_of;
use crate::reference::ObjectRef;
use crate::writes::Writes;

/// Changes are gathered for this long before all namespaces are looked at.
const GATHER: Duration = Duration::from_millis(50);
/// Without any change, all namespaces are looked at after this time.
const RESYNC: Duration = Duration::from_secs(600);
/// After a failure, all namespaces are looked at after this time.
const RETRY: Duration = Duration::from_secs(2);

/// Which of the two Services of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// `muon-gateway`, for HTTPTriggers.
    Routes,
    /// `muon-functions`, for Functions by name.
    Names,
}

impl Way {
    /// Name of its Service.
    pub const fn service(self) -> &'static str {
        match self {
            Self::Routes => GATEWAY_SERVICE,
            Self::Names => FUNCTIONS_SERVICE,
        }
    }
}

/// Versions of the objects of one way, and of the proxies, that were found right.
type Verified = (Option<u64>, [Option<u64>; 2], u64);

/// Makes and keeps the gateways.
pub struct Gateways {
    cache: Cache,
    applier: Applier,
    writes: Writes,
    metrics: Metrics,
    verified: Mutex<HashMap<(String, Way), Verified>>,
}

impl Gateways {
    /// Over this cache.
    pub fn new(client: Client, cache: Cache, metrics: Metrics) -> Self {
        Self {
            applier: Applier::new(client.clone(), manager::GATEWAY, metrics.clone()),
            writes: Writes::new(client, metrics.clone()),
            cache,
            metrics,
            verified: Mutex::default(),
        }
    }

    /// Has the namespace's Service and its slices be there and right.
    pub async fn ensure(&self, namespace: &str, way: Way) -> Result<(), ApplyError> {
        let proxies = proxies(&self.cache);
        let key = (namespace.to_owned(), way);
        let found = self.found(namespace, way, &proxies);
        if found.0.is_some() && self.verified().get(&key) == Some(&found) {
            return Ok(());
        }
        let observed =
            Observed { namespace: namespace.to_owned(), triggers: way == Way::Routes, functions: way == Way::Names };
        let gateway::Resources { gateway, functions } = gateway::services(&observed);
        for desired in gateway.iter().chain(&functions) {
            let live = Cache::get(&self.cache.services, namespace, way.service());
            let service = self.applier.apply(live.as_deref(), desired, Ours::Label).await?.object;
            self.slices(&service, &proxies).await?;
        }
        // Only what the cache shows is taken for verified: what was just written comes by the watch.
        self.verified().insert(key, found);
        Ok(())
    }

    async fn slices(&self, service: &Service, proxies: &[Proxy]) -> Result<(), ApplyError> {
        let (namespace, uid) = (namespace_of(service), service.uid().unwrap_or_default());
        let desired = gateway::slices(service, proxies);
        for slice in &desired {
            let live = Cache::get(&self.cache.slices, &namespace, &slice.name_any());
            self.applier.apply(live.as_deref(), slice, Ours::Controller(&uid)).await?;
        }
        // A family of addresses that no proxy has any more.
        let left = |slice: &EndpointSlice| {
            is_controlled_by(slice, &uid) && desired.iter().all(|wanted| wanted.name_any() != slice.name_any())
        };
        for slice in self.cache.slices.state_filter(left) {
            self.writes.delete_seen(slice.as_ref()).await?;
        }
        Ok(())
    }

    fn found(&self, namespace: &str, way: Way, proxies: &[Proxy]) -> Verified {
        let service = self.cache.services.version(&ObjectRef::new(way.service()).within(namespace));
        let slices = ["ipv4", "ipv6"].map(|family| {
            let name = format!("{}-{family}", way.service());
            self.cache.slices.version(&ObjectRef::new(&name).within(namespace))
        });
        (service, slices, fingerprint(proxies))
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, HashMap<(String, Way), Verified>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps all namespaces right, whenever `bell` rings. Never ends.
    pub async fn run(&self, bell: Arc<Notify>) {
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                () = bell.notified() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(pause) => {}
            }
            pause = match self.visit().await {
                Ok(()) => RESYNC,
                Err(error) => {
                    warn!(%error, "gateways are not all as they should be; trying again");
                    RETRY
                }
            };
        }
    }

    /// Looks at all namespaces once; the first failure is told after all were tried.
    async fn visit(&self) -> Result<(), ApplyError> {
        let needed = needed(&self.cache);
        self.metrics.gateways(needed.iter().map(|(namespace, _)| namespace).collect::<BTreeSet<_>>().len());
        let mut failure = Ok(());
        for (namespace, way) in &needed {
            match self.ensure(namespace, *way).await {
                // Told in the status of the objects that need it.
                Ok(()) | Err(ApplyError::NameConflict { .. }) => {}
                Err(error) => failure = failure.and(Err(error)),
            }
        }
        // By their names: of a namespace's Services nearly all are Functions'.
        let mut gateways = Vec::new();
        self.cache.services.each_name(|name| {
            if [GATEWAY_SERVICE, FUNCTIONS_SERVICE].contains(&name.name()) {
                gateways.push(name.clone());
            }
        });
        let gateways = gateways.iter().filter_map(|name| self.cache.services.get(name));
        for service in gateways.filter(|service| is_gateway(service)) {
            let namespace = namespace_of(service.as_ref());
            let way = if service.name_any() == GATEWAY_SERVICE { Way::Routes } else { Way::Names };
            if !needed.contains(&(namespace.clone(), way)) && service.metadata.deletion_timestamp.is_none() {
                self.verified().remove(&(namespace, way));
                let deleted = self.writes.delete_seen(service.as_ref()).await;
                failure = failure.and(deleted.map(|_| ()).map_err(ApplyError::from));
            }
        }
        failure
    }
}

/// What namespaces need now: a way for routes when they have an HTTPTrigger, one for names when they have a Function.
fn needed(cache: &Cache) -> BTreeSet<(String, Way)> {
    let (mut routes, mut names) = (BTreeSet::new(), BTreeSet::new());
    let need = |namespaces: &mut BTreeSet<String>, namespace: &str| {
        if !namespaces.contains(namespace) {
            namespaces.insert(namespace.to_owned());
        }
    };
    cache.triggers.each_name(|name| need(&mut routes, name.namespace()));
    cache.functions.each_name(|name| need(&mut names, name.namespace()));
    let routes = routes.into_iter().map(|namespace| (namespace, Way::Routes));
    routes.chain(names.into_iter().map(|namespace| (namespace, Way::Names))).collect()
}

fn is_gateway(service: &Service) -> bool {
    Ours::Label.owns(service)
        && service.labels().get(words::APP_COMPONENT).map(String::as_str) == Some(Component::Gateway.as_str())
}

/// The proxies, as slices show them.
fn proxies(cache: &Cache) -> Vec<Proxy> {
    let mut proxies: Vec<Proxy> = cache.proxies.state().iter().filter_map(|pod| proxy(pod)).collect();
    proxies.sort_by(|a, b| a.name.cmp(&b.name));
    proxies
}

fn proxy(pod: &Pod) -> Option<Proxy> {
    let status = pod.status.as_ref()?;
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let ips = status.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).filter(|ip| !ip.is_empty());
    let ips: Vec<String> = ips.collect();
    (!ips.is_empty()).then(|| Proxy {
        name: pod.name_any(),
        namespace: namespace_of(pod),
        uid: pod.uid().unwrap_or_default(),
        ips,
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        ready: pods::is_ready(pod),
        terminating: pod.metadata.deletion_timestamp.is_some(),
    })
}

fn fingerprint(proxies: &[Proxy]) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    for proxy in proxies {
        (&proxy.uid, &proxy.ips, proxy.ready, proxy.terminating).hash(&mut hasher);
    }
    hasher.finish()
}

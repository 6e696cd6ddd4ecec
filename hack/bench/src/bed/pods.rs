//! The pods of a bed, and the proxies.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use muon_crds::words::{self, State};

use super::{Bed, wait};
use crate::error::Error;
use crate::load::Target;

impl Bed {
    /// Waits until `count` generic pods are ready, free or reserved: a cold start from an empty pool would measure
    /// something else.
    pub(crate) async fn pool_full(&self, environment: &str, count: usize) -> Result<(), Error> {
        wait("the pool to be full", 60 + 10 * count as u64, || async {
            let ready = self.generic(environment).await?.len();
            Ok(if ready >= count { Ok(()) } else { Err(format!("{ready} of {count} are ready")) })
        })
        .await
    }

    /// The ready generic pods.
    pub(crate) async fn generic(&self, environment: &str) -> Result<Vec<Pod>, Error> {
        let states = format!("{} in ({},{})", words::STATE, State::Free.as_str(), State::Reserved.as_str());
        let selector = format!("{}={environment},{states}", words::ENVIRONMENT);
        let mut found = self.api::<Pod>().list(&ListParams::default().labels(&selector)).await?.items;
        found.retain(is_ready);
        Ok(found)
    }

    /// How many pods of a full pool the proxies set aside for themselves, once they have.
    pub(crate) async fn reserved_in_the_end(&self, environment: &str) -> Result<usize, Error> {
        let mut most = 0;
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            most = most.max(reserved(&self.generic(environment).await?));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(most)
    }

    /// Waits until as many are reserved as always.
    pub(crate) async fn reserved_again(&self, environment: &str, count: usize) -> Result<(), Error> {
        wait("the proxies to have reserved pods again", 60, || async {
            let found = reserved(&self.generic(environment).await?);
            Ok(if found >= count { Ok(()) } else { Err(format!("{found} of {count} are")) })
        })
        .await
    }

    /// Waits until exactly the pool is left of an Environment, and nothing of anything else: what is still on its way
    /// out would take processor time from what is measured next.
    pub(crate) async fn quiet(&self, environment: &str, pool: usize) -> Result<(), Error> {
        wait("the namespace to be quiet", 300, || async {
            let all = self.api::<Pod>().list(&ListParams::default()).await?.items.len();
            let ready = self.generic(environment).await?.len();
            Ok(match (ready, all) {
                (ready, all) if ready == pool && all == pool => Ok(()),
                (ready, all) => Err(format!("{ready} generic pods are ready of {all} pods, {pool} are to be left")),
            })
        })
        .await
    }

    /// Waits until no pod is left.
    pub(crate) async fn empty(&self) -> Result<(), Error> {
        wait("all pods to be gone", 120, || async {
            let left = self.api::<Pod>().list(&ListParams::default()).await?.items.len();
            Ok(if left == 0 { Ok(()) } else { Err(format!("{left} are there")) })
        })
        .await
    }

    /// Pods that serve this function.
    pub(crate) async fn pods_of(&self, function: &str) -> Result<Vec<Pod>, Error> {
        let selector = format!("{}={function}", words::FUNCTION);
        Ok(self.api::<Pod>().list(&ListParams::default().labels(&selector)).await?.items)
    }

    /// How many pods serve this function that was just called for the first time: a pod's claim is written within a second
    /// of the first reply, and until then it does not wear the function's name.
    pub(crate) async fn claimed(&self, function: &str) -> Result<usize, Error> {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(self.pods_of(function).await?.len())
    }

    /// Where one pod is called directly.
    pub(crate) fn direct(&self, pod: &Pod) -> Result<Target, Error> {
        let address = SocketAddr::new(address(pod)?, words::PORT_RUNTIME);
        Ok(Target { address, host: self.host.clone(), path: "/".into() })
    }

    /// The ready proxies of the installation.
    pub(crate) async fn proxies(&self) -> Result<Vec<Proxy>, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), "muon-system");
        let found = pods.list(&ListParams::default().labels(&format!("{}=proxy", words::APP_COMPONENT))).await?;
        let ready = found.iter().filter(|pod| is_ready(pod));
        let proxies = ready
            .map(|pod| Ok(Proxy { name: pod.name_any(), uid: pod.uid().unwrap_or_default(), address: address(pod)? }))
            .collect::<Result<Vec<_>, Error>>()?;
        match proxies.is_empty() {
            true => Err(Error::Cluster("no proxy is ready".into())),
            false => Ok(proxies),
        }
    }
}

/// A ready proxy.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) address: IpAddr,
}

/// The pod's address.
pub(super) fn address(pod: &Pod) -> Result<IpAddr, Error> {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
    ip.and_then(|ip| ip.parse().ok()).ok_or_else(|| Error::Cluster(format!("pod {} has no address", pod.name_any())))
}

fn reserved(pods: &[Pod]) -> usize {
    let state = |pod: &Pod| pod.labels().get(words::STATE).and_then(|state| State::parse(state));
    pods.iter().filter(|pod| state(pod) == Some(State::Reserved)).count()
}

/// Whether it is ready and not on its way out.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    muon_crds::pods::is_ready_and_stays(pod)
}

//! Ways to a function, measured side by side. An arm is a name, a way to deploy a function, and where it is then called;
//! a further one is a variant here and nothing elsewhere.

mod peer;

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use muon_crds::words;

use crate::bed::{Bed, Wanted, wait};
use crate::cgroup::Cgroup;
use crate::context::Context;
use crate::error::Error;
use crate::load::{Connection, Target};
use peer::Peer;

/// An arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arm {
    /// The pod of a plain Deployment, called at its own address.
    Direct,
    /// The same, through its Service.
    ClusterIp,
    /// The same, through HAProxy.
    Haproxy,
    /// The same, through nginx.
    Nginx,
    /// The same, through Traefik.
    Traefik,
    /// A Function, through one of our proxies.
    Muon,
    /// The pod of that Function, called at its own address.
    MuonDirect,
}

/// A function deployed by an arm.
pub(crate) struct Deployed {
    pub(crate) arm: Arm,
    /// Where it is called.
    pub(crate) target: Target,
    /// Whose CPU time its proxy is; empty where there is none.
    pub(crate) proxies: Vec<Cgroup>,
    /// What runs as long as this value lives.
    _peer: Option<Peer>,
}

impl Arm {
    /// As rows have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::ClusterIp => "clusterip",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Muon => "muon",
            Self::MuonDirect => "muon-direct",
        }
    }

    /// Deploys the function that says nothing, and calls it once. The bed must have the Environment `native` and the
    /// Deployment `plain`, both of the same image.
    pub(crate) async fn deploy(self, context: &Context, bed: &Bed) -> Result<Deployed, Error> {
        let proxies = bed.proxies().await?;
        let first = proxies.first().cloned().ok_or_else(|| Error::Cluster("no proxy is ready".into()))?;
        let plain = async || {
            let pods = bed.scaled("plain", 1).await?;
            bed.direct(pods.first().ok_or_else(|| Error::Cluster("the plain Deployment has no pod".into()))?)
        };
        let (target, groups, peer) = match self {
            Self::Direct => (plain().await?, Vec::new(), None),
            Self::ClusterIp => {
                let service = bed.api::<Service>().get("plain").await?;
                let ip = service.spec.and_then(|spec| spec.cluster_ip).and_then(|ip| ip.parse::<IpAddr>().ok());
                let ip = ip.ok_or_else(|| Error::Cluster("the plain Service has no address".into()))?;
                let mut target = plain().await?;
                target.address = (ip, 80).into();
                (target, Vec::new(), None)
            }
            Self::Haproxy | Self::Nginx | Self::Traefik => {
                let backend = plain().await?;
                let beside = Cgroup::of_pod(&context.node.cgroup, &first.uid)?;
                let peer = Peer::start(self, context, &beside, first.address, backend.address).await?;
                let target = Target { address: peer.address, ..backend };
                (target, vec![peer.cgroup()], Some(peer))
            }
            Self::Muon | Self::MuonDirect => {
                if bed.api::<muon_crds::Function>().get_opt(WARM).await?.is_none() {
                    bed.functions(&[Wanted::new(WARM, "native")]).await?;
                }
                let mut target = bed.at(first.address, WARM);
                Connection::open(&target).await?.get().await?;
                if self == Self::MuonDirect {
                    let pods = bed.pods_of(WARM).await?;
                    target = bed.direct(pods.first().ok_or_else(|| Error::Cluster("no pod was claimed".into()))?)?;
                }
                let groups = proxies.iter().map(|proxy| Cgroup::of_pod(&context.node.cgroup, &proxy.uid));
                (target, groups.collect::<Result<_, _>>()?, None)
            }
        };
        // A proxy may listen before it knows its backend.
        wait("the arm to answer", 20, || async {
            Ok(match Connection::open(&target).await?.get().await {
                Ok(()) => Ok(()),
                Err(error) => Err(format!("{}: {error}", self.name())),
            })
        })
        .await?;
        Ok(Deployed { arm: self, target, proxies: groups, _peer: peer })
    }
}

/// Name of the function that is kept warm.
const WARM: &str = "warm";

/// The port at which other proxies listen inside a pod of ours; ours are all below it.
pub(crate) const PEER_PORT: u16 = words::PORT_ADMIN + 10_000;

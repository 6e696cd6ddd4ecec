//! What an installation tells its operator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muon_plan::builds::History;
use tokio::sync::mpsc;

use crate::fetch::{Fetcher, Lookup, Rules};
use crate::visit::Visit;

/// Settings of the operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace in which Muon itself runs.
    pub namespace: String,
    /// Name of this operator's pod: in Events and in the proxies' logs.
    pub instance: String,
    /// Image of the agent in function pods.
    pub agent_image: String,
    /// `imagePullPolicy` of every container in function pods.
    pub image_pull_policy: String,
    /// Base URL of the store, as seen from here and from function pods.
    pub store_url: String,
    /// Port on which proxies speak to their peers (tests have their own).
    pub peer_port: u16,
    /// Domain of the cluster's DNS.
    pub cluster_domain: String,
    /// Variables that kubelet sets in every container of the cluster, about the API server's Service.
    pub cluster_variables: BTreeMap<String, String>,
    /// Where sources may be fetched from.
    pub rules: Rules,
    /// Largest source that is fetched, in bytes.
    pub max_archive_bytes: u64,
    /// Fetching one archive takes at most this.
    pub archive_deadline: Duration,
    /// How often the store is told what is in use.
    pub sweep_every: Duration,
    /// Objects of one kind that are looked at at once.
    pub concurrency: u16,
    /// How often idle pods are looked for.
    pub idle_tick: Duration,
    /// Builds that run at once in a namespace.
    pub builds: usize,
    /// Ended builds of a Package that stay, with their logs.
    pub build_history: History,
    /// Who makes spans of what is done; none: nobody.
    pub visits: Option<mpsc::Sender<Visit>>,
}

impl Settings {
    /// The settings of an installation that names only what has no default.
    pub fn new(namespace: &str, instance: &str, agent_image: &str, store_url: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            instance: instance.to_owned(),
            agent_image: agent_image.to_owned(),
            image_pull_policy: muon_plan::settings::default_pull_policy(),
            store_url: store_url.to_owned(),
            peer_port: muon_crds::words::PORT_PEER,
            cluster_domain: muon_plan::settings::default_domain(),
            cluster_variables: BTreeMap::new(),
            rules: Rules::default(),
            max_archive_bytes: 64 * 1024 * 1024,
            archive_deadline: Duration::from_secs(120),
            sweep_every: Duration::from_secs(600),
            concurrency: 16,
            idle_tick: Duration::from_secs(1),
            builds: 2,
            build_history: History { complete: 3, failed: 3 },
            visits: None,
        }
    }

    /// What fetches sources.
    pub fn fetcher(&self) -> Fetcher {
        Fetcher {
            rules: Arc::new(self.rules.clone()),
            lookup: Lookup::default(),
            max_bytes: self.max_archive_bytes,
            deadline: self.archive_deadline,
        }
    }

    /// What the plan needs of them.
    pub fn plan(&self, public_key: String) -> muon_plan::Settings {
        muon_plan::Settings {
            namespace: self.namespace.clone(),
            agent_image: self.agent_image.clone(),
            image_pull_policy: self.image_pull_policy.clone(),
            public_key,
            store: self.store_url.clone(),
            cluster_domain: self.cluster_domain.clone(),
            cluster_variables: self.cluster_variables.clone(),
        }
    }
}

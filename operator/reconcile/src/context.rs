//! What every driver works with.

use std::sync::Arc;

use kube::{Client, ResourceExt as _};
use muon_crds::words::manager;
use muon_crds::{Function, HTTPTrigger};
use muon_order::Signer;

use crate::activity::Board;
use crate::apply::Applier;
use crate::builds::Beginning;
use crate::cache::Cache;
use crate::claims::Claims;
use crate::gateways::Gateways;
use crate::held::Values;
use crate::metrics::Metrics;
use crate::package::Archives;
use crate::place::namespace_of;
use crate::proxies::Peers;
use crate::queues::Queues;
use crate::reference::ObjectRef;
use crate::settings::Settings;
use crate::status::Reporting;
use crate::store_client::StoreClient;
use crate::stuck::Shortages;
use crate::writes::Writes;

/// What every driver works with. Nothing in it outlives the process in any sense that matters.
pub struct Context {
    /// The API server, for what no store holds.
    pub client: Client,
    /// Settings of the installation.
    pub settings: Settings,
    /// Those of them that the plan needs.
    pub plan: muon_plan::Settings,
    /// Signs orders.
    pub signer: Arc<Signer>,
    /// What is known of the cluster.
    pub cache: Cache,
    /// Who is to be looked at.
    pub queues: Queues,
    /// What the proxies said.
    pub board: Arc<Board>,
    /// Asks the proxies.
    pub peers: Peers,
    /// The package store.
    pub store: StoreClient,
    /// Archives on their way into the store.
    pub archives: Archives,
    /// Builds that are about to begin.
    pub beginning: Beginning,
    /// Pools that are short of pods.
    pub shortages: Shortages,
    /// Claims that proxies were asked for.
    pub claims: Claims,
    /// Keys of ConfigMaps that variables take.
    pub values: Values,
    /// The namespaces' gateways.
    pub gateways: Gateways,
    /// Writes that are not applies.
    pub writes: Writes,
    /// Applies and reports, per controller.
    pub environment: Hands,
    /// Of the Package controller.
    pub package: Hands,
    /// Of the Function controller.
    pub function: Hands,
    /// Of the HTTPTrigger controller.
    pub trigger: Hands,
    /// What is counted.
    pub metrics: Metrics,
}

/// What one controller writes with, under its own field manager.
pub struct Hands {
    /// Desired objects.
    pub applier: Applier,
    /// Status and Events.
    pub reporting: Reporting,
}

impl Hands {
    fn new(client: &Client, manager: &'static str, settings: &Settings, metrics: &Metrics) -> Self {
        Self {
            applier: Applier::new(client.clone(), manager, metrics.clone()),
            reporting: Reporting::new(client.clone(), manager, &settings.instance, metrics.clone()),
        }
    }
}

impl Context {
    /// Puts together what the drivers work with. `http` speaks to the store and the proxies, inside the cluster.
    pub fn new(
        client: &Client,
        http: &reqwest::Client,
        settings: Settings,
        signer: Arc<Signer>,
        cache: Cache,
        queues: Queues,
        metrics: Metrics,
    ) -> Self {
        let hands = |manager| Hands::new(client, manager, &settings, &metrics);
        Self {
            client: client.clone(),
            plan: settings.plan(signer.public()),
            board: Arc::default(),
            peers: Peers::new(http.clone(), Arc::clone(&signer), &settings.instance, settings.peer_port),
            store: StoreClient::new(http.clone(), &settings.store_url, Arc::clone(&signer)),
            archives: Archives::default(),
            beginning: Beginning::default(),
            shortages: Shortages::default(),
            claims: Claims::default(),
            values: Values::new(client.clone()),
            gateways: Gateways::new(client.clone(), cache.clone(), metrics.clone()),
            writes: Writes::new(client.clone(), metrics.clone()),
            environment: hands(manager::ENVIRONMENT),
            package: hands(manager::PACKAGE),
            function: hands(manager::FUNCTION),
            trigger: hands(manager::HTTP_TRIGGER),
            settings,
            signer,
            cache,
            queues,
            metrics,
        }
    }
}

impl Context {
    /// Has the Function looked at once every ready proxy has this version of it.
    pub fn await_function(&self, function: &Function, version: &str) {
        let Ok(version) = version.parse::<u64>() else { return };
        self.board.await_function(&namespace_of(function), &function.name_any(), version);
        if self.board.watermarks().is_some_and(|seen| seen.functions >= version) {
            self.queues.functions.push(ObjectRef::from_obj(function));
        }
    }

    /// Has the HTTPTrigger looked at once every ready proxy has this version of it.
    pub fn await_trigger(&self, trigger: &HTTPTrigger, version: &str) {
        let Ok(version) = version.parse::<u64>() else { return };
        self.board.await_trigger(&namespace_of(trigger), &trigger.name_any(), version);
        if self.board.watermarks().is_some_and(|seen| seen.triggers >= version) {
            self.queues.triggers.push(ObjectRef::from_obj(trigger));
        }
    }
}

/// The time for conditions, RFC 3339 in whole seconds.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

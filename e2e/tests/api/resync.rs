//! Many objects that nobody touches.

use kube::Client;
use kube::api::{Api, ListParams};
use kube::core::PartialObjectMeta;
use muon_crds::{Function, HTTPTrigger, Package};
use muon_e2e::control_plane::ControlPlane;
use muon_e2e::space::READY_WITHIN;
use serde_json::json;

use crate::installation::{Installation, environment, function, space, trigger};

/// Functions, each with the Package of its source, a Service and a route.
const MANY: usize = 40;

/// How many visits an operator has paid to a kind.
fn visits(registry: &prometheus::Registry, kind: &str) -> f64 {
    let families = registry.gather();
    let counted = families.iter().filter(|family| family.name() == "muon_operator_reconciles_total");
    let of_kind = counted
        .flat_map(|family| family.get_metric())
        .filter(|metric| metric.get_label().iter().any(|label| label.name() == "kind" && label.value() == kind));
    of_kind.map(|metric| metric.get_counter().get_value()).sum()
}

/// How many there are in all namespaces.
async fn count<K>(client: &Client) -> usize
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let api: Api<PartialObjectMeta<K>> = Api::all(client.clone());
    api.list_metadata(&ListParams::default()).await.expect("the API server answers").items.len()
}

/// An operator that starts looks at everything, and finds everything as it should be.
#[tokio::test]
async fn api_restarted_operator_writes_nothing() {
    let space = space("resync");
    environment(&space).await;
    let names: Vec<String> = (0..MANY).map(|number| format!("fn-{number}")).collect();
    for name in &names {
        space.apply_value(function(name, json!({"entrypoint": "main.main"}))).await;
        space.apply_value(trigger(name, name, json!({"ingress": {"className": "none"}}))).await;
    }
    for name in &names {
        space.ready::<Function>(name).await;
        space.ready::<HTTPTrigger>(name).await;
    }
    let audit = ControlPlane::shared().audit();
    // Those that run already have nothing more to say, and then the new one has not either.
    let quiet = async || {
        let mark = audit.mark();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let wrote =
            audit.since(mark).iter().any(|entry| entry.is_write() && entry.object().namespace == space.namespace);
        (!wrote).then_some(())
    };
    muon_e2e::wait::until("nobody writes", READY_WITHIN, quiet).await;
    let mark = audit.mark();
    let counted = Installation::shared().another_operator();
    // Those of other tests among them, which it looks at as well.
    let client = ControlPlane::shared().client();
    let all = [
        ("Function", count::<Function>(&client).await),
        ("Package", count::<Package>(&client).await),
        ("HTTPTrigger", count::<HTTPTrigger>(&client).await),
    ];
    for (kind, count) in all {
        assert!(count >= MANY, "{count} of {kind}");
        let looked = async || (visits(&counted, kind) >= count as f64).then_some(());
        muon_e2e::wait::until(&format!("every {kind} was looked at"), READY_WITHIN, looked).await;
    }
    let writes = audit.since(mark).into_iter().filter(|entry| entry.is_write());
    let writes: Vec<String> =
        writes.filter(|entry| entry.object().namespace == space.namespace).map(|entry| entry.to_string()).collect();
    assert!(writes.is_empty(), "{writes:#?}");
}

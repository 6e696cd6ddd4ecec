//! What the store loses is stored again, without anybody's doing.

use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use muon_crds::Package;
use muon_e2e::wait::until;
use serde_json::json;

use crate::installation::{Installation, environment, space};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn api_a_damaged_archive_is_told_and_stored_again() {
    let space = space("store-rot");
    environment(&space).await;
    let spec = json!({"environment": "python", "source": {"files": {"main.py": "def main(): return 'rot'"}}});
    space
        .apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Package", "metadata": {"name": "hello"}, "spec": spec,
        }))
        .await;
    let digest = space.ready::<Package>("hello").await.status.and_then(|status| status.digest).expect("it is stored");
    let kept = Installation::shared().kept();
    let hex = digest.strip_prefix("sha256:").expect("a digest").to_owned();
    let file = kept.path.join("packages").join(&space.namespace).join(&hex[..2]).join(&hex);
    let before = std::fs::read(&file).expect("the archive");
    std::fs::write(&file, "rot").expect("it can be written");
    kept.store.scrub().await;

    let again = async || std::fs::read(&file).is_ok_and(|now| now == before).then_some(());
    until("the archive is there again", PATIENCE, again).await;
    let events: Api<Event> = Api::namespaced(space.client.clone(), &space.namespace);
    until("an Event tells of it", PATIENCE, async || {
        let events = events.list(&ListParams::default()).await.expect("Events can be read");
        events.items.iter().any(|event| event.reason.as_deref() == Some("ArchiveDamaged")).then_some(())
    })
    .await;
}

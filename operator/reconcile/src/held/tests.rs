use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muon_plan::function::Held;
use serde_json::json;

use super::*;
use crate::mock::{Log, api, refusal};

struct Rig {
    values: Values,
    log: Log,
    /// The version that the API server has; 0: there is none.
    version: Arc<AtomicU64>,
}

fn rig() -> Rig {
    let version = Arc::new(AtomicU64::new(7));
    let at = Arc::clone(&version);
    let (client, log) = api(move |asked| {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/api/v1/namespaces/shop/configmaps/c"));
        match at.load(Ordering::SeqCst) {
            0 => refusal(404, "NotFound"),
            13 => refusal(500, "InternalError"),
            version => {
                let metadata = json!({"name": "c", "namespace": "shop", "resourceVersion": version.to_string()});
                let data = json!({"k": format!("at {version}"), "other": "not asked for"});
                (200, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}))
            }
        }
    });
    Rig { values: Values::new(client), log, version }
}

impl Rig {
    /// One visit of a Function, for which the watch has this version.
    async fn visit(&self, uid: &str, watched: Option<&str>, keys: &[&str]) -> Result<Referenced, CallError> {
        let wanted = BTreeMap::from([("c".to_owned(), keys.iter().map(|key| (*key).to_owned()).collect())]);
        let mut references = [Referenced {
            kind: ReferenceKind::ConfigMap,
            name: "c".to_owned(),
            resource_version: watched.map(str::to_owned),
            keys: HeldKeys::default(),
        }];
        let filled = self.values.fill("shop", uid, wanted, &mut references, |_| false).await;
        let [reference] = references;
        filled.map(|()| reference)
    }
}

fn text(reference: &Referenced) -> Option<&str> {
    match reference.keys.data.get("k")? {
        Held::Text(text) => Some(text),
        Held::Large { .. } => None,
    }
}

#[tokio::test]
async fn a_config_map_is_read_once_a_version() {
    let rig = rig();
    for _ in 0..3 {
        let found = rig.visit("f", Some("7"), &["k"]).await.unwrap();
        assert_eq!((text(&found), found.keys.data.len()), (Some("at 7"), 1));
    }
    assert_eq!(rig.log.all().len(), 1);
    rig.version.store(9, Ordering::SeqCst);
    assert_eq!(text(&rig.visit("f", Some("8"), &["k"]).await.unwrap()), Some("at 9"), "ahead of the watch");
    assert_eq!(text(&rig.visit("f", Some("9"), &["k"]).await.unwrap()), Some("at 9"));
    assert_eq!(rig.log.all().len(), 2);
    rig.visit("f", Some("9"), &["k", "more"]).await.unwrap();
    assert_eq!(rig.log.all().len(), 3, "other keys are other questions");
}

#[tokio::test]
async fn one_that_is_not_there_is_not_asked_for() {
    let rig = rig();
    assert_eq!(text(&rig.visit("f", None, &["k"]).await.unwrap()), None);
    assert!(rig.log.all().is_empty());
    rig.version.store(0, Ordering::SeqCst);
    let gone = rig.visit("f", Some("7"), &["k"]).await.unwrap();
    assert_eq!(gone.resource_version, None, "it went before the watch told");
}

#[tokio::test]
async fn an_api_server_that_fails_is_asked_again() {
    let rig = rig();
    rig.version.store(13, Ordering::SeqCst);
    assert!(rig.visit("f", Some("7"), &["k"]).await.is_err());
    rig.version.store(7, Ordering::SeqCst);
    assert_eq!(text(&rig.visit("f", Some("7"), &["k"]).await.unwrap()), Some("at 7"));
}

#[tokio::test]
async fn what_is_kept_of_deleted_functions_goes() {
    let rig = rig();
    for number in 0..=SWEEP {
        rig.visit(&format!("f{number}"), Some("7"), &["k"]).await.unwrap();
    }
    assert!(rig.values.kept().functions.is_empty());
}

//! Who the ready proxies are: the pods of Muon's own namespace that say so.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt as _};
use muon_proxy::Peer;
use muon_reconcile::proxies;

use crate::watches;

/// Follows the proxies' pods and tells all ready ones whenever they change.
pub(crate) async fn follow(api: Api<Pod>, mut tell: impl FnMut(Vec<Peer>)) {
    let mut known: BTreeMap<String, Peer> = BTreeMap::new();
    let mut listed: BTreeMap<String, Peer> = BTreeMap::new();
    let mut told: Option<Vec<Peer>> = None;
    watches::follow(api, watcher::Config::default().labels(&proxies::selector()), move |event| {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(pod) => {
                listed.extend(peer(&pod).map(|peer| (peer.uid.clone(), peer)));
                return;
            }
            Event::InitDone => known = std::mem::take(&mut listed),
            Event::Apply(pod) => {
                known.remove(&pod.uid().unwrap_or_default());
                known.extend(peer(&pod).map(|peer| (peer.uid.clone(), peer)));
            }
            Event::Delete(pod) => {
                known.remove(&pod.uid().unwrap_or_default());
            }
        }
        let all: Vec<Peer> = known.values().cloned().collect();
        if told.as_ref() != Some(&all) {
            tell(all.clone());
            told = Some(all);
        }
    })
    .await;
}

/// The proxy in this pod, when it is ready and stays.
fn peer(pod: &Pod) -> Option<Peer> {
    let status = pod.status.as_ref()?;
    if !muon_crds::pods::is_ready_and_stays(pod) {
        return None;
    }
    let ip = status.pod_ip.as_deref()?.parse().ok()?;
    Some(Peer { name: pod.name_any(), uid: pod.uid()?, ip, port: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(ready: &str, deleted: bool) -> Pod {
        let mut pod = json!({
            "metadata": {"name": "muon-proxy-1", "uid": "u1"},
            "status": {"podIP": "198.18.0.9", "conditions": [{"type": "Ready", "status": ready}]},
        });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn only_ready_pods_that_stay_are_peers() {
        assert_eq!(peer(&pod("True", false)).map(|peer| peer.name), Some("muon-proxy-1".to_owned()));
        assert_eq!(peer(&pod("False", false)), None);
        assert_eq!(peer(&pod("True", true)), None);
    }
}

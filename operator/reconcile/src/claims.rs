//! Asking a proxy for pods of the pool that are to be there though nobody calls (`scaling.min`, `replicas`). Claiming
//! stays with the proxies: one way into a pod, one account that may.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use kube::ResourceExt as _;
use muon_crds::Function;
use muon_crds::wire::PodRequest;
use muon_routes::home;
use tracing::{debug, warn};

use crate::context::Context;
use crate::place::namespace_of;
use crate::reference::ObjectRef;

/// How long the proxy may wait for a free pod.
const TIMEOUT_MS: u64 = 20_000;
/// After a request that got no pod, or one whose claim follows (within a second).
const PAUSE: std::time::Duration = std::time::Duration::from_secs(2);

/// UIDs of Functions for which a request is under way: one at a time each.
#[derive(Default)]
pub struct Claims(Mutex<HashSet<String>>);

impl Claims {
    fn begin(&self, uid: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned())
    }

    fn end(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// Asks the function's home proxy for one more pod than the `known` ones, until there are `pods`; the Function is
/// looked at again afterwards.
pub fn ask(context: &Arc<Context>, function: &Function, pods: u32, known: Vec<String>) {
    let Some(serving) = function.status.as_ref().and_then(|status| status.serving.as_ref()) else { return };
    let uid = function.uid().unwrap_or_default();
    let ready: Vec<_> = context.board.proxies().into_iter().filter(|proxy| proxy.ready).collect();
    let Some(proxy) = home(&uid, &ready, |proxy| &proxy.name) else { return };
    if !context.claims.begin(&uid) {
        return;
    }
    let request = PodRequest {
        function: function.name_any(),
        namespace: namespace_of(function),
        function_uid: uid.clone(),
        revision: serving.revision.clone(),
        pods,
        known,
        timeout_ms: TIMEOUT_MS,
    };
    let (context, ip, reference) = (Arc::clone(context), proxy.ip.clone(), ObjectRef::from_obj(function));
    tokio::spawn(async move {
        match context.peers.claim(&ip, &request).await {
            Ok(pod) => {
                debug!(function = %reference, pod = pod.name, "a pod to keep was claimed");
                if pod.reserved.is_some() {
                    // Its labels will say so in a moment: until then it would be asked for again.
                    tokio::time::sleep(PAUSE).await;
                }
            }
            Err(error) => {
                warn!(function = %reference, %error, "no pod to keep yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
        context.claims.end(&uid);
        context.queues.functions.push(reference);
    });
}

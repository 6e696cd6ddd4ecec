//! Loading ahead: a pod that was claimed though nobody calls (`scaling.min`, a schedule) is loaded before its first
//! request. The function's home proxy does it, from what it sees of the pods alone, so that it also holds after a proxy
//! or the operator began anew. Whoever claims for a request that waits is faster and leaves nothing to do here.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use muon_crds::Mode;
use muon_routes::Function;

use crate::proxy::Proxy;
use crate::served::{Inner, Served};

/// Pods of one function that are loaded ahead at once.
const AT_ONCE: usize = 8;

impl Proxy {
    /// Serves those of these functions (`name.namespace`) from here on of which this proxy is the home and which have
    /// pods, called or not. Not to be called under a lock.
    pub(crate) fn adopt(self: &Arc<Self>, keys: &[String]) {
        let table = self.table.load_full();
        for function in keys.iter().filter_map(|key| table.function(key)) {
            if self.known(&function.uid).is_none() && self.has_pods(function) && self.home(&function.uid).is_none() {
                // Its pods are taken over with it, and so looked at.
                self.serve_function(function);
            }
        }
    }

    /// The proxies are others now, and so may the homes be.
    pub(crate) fn adopt_all(self: &Arc<Self>) {
        self.adopt(&self.with_index(|index| index.functions().map(str::to_owned).collect::<Vec<_>>()));
        for served in self.all_served() {
            let mut inner = served.lock();
            served.warm(&mut inner);
        }
    }

    /// Whether a claimed pod of the pool waits for this function's present revision.
    fn has_pods(&self, function: &Function) -> bool {
        let Some(serving) = function.serving.as_ref().filter(|serving| serving.mode == Mode::Pool) else {
            return false;
        };
        self.with_index(|index| {
            let mut pods = index.of_function(function.key());
            pods.any(|pod| pod.is_claimed() && pod.revision.as_deref() == Some(&serving.revision))
        })
    }
}

impl Served {
    /// Sees to it that pods which nobody has had loaded are. Pods of an own Deployment load by themselves.
    pub(crate) fn warm(self: &Arc<Self>, inner: &mut Inner) {
        let is_pool = inner.serving().is_some_and(|serving| serving.mode == Mode::Pool);
        if is_pool && !inner.slots.warming && inner.slots.has_new() {
            inner.slots.warming = true;
            tokio::spawn(Arc::clone(self).load_ahead());
        }
    }

    /// As long as there are such pods and this proxy is the home: what failed is tried again in the next round.
    async fn load_ahead(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.shared.config.warm_after).await;
            let proxy = self.proxy.upgrade().filter(|proxy| !proxy.draining.load(Ordering::Relaxed));
            let mut inner = self.lock();
            let Some(proxy) = proxy.filter(|proxy| inner.slots.has_new() && proxy.home(&self.uid).is_none()) else {
                inner.slots.warming = false;
                return;
            };
            let now = Instant::now();
            if inner.failure.as_ref().is_some_and(|failure| failure.until > now) {
                continue;
            }
            for endpoint in inner.slots.start_loads(AT_ONCE, 1, now) {
                proxy.start_load(&self, &inner.function, endpoint, None);
            }
        }
    }
}

//! Loading: before its first request to a pod, every proxy asks the pod's agent to load, and so never has to guess.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use muon_crds::wire::{Component, Failure, LoadReport, LoadRequest};
use muon_order::{Load as LoadOrder, Order};
use muon_routes::Function;

use crate::access::phases::Loading;
use crate::answer::Refusal;
use crate::call::{self, CallError};
use crate::endpoint::Endpoint;
use crate::proxy::Proxy;
use crate::served::{CodeFailure, Inner, Served};
use crate::slots::Load;
use crate::trace::Context;

/// How long the agent of a pod that starts is dialled again and again, and how often.
const STARTING: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(10);

/// On whose account a pod is loaded.
pub(crate) struct Cause {
    /// When a pod was first asked for; none: there was one.
    pub(crate) asked: Option<Instant>,
    /// The trace of the request that waits longest.
    pub(crate) trace: Context,
}

/// What a failed load means.
enum Meaning {
    /// The user's code or archive cannot be loaded, here or anywhere: who says so, the word for it, and what.
    Code(Component, String, String),
    /// This pod will never load it; another one may.
    Pod(String),
    /// The agent cannot be reached.
    Unreachable(String),
    /// It may go well in a moment.
    Later(String),
}

/// Seconds since the epoch.
pub(crate) fn epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Proxy {
    /// Loads a pod whose slot has been marked as loading. No request waits in here: all wait in the queue. Without a
    /// `cause` none waits there either, so it is no phase of a cold request.
    pub(crate) fn start_load(
        self: &Arc<Self>,
        served: &Arc<Served>,
        function: &Arc<Function>,
        endpoint: Arc<Endpoint>,
        cause: Option<Cause>,
    ) {
        let (proxy, served, function) = (Arc::clone(self), Arc::clone(served), Arc::clone(function));
        tokio::spawn(async move {
            let started = Instant::now();
            let trace = cause.as_ref().map(|cause| &cause.trace);
            let outcome = proxy.load(&served, &function, &endpoint, trace).await;
            let ended = Instant::now();
            let metrics = &proxy.shared.metrics;
            if cause.is_some() {
                metrics.loaded(ended - started, outcome.as_ref().ok());
            }
            let mut inner = served.lock();
            match outcome {
                Ok(report) => {
                    if report.already {
                        metrics.loads_already.inc()
                    } else {
                        metrics.loads_done.inc()
                    }
                    let asked = cause.and_then(|cause| cause.asked);
                    endpoint.loaded(Loading { asked, begun: started, ended, report });
                    inner.loaded(&endpoint.uid);
                    served.pump(&mut inner);
                    proxy.shared.bump();
                }
                Err(meaning) => proxy.load_failed(&served, &mut inner, &function, &endpoint, meaning),
            }
            drop(inner);
            served.changed.send_replace(());
        });
    }

    async fn load(
        &self,
        served: &Served,
        function: &Function,
        endpoint: &Endpoint,
        trace: Option<&Context>,
    ) -> Result<LoadReport, Meaning> {
        let config = &self.shared.config;
        let Some(serving) = &function.serving else { return Err(Meaning::Later("nothing is served of it".to_owned())) };
        let order = self.signer.sign(&Order::Load(LoadOrder {
            pod_uid: Some(endpoint.uid.to_string()),
            namespace: function.namespace().to_owned(),
            function_uid: function.uid.to_string(),
            revision: serving.revision.clone(),
            digest: serving.digest.clone(),
            until: Some(epoch() + config.order_life.as_secs()),
        }));
        let request = LoadRequest {
            order,
            store: self.store.load().as_ref().clone(),
            entrypoint: serving.entrypoint.clone(),
            function: function.name().to_owned(),
            namespace: function.namespace().to_owned(),
            timeout_ms: u64::try_from(config.load_timeout.as_millis()).unwrap_or(u64::MAX),
            env: serving.env.clone(),
            trace: trace.and_then(|trace| trace.header().to_str().ok()).map(str::to_owned),
        };
        let agent = SocketAddr::new(endpoint.address.ip(), config.agent_port);
        // The agent keeps the time itself; the margin lets its answer arrive.
        let timeout = config.load_timeout + Duration::from_secs(5);
        let begun = Instant::now();
        loop {
            match call::post(agent, "/v1/load", &request, None, config.connect_timeout, timeout).await {
                // Its address is known before its containers run: they listen in a moment.
                Err(CallError::Dial(..))
                    if begun.elapsed() < STARTING && served.lock().slots.is_starting(&endpoint.uid) =>
                {
                    tokio::time::sleep(AGAIN).await;
                }
                answered => return answered.map_err(meaning),
            }
        }
    }

    fn load_failed(
        &self,
        served: &Arc<Served>,
        inner: &mut Inner,
        function: &Function,
        endpoint: &Endpoint,
        meaning: Meaning,
    ) {
        let (now, uid) = (Instant::now(), &*endpoint.uid);
        let base = self.shared.config.ejection;
        let metrics = &self.shared.metrics;
        let pod = &endpoint.name;
        let Some(ready) = inner.slots.get_mut(uid).map(|slot| slot.pod.is_serving()) else {
            // Its revision is over, or the pod is gone.
            return;
        };
        match meaning {
            Meaning::Code(component, reason, message) => {
                metrics.loads_code.inc();
                tracing::warn!(function = function.key(), %pod, %message, "the function's code cannot be loaded");
                set_broken(inner, uid);
                let refusal = self.remember(inner, function, component, (reason, message), now);
                if inner.slots.good(now) == 0 {
                    served.refuse_all(inner, &refusal);
                }
                self.shared.bump();
            }
            Meaning::Pod(message) => {
                metrics.loads_failed.inc();
                tracing::warn!(function = function.key(), %pod, %message, "the pod cannot take the function");
                set_broken(inner, uid);
                inner.no_pod = Some(message);
                self.shared.bump();
            }
            // It is only just starting; there is nothing to be told.
            Meaning::Unreachable(_) if !ready => inner.slots.put_out(uid, base / 20, now),
            Meaning::Unreachable(message) => {
                metrics.ejections.inc();
                tracing::warn!(function = function.key(), %pod, %message, "the pod's agent cannot be reached");
                inner.no_pod = Some(message);
                inner.slots.put_out(uid, base, now);
            }
            Meaning::Later(message) => {
                metrics.loads_failed.inc();
                tracing::warn!(function = function.key(), %pod, %message, "the load failed and will be tried again");
                inner.no_pod = Some(message);
                inner.slots.put_out(uid, base / 8, now);
            }
        }
        served.pump(inner);
    }

    /// Remembers that the code cannot be loaded, for longer each time.
    fn remember(
        &self,
        inner: &mut Inner,
        function: &Function,
        by: Component,
        (reason, message): (String, String),
        now: Instant,
    ) -> Refusal {
        let revision = function.serving.as_ref().map(|serving| serving.revision.clone()).unwrap_or_default();
        let times =
            inner.failure.as_ref().filter(|failure| failure.revision == revision).map_or(0, |failure| failure.times);
        let lasts = self.shared.config.failure_memory * 2u32.pow(times.min(5));
        let refusal =
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "LoadFailed", message.clone()).by(by).retry_after(lasts);
        inner.failure = Some(CodeFailure {
            revision,
            reason,
            message,
            refusal: refusal.clone(),
            times: times + 1,
            until: now + lasts,
        });
        refusal
    }
}

fn set_broken(inner: &mut Inner, uid: &str) {
    if let Some(slot) = inner.slots.get_mut(uid) {
        slot.load = Load::Broken;
    }
}

fn meaning(error: CallError) -> Meaning {
    let text = error.to_string();
    match error {
        CallError::Dial(..) => Meaning::Unreachable(text),
        CallError::Broken(..) | CallError::Timeout(..) => Meaning::Later(text),
        CallError::Status(_, status, body) => {
            let failure: Option<Failure> = serde_json::from_slice(&body).ok();
            let message = failure.as_ref().map_or(text, |failure| failure.message.clone());
            match failure.map(|failure| (failure.component, failure.reason)) {
                Some((by, reason)) if status == StatusCode::UNPROCESSABLE_ENTITY => Meaning::Code(by, reason, message),
                Some((by @ Component::Runtime, reason)) if status.is_client_error() => {
                    Meaning::Code(by, reason, message)
                }
                _ if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => Meaning::Pod(message),
                _ => Meaning::Later(message),
            }
        }
    }
}

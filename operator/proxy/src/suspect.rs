//! A pod that did not answer, or not in HTTP: is it busy, or gone? It is asked beside the requests, and only then left out.
//!
//! A request that ran out of time says little: user code may be slow. So the runtime itself is asked (`GET /healthz`, of
//! its contract); any answer in HTTP will do. A pod that gives none is left out at once, asked again with growing pauses,
//! and, when it stays silent, reported as broken: the operator replaces it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use http::header::{CONNECTION, HOST};

use crate::body::RequestBody;
use crate::endpoint::{Endpoint, Link};
use crate::served::Served;
use crate::slots::Load;

/// How often a silent pod is asked before it is given up. The pauses between double.
const PROBES: u32 = 5;

/// Answers in a row that were not HTTP, after which a pod is given up though it answers probes.
const GARBAGE: u32 = 3;

impl Served {
    /// The pod gave no answer to a request, or lost the connection.
    pub(crate) fn suspect(self: &Arc<Self>, endpoint: &Arc<Endpoint>) {
        if endpoint.begin_probe() {
            let (served, endpoint) = (Arc::clone(self), Arc::clone(endpoint));
            tokio::spawn(async move {
                served.probe(&endpoint).await;
                endpoint.end_probe();
            });
        }
    }

    /// The pod answered, but not in HTTP.
    pub(crate) fn garbage(self: &Arc<Self>, endpoint: &Arc<Endpoint>) {
        if endpoint.strike() >= GARBAGE {
            self.condemn(&endpoint.uid, "its answers are not HTTP");
        } else {
            self.suspect(endpoint);
        }
    }

    async fn probe(self: &Arc<Self>, endpoint: &Arc<Endpoint>) {
        let config = &self.shared.config;
        let mut pause = config.ejection / 2;
        for round in 0..PROBES {
            if self.lock().slots.get_mut(&endpoint.uid).is_none_or(|slot| slot.load == Load::Broken) {
                return;
            }
            if answers(endpoint, config.connect_timeout, config.probe_timeout).await {
                if round > 0 {
                    self.recover(&endpoint.uid);
                }
                return;
            }
            // Out for longer than until the next word on it.
            let out = (pause + config.connect_timeout + config.probe_timeout) * 2;
            self.leave_out(&endpoint.uid, out);
            tracing::warn!(pod = &*endpoint.name, round, "the pod answers nobody: it is left out");
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.condemn(&endpoint.uid, "it answered nobody for too long");
    }

    fn leave_out(self: &Arc<Self>, uid: &str, time: Duration) {
        self.shared.metrics.ejections.inc();
        let mut inner = self.lock();
        inner.slots.out_until(uid, Some(Instant::now() + time));
        self.pump(&mut inner);
    }

    fn recover(self: &Arc<Self>, uid: &str) {
        let mut inner = self.lock();
        inner.slots.out_until(uid, None);
        self.pump(&mut inner);
    }

    /// Gives the pod up, and has the operator replace it.
    fn condemn(self: &Arc<Self>, uid: &str, why: &str) {
        let mut inner = self.lock();
        let Some(slot) = inner.slots.get_mut(uid).filter(|slot| slot.load != Load::Broken) else { return };
        slot.load = Load::Broken;
        tracing::warn!(pod = &*slot.pod.name, why, "the pod is given up: the operator replaces it");
        self.shared.metrics.pods_broken.inc();
        self.pump(&mut inner);
        drop(inner);
        self.shared.bump();
        self.changed.send_replace(());
    }
}

/// Whether the runtime answers at all.
async fn answers(endpoint: &Endpoint, connect: Duration, within: Duration) -> bool {
    let asked = async {
        let mut link = Link::dial(endpoint.address, connect).await.ok()?;
        let request = Request::get("/healthz")
            .header(HOST, endpoint.address.to_string())
            .header(CONNECTION, "close")
            .body(RequestBody::Empty)
            .ok()?;
        let sending = link.sender.send_request(request);
        tokio::pin!(sending);
        let answer = std::future::poll_fn(|cx| {
            link.drive(cx);
            sending.as_mut().poll(cx)
        });
        answer.await.ok()
    };
    matches!(tokio::time::timeout(within, asked).await, Ok(Some(_)))
}

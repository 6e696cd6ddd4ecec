//! Asking the proxies: one long poll per proxy pod that runs, each answer onto the [`Board`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use muon_crds::pods;
use muon_crds::wire::{Activity, PodReply, PodRequest};
use muon_crds::words::{self, header};
use muon_order::{Order, Peer, Signer};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tracing::{debug, info};

use crate::activity::{Board, Proxy, Wakes};
use crate::metrics::Metrics;
use crate::objects::Objects;
use crate::store_client::now;

/// A proxy answers within ten seconds; this is beyond it.
const POLL_DEADLINE: Duration = Duration::from_secs(15);
/// An answer that is asked for at once takes at most this.
const REFRESH_DEADLINE: Duration = Duration::from_secs(3);
/// Between two answers of one proxy: under load its sequence moves all the time.
const PAUSE: Duration = Duration::from_millis(20);
/// After a poll that failed.
const RETRY: Duration = Duration::from_millis(500);
/// An answer larger than this is refused.
const MAX_ANSWER: usize = 32 * 1024 * 1024;
/// An order to speak as a peer ends after this many seconds.
const ORDER_SECONDS: u64 = 60;

/// Why a proxy did not answer usefully.
#[derive(thiserror::Error, Debug)]
pub enum PeerError {
    /// No connection, or no answer in time.
    #[error("the proxy at {ip} cannot be asked: {source}")]
    Unreachable {
        /// Its address.
        ip: String,
        /// What the HTTP client said.
        source: reqwest::Error,
    },
    /// An answer that is not 200.
    #[error("the proxy at {ip} answered {status}: {body}")]
    Answer {
        /// Its address.
        ip: String,
        /// Its status code.
        status: u16,
        /// The beginning of its body.
        body: String,
    },
    /// An answer that is too long, or not of the expected form.
    #[error("the proxy at {ip} answered what cannot be read: {message}")]
    Unreadable {
        /// Its address.
        ip: String,
        /// What is wrong with it.
        message: String,
    },
}

/// Speaks to proxies. Cheap to clone.
#[derive(Clone)]
pub struct Peers {
    http: reqwest::Client,
    signer: Arc<Signer>,
    name: String,
    port: u16,
}

impl Peers {
    /// `name` is this operator's pod, for the proxies' logs; `port` the proxies' own.
    pub fn new(http: reqwest::Client, signer: Arc<Signer>, name: &str, port: u16) -> Self {
        Self { http, signer, name: name.to_owned(), port }
    }

    /// What the proxy does, once its sequence has passed `seen`.
    async fn activity(&self, ip: &str, seen: u64, deadline: Duration) -> Result<Activity, PeerError> {
        let request = self.http.get(format!("{}/v1/activity?seen={seen}", self.base(ip))).timeout(deadline);
        self.ask(ip, request).await
    }

    /// Asks a proxy to claim, as the function's home proxy or on its behalf, until the function has `pods` pods.
    pub async fn claim(&self, ip: &str, request: &PodRequest) -> Result<PodReply, PeerError> {
        let deadline = Duration::from_millis(request.timeout_ms) + REFRESH_DEADLINE;
        let body = serde_json::to_vec(request).unwrap_or_default();
        let post = self.http.post(format!("{}/v1/pod", self.base(ip))).timeout(deadline);
        self.ask(ip, post.header("content-type", "application/json").body(body)).await
    }

    fn base(&self, ip: &str) -> String {
        match ip.contains(':') {
            true => format!("http://[{ip}]:{}", self.port),
            false => format!("http://{ip}:{}", self.port),
        }
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        ip: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, PeerError> {
        let order = Order::Peer(Peer { from: self.name.clone(), until: now() + ORDER_SECONDS });
        let unreachable = |source: reqwest::Error| PeerError::Unreachable { ip: ip.to_owned(), source };
        let unreadable = |message: String| PeerError::Unreadable { ip: ip.to_owned(), message };
        let sent = request.header(header::ORDER, self.signer.sign(&order)).send().await;
        let mut reply = sent.map_err(unreachable)?;
        if !reply.status().is_success() {
            let status = reply.status().as_u16();
            let body = crate::store_client::beginning(reply).await;
            return Err(PeerError::Answer { ip: ip.to_owned(), status, body });
        }
        let mut body = Vec::new();
        while let Some(chunk) = reply.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(unreadable(format!("more than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| unreadable(error.to_string()))
    }
}

/// The proxies among the pods of the installation, in the order of their names.
pub fn proxies(pods: &Objects<Pod>) -> Vec<Proxy> {
    let mut proxies: Vec<Proxy> = pods.state().iter().filter_map(|pod| proxy(pod)).collect();
    proxies.sort_by(|a, b| a.name.cmp(&b.name));
    proxies
}

fn proxy(pod: &Pod) -> Option<Proxy> {
    let status = pod.status.as_ref()?;
    let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let ip = status.pod_ip.clone().filter(|ip| !ip.is_empty() && !over)?;
    Some(Proxy { uid: pod.uid()?, name: pod.name_any(), ip, ready: pods::is_ready_and_stays(pod) })
}

/// Selects the proxies' pods in Muon's own namespace.
pub fn selector() -> String {
    format!("{}=proxy,{}={}", words::APP_COMPONENT, words::APP_PART_OF, words::MUON)
}

/// Keeps one poll running for each proxy; looks at the pods again whenever `changed` says so. Never ends.
pub async fn follow(
    peers: Peers,
    board: Arc<Board>,
    pods: Objects<Pod>,
    changed: Arc<Notify>,
    metrics: Metrics,
    wake: impl Fn(Wakes) + Clone + Send + Sync + 'static,
) {
    let mut polls: HashMap<String, Poll> = HashMap::new();
    // What was told before this replica followed, or led, may be of the past.
    board.set(Vec::new());
    loop {
        let running = proxies(&pods);
        metrics.proxies(running.iter().filter(|proxy| proxy.ready).count());
        wake(board.set(running.clone()));
        polls.retain(|uid, _| running.iter().any(|proxy| proxy.uid == *uid));
        for proxy in running {
            polls.entry(proxy.uid.clone()).or_insert_with(|| {
                info!(proxy = proxy.name, ip = proxy.ip, "following a proxy");
                let task = poll(peers.clone(), Arc::clone(&board), proxy, metrics.clone(), wake.clone());
                Poll(tokio::spawn(task).abort_handle())
            });
        }
        changed.notified().await;
    }
}

/// A running poll; it ends with its proxy.
struct Poll(AbortHandle);

impl Drop for Poll {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn poll(peers: Peers, board: Arc<Board>, proxy: Proxy, metrics: Metrics, wake: impl Fn(Wakes)) {
    let mut seen = 0;
    loop {
        match peers.activity(&proxy.ip, seen, POLL_DEADLINE).await {
            Ok(activity) => {
                seen = activity.seq;
                wake(board.record(&proxy.uid, activity));
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                debug!(proxy = proxy.name, %error, "a proxy's activity could not be read");
                metrics.activity_failed();
                board.forget(&proxy.uid);
                // It may have begun anew: ask for whatever it has.
                seen = 0;
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Has every proxy say at once what it does, so that a decision rests on answers of now. Those that do not answer keep
/// what they said before.
pub async fn refresh(peers: &Peers, board: &Board) -> Vec<Wakes> {
    let asked = board.proxies().into_iter().map(|proxy| async move {
        match peers.activity(&proxy.ip, 0, REFRESH_DEADLINE).await {
            Ok(activity) => board.record(&proxy.uid, activity),
            Err(error) => {
                debug!(proxy = proxy.name, %error, "a proxy did not answer at once");
                Wakes::default()
            }
        }
    });
    futures::future::join_all(asked).await
}

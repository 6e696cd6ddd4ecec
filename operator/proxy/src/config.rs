//! What a proxy is told when it starts. Every bound of the data plane is here.

use std::time::Duration;

use muon_crds::words;
use tokio::sync::mpsc;

use crate::access::AccessLog;
use crate::access::invocation::Invocation;
use crate::appender::Appender;
use crate::pace::Pace;

/// Connections of clients at most, however much memory there is: beyond that files and ports become scarce.
const MOST_CONNECTIONS: usize = 16_384;
/// Connections at least: with fewer a proxy would turn out clients that do nothing unusual.
const LEAST_CONNECTIONS: usize = 256;
/// What a connection may hold, in bytes, when a client sends half a head on it and no more.
const CONNECTION: u64 = 20 * 1024;
/// Connections may take one part of so many of the memory: tables, bodies and log lines need the rest.
const SHARE: u64 = 4;

/// Settings of a proxy. [`Config::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of this proxy's pod: by it the proxies tell each other apart.
    pub name: String,
    /// Base URL of the store, told to agents.
    pub store: String,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// Port of the agent in every pod (tests have their own).
    pub agent_port: u16,
    /// Port of the other proxies' peer listener, unless a [`crate::Peer`] names its own.
    pub peer_port: u16,
    /// Requests that may wait for one function.
    pub queue_per_function: usize,
    /// Requests that may wait in all.
    pub queue_total: usize,
    /// Connections of clients at once. One more costs another its place: one with no request in it.
    pub max_connections: usize,
    /// Headers of a request.
    pub max_headers: usize,
    /// Bytes of a request's line and headers.
    pub max_header_bytes: usize,
    /// From the first byte of a request's head to its last.
    pub head_timeout: Duration,
    /// Bytes of a request's body.
    pub max_body_bytes: u64,
    /// While a client is waited for, to send its body or to take its answer, it must move [`Self::least_bytes`] in this time. A stream
    /// that has nothing to say is not waited for.
    pub pace_window: Duration,
    /// See [`Self::pace_window`].
    pub least_bytes: u64,
    /// Time in which a request's headers must have come; also how long a connection may lie idle. Longer than Ingress
    /// controllers keep theirs (90 s), so that it is they who close, and never on a request that is just coming.
    pub header_timeout: Duration,
    /// How long a body or a tunnel may be silent, either way.
    pub body_idle: Duration,
    /// How long a connection to a pod is kept unused. Shorter than the shortest keep-alive of usual servers (5 s), so
    /// that a request hardly ever meets a connection that is just being closed.
    pub pool_idle: Duration,
    /// Connections kept unused per pod.
    pub pool_size: usize,
    /// Time in which a pod, an agent or a peer must take a connection.
    pub connect_timeout: Duration,
    /// How long requests wait at a loaded function before more pods are asked for: no longer queue than the pods
    /// finish in this time is no reason.
    pub patience: Duration,
    /// Whole time that one load may take.
    pub load_timeout: Duration,
    /// How long a claimed pod may stay without its code before the function's home proxy has it loaded, though no request
    /// waits. Long enough for whoever claimed it for a request to have it loaded first.
    pub warm_after: Duration,
    /// How long a load that failed in the user's code is answered from memory; doubles with each failure.
    pub failure_memory: Duration,
    /// How long a pod that could not be reached is left out when no event tells of it; doubles with each failure.
    pub ejection: Duration,
    /// How long a pod that gave no answer to a request may take to say that it lives.
    pub probe_timeout: Duration,
    /// How long a signed order is good for.
    pub order_life: Duration,
    /// Pods of each Environment that are set aside ahead of requests; 0: none.
    pub reserve: usize,
    /// At shutdown: how long requests are still taken after readiness is gone, so that nobody is sent here any more.
    pub drain_delay: Duration,
    /// At shutdown: how long requests in flight may then take.
    pub drain_timeout: Duration,
    /// Which requests get a line in the log.
    pub access_log: AccessLog,
    /// Where the lines go; none: nowhere.
    pub log: Option<Appender>,
    /// Share of the requests without a trace of their own that are sampled, 0 to 1.
    pub trace_ratio: f64,
    /// Who makes spans of what is sampled; none: nobody, and traces only pass through. What does not fit is dropped and counted.
    pub traces: Option<mpsc::Sender<Invocation>>,
}

impl Config {
    /// The defaults, for the proxy of this name and this store.
    pub fn new(name: impl Into<String>, store: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            store: store.into(),
            cluster_domain: "cluster.local".to_owned(),
            agent_port: words::PORT_AGENT,
            peer_port: words::PORT_PEER,
            queue_per_function: 1_000,
            queue_total: 10_000,
            max_connections: MOST_CONNECTIONS,
            max_headers: 100,
            max_header_bytes: 64 * 1024,
            head_timeout: Duration::from_secs(10),
            max_body_bytes: 1 << 30,
            pace_window: Duration::from_secs(60),
            least_bytes: 16 * 1024,
            header_timeout: Duration::from_secs(100),
            body_idle: Duration::from_secs(600),
            pool_idle: Duration::from_secs(4),
            pool_size: 256,
            connect_timeout: Duration::from_secs(1),
            patience: Duration::from_millis(500),
            load_timeout: Duration::from_secs(60),
            warm_after: Duration::from_millis(200),
            failure_memory: Duration::from_secs(2),
            ejection: Duration::from_secs(2),
            probe_timeout: Duration::from_secs(2),
            order_life: Duration::from_secs(120),
            reserve: 1,
            drain_delay: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(50),
            access_log: AccessLog::All,
            log: None,
            trace_ratio: 1.0,
            traces: None,
        }
    }

    /// How many connections of clients a proxy may hold that has so many bytes of memory.
    pub fn connections_within(memory: u64) -> usize {
        let fit = usize::try_from(memory / SHARE / CONNECTION).unwrap_or(usize::MAX);
        fit.clamp(LEAST_CONNECTIONS, MOST_CONNECTIONS)
    }

    /// What a client must move while it is waited for.
    pub(crate) fn pace(&self) -> Pace {
        Pace { window: self.pace_window, least: self.least_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_follow_the_memory_within_bounds() {
        const MIB: u64 = 1 << 20;
        assert_eq!(Config::connections_within(512 * MIB), 6_553);
        assert_eq!(Config::connections_within(256 * MIB), 3_276);
        assert_eq!(Config::connections_within(0), 256);
        assert_eq!(Config::connections_within(64 << 30), 16_384);
    }
}

//! What each process is told at its start: flags, or environment variables of the same meaning.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, value_parser};
use muon_proxy::AccessLog;

use crate::local::flags::{RunFlags, TestFlags};

/// Functions as a service on Kubernetes.
#[derive(Parser, Debug)]
#[command(name = "muon", version, propagate_version = true)]
pub(crate) struct Flags {
    /// Which log lines a process of the installation writes, e.g. `info` or `muon_proxy=debug,info`.
    #[arg(long, env = "MUON_LOG", default_value = crate::telemetry::FILTER, global = true, hide_short_help = true)]
    pub(crate) log: String,
    #[command(flatten)]
    pub(crate) connection: muon_cli::Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What people type, and the processes of an installation.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    #[command(flatten)]
    Cli(muon_cli::Command),
    /// Serve a project on this machine, without a cluster and without Docker.
    Run(RunFlags),
    /// Send a project's recorded requests, to the project run here or to a cluster, and compare the replies. Exit code 0: all
    /// were as expected, 1: some were not, 2: they could not be sent.
    Test(TestFlags),
    /// A process of the installation: the reconcilers.
    Operator(OperatorFlags),
    /// A process of the installation: the data plane.
    Proxy(ProxyFlags),
    /// A process of the installation: the package store.
    Store(StoreFlags),
}

/// Who this process is: the downward API tells.
#[derive(Args, Debug, Clone)]
pub(crate) struct Identity {
    /// Namespace of the installation.
    #[arg(long, env = "MUON_NAMESPACE", default_value = "muon-system")]
    pub(crate) namespace: String,
    /// Name of this pod.
    #[arg(long, env = "MUON_POD_NAME", default_value = "muon")]
    pub(crate) pod_name: String,
    /// UID of this pod.
    #[arg(long, env = "MUON_POD_UID", default_value = "")]
    pub(crate) pod_uid: String,
    /// Address of this pod.
    #[arg(long, env = "MUON_POD_IP", default_value = "127.0.0.1")]
    pub(crate) pod_ip: IpAddr,
    /// Port of /metrics, /healthz and /readyz.
    #[arg(long, env = "MUON_ADMIN_PORT", default_value_t = muon_crds::words::PORT_ADMIN)]
    pub(crate) admin_port: u16,
}

/// Where traces go.
#[derive(Args, Debug, Clone)]
pub(crate) struct TraceFlags {
    /// Base URL of a collector of traces (OTLP over HTTP, protobuf), such as `http://collector:4318`. None: no spans are made.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Share of what has no trace yet that is sampled, from 0 to 1; a client's own decision is kept.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value_t = 1.0, value_parser = ratio)]
    pub(crate) trace_ratio: f64,
}

/// A share.
fn ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
    if (0.0..=1.0).contains(&ratio) { Ok(ratio) } else { Err(format!("{text} is not from 0 to 1")) }
}

/// Flags of `muon operator`.
#[derive(Args, Debug)]
pub(crate) struct OperatorFlags {
    #[command(flatten)]
    pub(crate) identity: Identity,
    #[command(flatten)]
    pub(crate) traces: TraceFlags,
    /// Image of the agent in function pods.
    #[arg(long, env = "MUON_AGENT_IMAGE")]
    pub(crate) agent_image: String,
    /// Base URL of the store, as seen from function pods and from here.
    #[arg(long, env = "MUON_STORE_URL", default_value = "http://muon-store.muon-system:8080")]
    pub(crate) store_url: String,
    /// DNS domain of the cluster.
    #[arg(long, env = "MUON_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub(crate) cluster_domain: String,
    /// Schemes of the URLs that sources are fetched from; comma-separated.
    #[arg(long, env = "MUON_SOURCE_SCHEMES", value_delimiter = ',', default_value = "https,http", value_parser = ["https", "http"])]
    pub(crate) source_schemes: Vec<String>,
    /// Hosts that sources may be fetched from: `name`, `name:port` or `*.domain`, comma-separated. None: all on the open network.
    #[arg(long, env = "MUON_SOURCE_HOSTS", value_delimiter = ',')]
    pub(crate) source_hosts: Vec<String>,
    /// Hosts that sources may be fetched from although they lie inside the cluster's network; comma-separated.
    #[arg(long, env = "MUON_INTERNAL_HOSTS", value_delimiter = ',')]
    pub(crate) internal_hosts: Vec<String>,
    /// Hosts that a server of sources may redirect to, such as where its registry keeps blobs; comma-separated.
    #[arg(long, env = "MUON_REDIRECT_HOSTS", value_delimiter = ',')]
    pub(crate) redirect_hosts: Vec<String>,
    /// Registries that speak plain HTTP, as `host:port`; comma-separated.
    #[arg(long, env = "MUON_PLAIN_HTTP_HOSTS", value_delimiter = ',')]
    pub(crate) plain_http_hosts: Vec<String>,
    /// Forward proxy, as `http://host:port`, through which sources are fetched that are not on --internal-hosts. Every host must then
    /// be named in --source-hosts (and --redirect-hosts) by itself: behind a proxy nobody sees which address a name leads to.
    #[arg(long, env = "MUON_SOURCE_PROXY")]
    pub(crate) source_proxy: Option<String>,
    /// Seconds after which another replica may take over when this one no longer renews its lease.
    #[arg(long, env = "MUON_LEASE_SECONDS", default_value_t = 10)]
    pub(crate) lease_seconds: u64,
    /// `imagePullPolicy` of both containers of function pods.
    #[arg(long, env = "MUON_IMAGE_PULL_POLICY", default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub(crate) image_pull_policy: String,
    /// Bytes that a Package's archive may have; agents fetch none above 64 MiB.
    #[arg(long, env = "MUON_MAX_ARCHIVE_BYTES", default_value_t = MAX_ARCHIVE, value_parser = value_parser!(u64).range(1..=MAX_ARCHIVE))]
    pub(crate) max_archive_bytes: u64,
    /// Seconds that fetching one archive may take.
    #[arg(long, env = "MUON_ARCHIVE_DEADLINE_SECONDS", default_value_t = 120, value_parser = value_parser!(u64).range(1..=3600))]
    pub(crate) archive_deadline_seconds: u64,
    /// Seconds between two times that the store is told what is in use.
    #[arg(long, env = "MUON_SWEEP_SECONDS", default_value_t = 600, value_parser = value_parser!(u64).range(5..=86_400))]
    pub(crate) sweep_seconds: u64,
    /// Objects of one kind that are reconciled at once.
    #[arg(long, env = "MUON_CONCURRENCY", default_value_t = 16, value_parser = value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: u16,
    /// Milliseconds between two looks for idle pods.
    #[arg(long, env = "MUON_IDLE_TICK_MS", default_value_t = 1000, value_parser = value_parser!(u64).range(100..=60_000))]
    pub(crate) idle_tick_ms: u64,
    /// Builds of Packages that run at once in a namespace; the others wait for their turn.
    #[arg(long, env = "MUON_BUILDS_PER_NAMESPACE", default_value_t = 2, value_parser = value_parser!(u16).range(1..=1000))]
    pub(crate) builds_per_namespace: u16,
    /// Builds of a Package that came to a result, and whose Jobs and logs stay.
    #[arg(long, env = "MUON_BUILDS_KEPT", default_value_t = 3, value_parser = value_parser!(u16).range(0..=100))]
    pub(crate) builds_kept: u16,
    /// Builds of a Package that failed, and whose Jobs and logs stay.
    #[arg(long, env = "MUON_FAILED_BUILDS_KEPT", default_value_t = 3, value_parser = value_parser!(u16).range(0..=100))]
    pub(crate) failed_builds_kept: u16,
}

/// What an agent takes at most: an archive above it would be stored and never loaded.
const MAX_ARCHIVE: u64 = 64 << 20;

/// Flags of `muon proxy`.
#[derive(Args, Debug)]
pub(crate) struct ProxyFlags {
    #[command(flatten)]
    pub(crate) identity: Identity,
    #[command(flatten)]
    pub(crate) traces: TraceFlags,
    /// Base URL of the store, as the agents are told it.
    #[arg(long, env = "MUON_STORE_URL", default_value = "http://muon-store.muon-system:8080")]
    pub(crate) store_url: String,
    /// DNS domain of the cluster.
    #[arg(long, env = "MUON_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub(crate) cluster_domain: String,
    /// Directory with the order key (file `seed`).
    #[arg(long, env = "MUON_ORDER_DIR", default_value = "/etc/muon/order")]
    pub(crate) order_dir: PathBuf,
    /// Threads that serve requests.
    #[arg(long, env = "MUON_PROXY_THREADS", default_value_t = 1)]
    pub(crate) threads: usize,
    /// Seconds between the end of readiness and the end of accepting, so that clients have turned away.
    #[arg(long, env = "MUON_DRAIN_DELAY_SECONDS", default_value_t = 5)]
    pub(crate) drain_delay_seconds: u64,
    /// Seconds that requests in flight have left at shutdown.
    #[arg(long, env = "MUON_DRAIN_SECONDS", default_value_t = 75)]
    pub(crate) drain_seconds: u64,
    /// Pods of each Environment that this proxy sets aside, so that a cold request waits for no write to the API server;
    /// one always stays free. 0 sets none aside.
    #[arg(long, env = "MUON_RESERVE", default_value_t = 1)]
    pub(crate) reserve: usize,
    /// Bytes that a request's body may have; beyond them it is refused with 413.
    #[arg(long, env = "MUON_MAX_BODY_BYTES", default_value_t = 1 << 30)]
    pub(crate) max_body_bytes: u64,
    /// Bytes of memory that this process may have: how many connections of clients it holds at once follows from it.
    #[arg(long, env = "MUON_MEMORY_BYTES", default_value_t = 512 << 20)]
    pub(crate) memory_bytes: u64,
    /// Which requests get a log line: `all`, `notable` (errors, cold starts, slow or broken-off answers) or `none`.
    #[arg(long, env = "MUON_ACCESS_LOG", default_value = "all")]
    pub(crate) access_log: AccessLog,
}

/// Flags of `muon store`.
#[derive(Args, Debug)]
pub(crate) struct StoreFlags {
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// Directory that holds the archives.
    #[arg(long, env = "MUON_STORE_DIR", default_value = "/data")]
    pub(crate) dir: PathBuf,
    /// S3 bucket that holds the archives instead; credentials come from the usual variables (AWS_ACCESS_KEY_ID, …).
    #[arg(long, env = "MUON_S3_BUCKET")]
    pub(crate) s3_bucket: Option<String>,
    /// URL of the S3 server, if it is not the cloud's; `http://` is spoken where it is written.
    #[arg(long, env = "MUON_S3_ENDPOINT")]
    pub(crate) s3_endpoint: Option<String>,
    /// Region of the bucket.
    #[arg(long, env = "MUON_S3_REGION")]
    pub(crate) s3_region: Option<String>,
    /// What all names in the bucket begin with; the store counts what is there to be its own.
    #[arg(long, env = "MUON_S3_PREFIX")]
    pub(crate) s3_prefix: Option<String>,
    /// Directory with the public half of the order key (file `public`).
    #[arg(long, env = "MUON_ORDER_DIR", default_value = "/etc/muon/order")]
    pub(crate) order_dir: PathBuf,
    /// Port of the blobs.
    #[arg(long, env = "MUON_STORE_PORT", default_value_t = muon_crds::words::PORT_STORE)]
    pub(crate) port: u16,
    /// Seconds that an archive is kept after nothing refers to it any more.
    #[arg(long, env = "MUON_GRACE_SECONDS", default_value_t = 3600, value_parser = value_parser!(u64).range(60..))]
    pub(crate) grace_seconds: u64,
    /// Delete nothing that is out of use: only count and log it.
    #[arg(long, env = "MUON_SWEEP_DRY_RUN")]
    pub(crate) sweep_dry_run: bool,
    /// Bytes that each namespace may store; 0: no bound.
    #[arg(long, env = "MUON_QUOTA_BYTES", default_value_t = 512 << 20)]
    pub(crate) quota_bytes: u64,
    /// Bytes that single namespaces may store instead, e.g. `team-a=1073741824`; comma-separated.
    #[arg(long, env = "MUON_QUOTA_OF", value_delimiter = ',', value_parser = quota)]
    pub(crate) quota_of: Vec<(String, u64)>,
}

/// `namespace=bytes`.
fn quota(text: &str) -> Result<(String, u64), String> {
    let (namespace, bytes) = text.split_once('=').ok_or("a quota is written namespace=bytes")?;
    let bytes = bytes.parse().map_err(|error| format!("{bytes:?}: {error}"))?;
    Ok((namespace.to_owned(), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(more: &[&str]) -> Result<OperatorFlags, clap::Error> {
        let words = ["muon", "operator", "--agent-image", "muon/agent:1"];
        match Flags::try_parse_from(words.iter().chain(more))?.command {
            Command::Operator(flags) => Ok(flags),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_two_flags_have_one_name_and_people_name_a_namespace_before_or_behind_the_command() {
        use clap::CommandFactory as _;
        Flags::command().debug_assert();
        for words in [["muon", "-n", "team", "get"], ["muon", "get", "-n", "team"]] {
            assert_eq!(Flags::try_parse_from(words).unwrap().connection.namespace.as_deref(), Some("team"));
        }
        assert_eq!(operator(&["--namespace", "other"]).unwrap().identity.namespace, "other");
    }

    #[test]
    fn the_operators_settings_have_flags_with_bounds() {
        let flags =
            operator(&["--concurrency", "4", "--idle-tick-ms", "500", "--image-pull-policy", "Always"]).unwrap();
        assert_eq!((flags.concurrency, flags.idle_tick_ms, flags.image_pull_policy.as_str()), (4, 500, "Always"));
        assert_eq!((flags.max_archive_bytes, flags.archive_deadline_seconds), (64 << 20, 120));
        for (flag, value) in [
            ("--concurrency", "0"),
            ("--idle-tick-ms", "1"),
            ("--image-pull-policy", "Sometimes"),
            ("--max-archive-bytes", "67108865"),
            ("--archive-deadline-seconds", "0"),
        ] {
            let refused = operator(&[flag, value]).unwrap_err().to_string();
            assert!(refused.contains(flag) && refused.contains(value), "{refused}");
        }
    }
}

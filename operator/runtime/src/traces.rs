//! Spans on their way to a collector: OTLP over HTTP, in batches, from a task of their own. Nobody waits for them: the
//! queue is bounded, and what does not fit, or cannot be delivered, is counted.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::flags::{Identity, TraceFlags};

pub(crate) mod spans;

/// Things that may wait to become spans.
const QUEUE: usize = 2048;
/// Of those, so many go together.
const BATCH: usize = 256;
/// How long a batch is waited for to fill.
const GATHER: Duration = Duration::from_secs(1);
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the last ones may take when the process ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// An exporter that runs.
pub(crate) struct Export {
    task: JoinHandle<()>,
    stop: Arc<Notify>,
}

impl Export {
    /// Delivers what lies ready, within a bound.
    pub(crate) async fn finish(self) {
        self.stop.notify_one();
        // What a collector has not taken by then is lost, and nobody is left to count it.
        tokio::time::timeout(FAREWELL, self.task).await.ok();
    }
}

/// Where things go that become spans, and what exports them; none: no collector is named.
pub(crate) fn start<T, S>(
    flags: &TraceFlags,
    (service, identity): (&'static str, &Identity),
    registry: &Registry,
    spans_of: S,
) -> Result<Option<(mpsc::Sender<T>, Export)>, Error>
where
    T: Send + 'static,
    S: Fn(T) -> Vec<SpanData> + Send + 'static,
{
    let Some(endpoint) = flags.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty()) else {
        return Ok(None);
    };
    let outcomes = Counts::register(registry)?;
    let exporter = exporter(endpoint, service, identity)?;
    let (sender, queue) = mpsc::channel(QUEUE);
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let task = tokio::spawn(run(queue, spans_of, exporter, outcomes, stopped));
    tracing::info!(endpoint, ratio = flags.trace_ratio, "traces are exported");
    Ok(Some((sender, Export { task, stop })))
}

fn exporter(endpoint: &str, service: &'static str, identity: &Identity) -> Result<SpanExporter, Error> {
    let wrong = |message: String| Error::Traces { endpoint: endpoint.to_owned(), message };
    let client =
        reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(|error| wrong(error.to_string()))?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(PATIENCE)
        .build()
        .map_err(|error| wrong(error.to_string()))?;
    let attributes = [
        KeyValue::new("service.namespace", "muon"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", identity.pod_name.clone()),
        KeyValue::new("k8s.namespace.name", identity.namespace.clone()),
        KeyValue::new("k8s.pod.name", identity.pod_name.clone()),
    ];
    exporter.set_resource(&Resource::builder_empty().with_service_name(service).with_attributes(attributes).build());
    Ok(exporter)
}

/// What became of spans.
#[derive(Clone)]
struct Counts {
    exported: IntCounter,
    failed: IntCounter,
}

impl Counts {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let spans = counter()?;
        registry.register(Box::new(spans.clone()))?;
        Ok(Self {
            exported: spans.get_metric_with_label_values(&["exported"])?,
            failed: spans.get_metric_with_label_values(&["failed"])?,
        })
    }
}

/// `muon_traces_spans_total`, of a process that exports any.
pub(crate) fn counter() -> Result<IntCounterVec, prometheus::Error> {
    let opts = Opts::new("muon_traces_spans_total", "Spans given to the OTLP collector, by outcome (if one is named).");
    IntCounterVec::new(opts, &["outcome"])
}

/// Until the last sender is gone, or until it is stopped and the queue is empty.
async fn run<T, S>(mut queue: mpsc::Receiver<T>, spans_of: S, exporter: SpanExporter, counts: Counts, stop: Arc<Notify>)
where
    S: Fn(T) -> Vec<SpanData>,
{
    let mut things = Vec::with_capacity(BATCH);
    let (mut stopping, mut failing) = (false, false);
    loop {
        if !stopping {
            tokio::select! {
                biased;
                first = queue.recv_many(&mut things, BATCH) => if first == 0 { return },
                () = stop.notified() => stopping = true,
            }
        }
        let full = tokio::time::sleep(GATHER);
        tokio::pin!(full);
        while !stopping && things.len() < BATCH {
            let room = BATCH - things.len();
            tokio::select! {
                more = queue.recv_many(&mut things, room) => if more == 0 { break },
                () = &mut full => break,
                () = stop.notified() => stopping = true,
            }
        }
        while stopping && things.len() < BATCH {
            let Ok(thing) = queue.try_recv() else { break };
            things.push(thing);
        }
        if things.is_empty() {
            return;
        }
        let batch: Vec<SpanData> = things.drain(..).flat_map(&spans_of).collect();
        let count = batch.len() as u64;
        match exporter.export(batch).await {
            Ok(()) => {
                counts.exported.inc_by(count);
                failing = false;
            }
            Err(error) => {
                counts.failed.inc_by(count);
                // Once for all of an outage.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, count, "the collector takes no spans; they are dropped and counted");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

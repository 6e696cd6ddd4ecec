//! `muon logs`: what a function's pods say, merged by time.

use std::collections::BTreeMap;

use clap::Args;
use futures::{AsyncBufReadExt as _, StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{ListParams, LogParams};
use muon_crds::{Function, words};

use crate::connection::{Connection, Session};
use crate::failure::Failure;
use crate::output::{self, Terminal};

mod history;
mod line;

pub(crate) use line::{Line, Wanted};

/// Arguments of `muon logs`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The function's name.
    #[arg(value_name = "FUNCTION", add = crate::completion::names(crate::kinds::Kind::Function))]
    function: String,
    /// Go on as lines come, from pods that start meanwhile too.
    #[arg(short, long)]
    follow: bool,
    /// Only pods of this revision.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Only lines of the request with this id.
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only lines that hold this text, in any case.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only lines of this last time: `90s`, `15m`, `2h`, `7d`.
    #[arg(long, value_name = "AGE", value_parser = seconds)]
    since: Option<i64>,
    /// Lines of each pod at most, from the end.
    #[arg(long, default_value_t = 1000, value_name = "LINES", value_parser = clap::value_parser!(i64).range(1..=100_000))]
    tail: i64,
    /// Of pods whose container was started again: what it said before.
    #[arg(short, long, conflicts_with = "follow")]
    previous: bool,
    /// Lines as the pods wrote them.
    #[arg(long)]
    raw: bool,
    /// Ask the log service, where one is installed: it knows pods that are gone, too.
    #[arg(long, conflicts_with = "previous")]
    history: bool,
    /// Token for the log service, where the kubeconfig has none.
    #[arg(long, env = "MUON_TOKEN", hide_env_values = true, requires = "history", value_name = "TOKEN")]
    token: Option<String>,
}

/// An age in seconds.
fn seconds(text: &str) -> Result<i64, String> {
    let (number, factor) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        None => (text, 1),
        Some(number) if text.ends_with('s') => (number, 1),
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) if text.ends_with('h') => (number, 3600),
        Some(number) => (number, 86_400),
    };
    let wrong = || format!("{text:?} is no age: write 90s, 15m, 2h or 7d");
    let number: i64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).filter(|seconds| (1..=31_536_000).contains(seconds)).ok_or_else(wrong)
}

/// Pods that are read at once, at most.
const PODS: usize = 50;
/// Bytes of a pod's log that are read at once, at most.
const BYTES: i64 = 16 << 20;

pub(crate) async fn run(arguments: Arguments, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
    let session = connection.open().await?;
    let name = &arguments.function;
    if arguments.history {
        return history::show(&session, &arguments, terminal).await;
    }
    session.api::<Function>().get(name).await.map_err(|error| Failure::of(format!("function/{name}"), error))?;
    let wanted = Wanted {
        request: arguments.request.clone(),
        search: arguments.search.as_ref().map(|text| text.to_lowercase()),
    };
    if arguments.follow {
        return follow(&session, &arguments, &wanted, terminal).await;
    }
    let pods = pods(&session, &arguments).await?;
    if pods.is_empty() {
        output::note(&format!("{name} has no pod now; its pods' logs go with them"));
        return Ok(());
    }
    let mut lines: Vec<Line> = Vec::new();
    for pod in pods {
        let parameters = LogParams { limit_bytes: Some(BYTES), ..parameters(&arguments, false) };
        match session.api::<Pod>().logs(&pod, &parameters).await {
            Ok(text) => lines.extend(text.lines().map(|text| Line::read(&pod, text))),
            // The pod went meanwhile, or its container has not begun: the others' lines are worth showing.
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => {
                output::note(&format!("pod/{pod}: {}", status.message));
            }
            Err(error) => return Err(Failure::of(format!("pod/{pod}"), error)),
        }
    }
    lines.retain(|line| wanted.takes(line));
    lines.sort_by(|one, other| one.time.cmp(&other.time));
    let text: String = lines.iter().map(|line| line.show(arguments.raw, terminal)).collect();
    output::write(&text)
}

fn parameters(arguments: &Arguments, follow: bool) -> LogParams {
    LogParams {
        container: Some("runtime".to_owned()),
        follow,
        previous: arguments.previous,
        since_seconds: arguments.since,
        tail_lines: Some(arguments.tail),
        timestamps: true,
        ..LogParams::default()
    }
}

async fn pods(session: &Session, arguments: &Arguments) -> Result<Vec<String>, Failure> {
    let mut labels = format!("{}={}", words::FUNCTION, arguments.function);
    if let Some(revision) = &arguments.revision {
        labels = format!("{labels},{}={revision}", words::REVISION);
    }
    let listed = session.api::<Pod>().list(&ListParams::default().labels(&labels)).await;
    let listed = listed.map_err(|error| Failure::of("pods", error))?;
    Ok(listed.items.iter().map(|pod| pod.name_any()).take(PODS).collect())
}

/// Follows all pods of the function; looks for new ones every second, until the user has enough.
async fn follow(session: &Session, arguments: &Arguments, wanted: &Wanted, terminal: Terminal) -> Result<(), Failure> {
    let mut known: BTreeMap<String, ()> = BTreeMap::new();
    let mut streams = stream::SelectAll::new();
    let mut look = tokio::time::interval(std::time::Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = look.tick() => {
                for pod in pods(session, arguments).await? {
                    if known.contains_key(&pod) {
                        continue;
                    }
                    // A pod whose container has not begun is tried again at the next look.
                    let Ok(reader) = session.api::<Pod>().log_stream(&pod, &parameters(arguments, true)).await else { continue };
                    known.insert(pod.clone(), ());
                    let lines = reader.lines().map(move |line| line.map(|text| Line::read(&pod, &text)));
                    streams.push(Box::pin(lines));
                }
            }
            Some(line) = streams.next() => {
                // A stream that breaks off ends with its pod; the others go on.
                if let Ok(line) = line && wanted.takes(&line) {
                    output::write(&line.show(arguments.raw, terminal))?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_bounded() {
        assert_eq!(["90", "90s", "15m", "2h", "7d"].map(|text| seconds(text).unwrap()), [90, 90, 900, 7200, 604_800]);
        for text in ["", "s", "0", "-1m", "1y", "9999999999999999d", "400d"] {
            assert!(seconds(text).is_err(), "{text:?}");
        }
    }
}

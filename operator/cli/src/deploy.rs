//! `muon deploy`: a directory becomes objects, and is waited for.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use kube::ResourceExt as _;
use kube::api::DynamicObject;

use crate::apply::{self, How};
use crate::connection::{Connection, Session};
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::output::{self, Terminal, Tone};
use crate::project::{self, Manifest, Sort};
use crate::wait::{self, Awaited};

/// Arguments of `muon deploy`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The project's directory: it holds muon.yaml.
    #[arg(default_value = ".", value_name = "DIRECTORY")]
    directory: PathBuf,
    /// Ask the API server what would change, and change nothing.
    #[arg(long, conflicts_with = "out")]
    dry_run: bool,
    /// Write the manifests to standard output instead, for a GitOps repository; asks no cluster.
    #[arg(long, value_enum)]
    out: Option<Out>,
    /// Return as soon as everything is applied.
    #[arg(long)]
    no_wait: bool,
    /// Seconds within which everything has to become ready.
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Take over fields that others (kubectl, another tool) have set.
    #[arg(long)]
    force_conflicts: bool,
}

/// Forms of manifests.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Out {
    /// Documents as `kubectl apply -f` reads them.
    Yaml,
}

pub(crate) async fn run(arguments: Arguments, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
    let project = project::read(&arguments.directory)?;
    if let Some(Out::Yaml) = arguments.out {
        return output::write(&project.yaml()?);
    }
    if let Some(asked) = &connection.namespace {
        let other = project.objects.iter().find(|object| object.namespace.as_ref().is_some_and(|own| own != asked));
        if let Some(object) = other {
            return Err(Failure::Usage(format!("{object} says another namespace than -n {asked}")));
        }
    }
    let session = connection.open().await?;
    let how = How { dry: arguments.dry_run, force: arguments.force_conflicts };
    for object in &project.objects {
        let outcome = apply::apply(&session, object, how).await?;
        let dry = if how.dry { " (dry run)" } else { "" };
        output::write(&format!("{object} {}{dry}\n", outcome.as_str()))?;
    }
    if how.dry || arguments.no_wait {
        return Ok(());
    }
    let awaited: Vec<Awaited> = project.objects.iter().filter_map(|object| awaited(&session, object)).collect();
    wait::ready(&awaited, Duration::from_secs(arguments.timeout), terminal).await?;
    urls(&session, &project.objects, terminal).await
}

/// Ours have conditions; a ConfigMap is there or not.
pub(crate) fn awaited(session: &Session, object: &Manifest) -> Option<Awaited> {
    matches!(object.sort, Sort::Muon(_)).then(|| Awaited {
        shown: object.to_string(),
        name: object.name.clone(),
        api: apply::api(session, object.sort, object.namespace.as_deref()),
    })
}

/// Where it can be called now: the routes, and the names of functions that have none.
pub(crate) async fn urls(session: &Session, objects: &[Manifest], terminal: Terminal) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for kind in [Kind::HTTPTrigger, Kind::Function] {
        for object in objects.iter().filter(|object| object.sort == Sort::Muon(kind)) {
            let api = apply::api(session, object.sort, object.namespace.as_deref());
            let found: DynamicObject = api.get(&object.name).await.map_err(|error| Failure::of(object, error))?;
            let url = found.data.pointer("/status/url").and_then(|url| url.as_str());
            if let Some(url) = url {
                let beside = match kind {
                    Kind::Function => format!("inside the cluster; from here: muon call {}", found.name_any()),
                    _ => format!("route {}", found.name_any()),
                };
                lines.push(format!(
                    "{}  {}\n",
                    terminal.paint(Tone::Good, url),
                    terminal.paint(Tone::Quiet, &format!("({beside})"))
                ));
            }
        }
    }
    output::write(&lines.concat())
}

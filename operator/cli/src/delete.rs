//! `muon delete`: objects by name, or all that a project stands for.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Preconditions};
use muon_crds::{Function, HTTPTrigger};

use crate::apply;
use crate::connection::{Connection, Session};
use crate::describe::selects;
use crate::failure::Failure;
use crate::kinds::{Kind, Selection};
use crate::output::{self, Terminal};
use crate::project::{self, Sort};
use crate::wait::{self, Awaited};

/// Arguments of `muon delete`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Names of functions, or `route/NAME`, `pkg/NAME`, `env/NAME`.
    #[arg(value_name = "NAME", required_unless_present = "project", add = crate::completion::targets())]
    names: Vec<String>,
    /// Everything that the project in this directory stands for.
    #[arg(short = 'f', long, value_name = "DIRECTORY", conflicts_with = "names")]
    project: Option<PathBuf>,
    /// Nothing is wrong if it is not there.
    #[arg(long)]
    ignore_not_found: bool,
    /// Ask the API server whether it could be deleted, and delete nothing.
    #[arg(long)]
    dry_run: bool,
    /// Return without waiting until it is gone.
    #[arg(long)]
    no_wait: bool,
    /// Seconds within which it has to be gone.
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

impl Arguments {
    /// These, and everything else as it is where nothing is said.
    pub(crate) fn named(names: Vec<String>) -> Self {
        Self { names, project: None, ignore_not_found: false, dry_run: false, no_wait: false, timeout: 120 }
    }
}

pub(crate) async fn run(arguments: Arguments, connection: &Connection, _: Terminal) -> Result<(), Failure> {
    let named: Vec<(Sort, String, Option<String>)> = match &arguments.project {
        Some(directory) => {
            // Who needs another goes first.
            let objects = project::read(directory)?.objects.into_iter().rev();
            objects.map(|object| (object.sort, object.name, object.namespace)).collect()
        }
        None => match Selection::parse(&arguments.names)? {
            Selection::Named(targets) => {
                targets.into_iter().map(|target| (Sort::Muon(target.kind), target.name, None)).collect()
            }
            Selection::All(_) => {
                return Err(Failure::Usage(
                    "name what is to be deleted; nothing is deleted by its kind alone".to_owned(),
                ));
            }
        },
    };
    let session = connection.open().await?;
    let mut gone = Vec::new();
    for (sort, name, namespace) in named {
        let shown = format!("{}/{name}", sort.singular());
        let api = apply::api(&session, sort, namespace.as_deref());
        let found = api.get_opt(&name).await.map_err(|error| Failure::of(&shown, error))?;
        let Some(found) = found else {
            if arguments.ignore_not_found || arguments.project.is_some() {
                continue;
            }
            return Err(Failure::NotFound(format!("{shown} is not there, in namespace {}", session.namespace)));
        };
        if sort == Sort::Muon(Kind::Function) {
            left_behind(&session, &name, arguments.project.is_some()).await;
        }
        let uid = found.metadata.uid.clone();
        let parameters = DeleteParams {
            dry_run: arguments.dry_run,
            preconditions: Some(Preconditions { uid: uid.clone(), resource_version: None }),
            ..DeleteParams::default()
        };
        api.delete(&name, &parameters).await.map_err(|error| Failure::of(&shown, error))?;
        output::write(&format!("{shown} deleted{}\n", if arguments.dry_run { " (dry run)" } else { "" }))?;
        gone.push((Awaited { shown, name, api }, uid));
    }
    if arguments.dry_run || arguments.no_wait {
        return Ok(());
    }
    wait::gone(&gone, Duration::from_secs(arguments.timeout)).await
}

/// Says which routes lead nowhere from now on. What cannot be read is not said: nothing depends on it.
async fn left_behind(session: &Session, name: &str, whole_project: bool) {
    if whole_project {
        return;
    }
    let Ok(routes) = session.api::<HTTPTrigger>().list(&ListParams::default()).await else { return };
    let Ok(function) = session.api::<Function>().get(name).await else { return };
    for route in routes.items.iter().filter(|route| selects(&route.spec.function, &function)) {
        output::note(&format!("route/{} leads to {name}: muon delete route/{}", route.name_any(), route.name_any()));
    }
}

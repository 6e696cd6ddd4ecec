//! `muon build`: the log of a Package's build.

use clap::Args;
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{ListParams, LogParams};
use muon_crds::condition::{self, ConditionType};
use muon_crds::{Function, Package, names};

use crate::connection::{Connection, Session};
use crate::failure::Failure;
use crate::output::{self, Terminal};

/// Arguments of `muon build`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A Package's name, or that of a Function that uses it.
    #[arg(value_name = "PACKAGE", add = crate::completion::names(crate::kinds::Kind::Package))]
    package: String,
    /// Go on until the build ends; the exit code tells how.
    #[arg(short, long)]
    follow: bool,
    /// Seconds to follow at most.
    #[arg(long, default_value_t = 900, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=7200))]
    timeout: u64,
}

/// Bytes of a log, at most.
const BYTES: i64 = 16 << 20;

pub(crate) async fn run(arguments: Arguments, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
    let session = connection.open().await?;
    let package = find(&session, &arguments.package).await?;
    let name = package.name_any();
    if package.spec.build.is_none() {
        return Err(Failure::Usage(format!("package/{name} is not built: it has no spec.build")));
    }
    let within = std::time::Duration::from_secs(arguments.timeout);
    match arguments.follow {
        false => log(&session, &package, false, terminal).await,
        true => match tokio::time::timeout(within, until_built(&session, &name, terminal)).await {
            Ok(ended) => ended,
            Err(_) => Err(Failure::NotReady(format!("package/{name}: not built within {} s", within.as_secs()))),
        },
    }
}

/// The Package of that name, or that of the Function.
async fn find(session: &Session, name: &str) -> Result<Package, Failure> {
    let packages = session.api::<Package>();
    let failed = |error| Failure::of(format!("package/{name}"), error);
    if let Some(package) = packages.get_opt(name).await.map_err(failed)? {
        return Ok(package);
    }
    let function = session.api::<Function>().get_opt(name).await.map_err(failed)?;
    let Some(function) = function else {
        return Err(Failure::NotFound(format!(
            "neither a Package nor a Function {name} is in namespace {}",
            session.namespace
        )));
    };
    let own = function.spec.package.unwrap_or_else(|| names::inline_package(name));
    packages.get(&own).await.map_err(|error| Failure::of(format!("package/{own}"), error))
}

/// The log of the build that the Package asks for now.
async fn log(session: &Session, package: &Package, follow: bool, terminal: Terminal) -> Result<(), Failure> {
    let name = package.name_any();
    let status = package.status.as_ref();
    let Some(job) = status.and_then(|status| Some(status.build.as_ref()?.job.clone())) else {
        let said = status.and_then(|status| condition::find(&status.conditions, ConditionType::Ready));
        let why = said.map_or_else(|| "the operator has not looked at it yet".to_owned(), |said| said.message.clone());
        return Err(Failure::NotReady(format!("package/{name} has no build yet: {why}")));
    };
    let listed =
        session.api::<Pod>().list(&ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"))).await;
    let mut pods = listed.map_err(|error| Failure::of("pods", error))?.items;
    pods.sort_by_key(|pod| pod.creation_timestamp().map(|time| time.0));
    let Some(pod) = pods.last().map(|pod| pod.name_any()) else {
        let built = status.and_then(|status| condition::find(&status.conditions, ConditionType::Built));
        return match built {
            Some(built) if !built.message.is_empty() => output::write(&format!("{}\n", output::plain(&built.message))),
            _ => Err(Failure::NotFound(format!("job/{job} has no pod any more, and its log went with it"))),
        };
    };
    let parameters = LogParams {
        container: Some("build".to_owned()),
        follow,
        limit_bytes: (!follow).then_some(BYTES),
        ..LogParams::default()
    };
    let said = |error| Failure::of(format!("pod/{pod}"), error);
    let reader = session.api::<Pod>().log_stream(&pod, &parameters).await.map_err(said)?;
    let mut lines = reader.lines();
    while let Some(line) = lines.try_next().await.map_err(|error| Failure::Failed(format!("pod/{pod}: {error}")))? {
        let line = if terminal.colour { output::plain(&line) } else { line };
        output::write(&format!("{line}\n"))?;
    }
    Ok(())
}

/// Follows the build; when its log has ended, waits for what the operator says of it.
async fn until_built(session: &Session, name: &str, terminal: Terminal) -> Result<(), Failure> {
    let mut followed = None;
    loop {
        let package =
            session.api::<Package>().get(name).await.map_err(|error| Failure::of(format!("package/{name}"), error))?;
        let status = package.status.clone().unwrap_or_default();
        let current = status.observed_generation == package.metadata.generation;
        let job = status.build.as_ref().map(|build| build.job.clone());
        let ended = condition::is_true(&status.conditions, ConditionType::Ready)
            || condition::is_true(&status.conditions, ConditionType::Stalled);
        if current && job.is_some() && followed != job {
            match log(session, &package, true, terminal).await {
                Ok(()) => followed = job,
                // Its pod has not begun. Once the build has ended without a log, there is none to wait for.
                Err(_) if !ended => {}
                Err(failure) => output::note(&failure.to_string()),
            }
        }
        if current && ended {
            let ready = condition::find(&status.conditions, ConditionType::Ready);
            return match ready {
                Some(ready) if ready.status == "True" => {
                    output::note(&format!("package/{name}: built"));
                    Ok(())
                }
                ready => {
                    let why = ready.map(|ready| ready.message.clone()).unwrap_or_default();
                    Err(Failure::NotReady(format!("package/{name}: {why}")))
                }
            };
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}

//! `muon describe`: one screen. Can I call it now; if not, why, and what to do.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt as _};
use muon_crds::{Environment, Function, HTTPTrigger, Package, names, words};
use serde::de::DeserializeOwned;

use crate::connection::{Connection, Session};
use crate::failure::Failure;
use crate::kinds::{Kind, Target};
use crate::output::{self, Terminal};

mod screen;
#[cfg(test)]
mod tests;
mod verdict;

pub(crate) use verdict::selects;

/// Arguments of `muon describe`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A function's name, or `route/NAME`, `pkg/NAME`, `env/NAME`.
    #[arg(value_name = "NAME", add = crate::completion::targets())]
    what: String,
    /// Form of the output, for machines.
    #[arg(short, long, value_enum)]
    output: Option<Form>,
}

/// Forms for machines.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// What is told, as JSON.
    Json,
    /// What is told, as YAML.
    Yaml,
}

/// All that the screen is made from. What could not be read is absent, and said in `unread`.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) function: Option<Function>,
    pub(crate) environment: Option<Environment>,
    pub(crate) package: Option<Package>,
    pub(crate) triggers: Vec<HTTPTrigger>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) events: Vec<Event>,
    pub(crate) unread: Vec<String>,
}

/// Events shown at most.
const EVENTS: usize = 8;

pub(crate) async fn run(arguments: Arguments, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
    let target = Target::parse(&arguments.what)?;
    let session = connection.open().await?;
    let facts = match target.kind {
        Kind::Function => observe_function(&session, &target.name).await?,
        Kind::HTTPTrigger => {
            let trigger: HTTPTrigger = get(&session, &target).await?;
            let mut facts = Facts { triggers: vec![trigger], ..Facts::default() };
            facts.events = events(&session, &mut facts.unread, &[&target.name]).await;
            facts
        }
        Kind::Package => {
            let package: Package = get(&session, &target).await?;
            let job = package.status.as_ref().and_then(|status| Some(status.build.as_ref()?.job.clone()));
            let mut facts = Facts { package: Some(package), ..Facts::default() };
            let related: Vec<&str> = std::iter::once(target.name.as_str()).chain(job.as_deref()).collect();
            facts.events = events(&session, &mut facts.unread, &related).await;
            facts
        }
        Kind::Environment => {
            let environment: Environment = get(&session, &target).await?;
            let pool = environment.status.as_ref().and_then(|status| status.pool.clone());
            let mut facts = Facts { environment: Some(environment), ..Facts::default() };
            facts.pods = pods(&session, &mut facts.unread, &format!("{}={}", words::ENVIRONMENT, target.name)).await;
            let related: Vec<&str> = std::iter::once(target.name.as_str()).chain(pool.as_deref()).collect();
            facts.events = events(&session, &mut facts.unread, &related).await;
            facts
        }
    };
    let told = verdict::judge(&facts, target.kind);
    let now = Timestamp::now();
    output::write(&match arguments.output {
        None => screen::render(&target, &session.namespace, &facts, &told, now, terminal),
        Some(Form::Json) => output::json(&told)?,
        Some(Form::Yaml) => output::yaml(&told)?,
    })
}

async fn observe_function(session: &Session, name: &str) -> Result<Facts, Failure> {
    let target = Target { kind: Kind::Function, name: name.to_owned() };
    let function: Function = get(session, &target).await?;
    let mut unread = Vec::new();
    let package = function.spec.package.clone().unwrap_or_else(|| names::inline_package(name));
    let environment = optional(session, &mut unread, Kind::Environment, &function.spec.environment).await;
    let package = optional(session, &mut unread, Kind::Package, &package).await;
    let triggers = match session.api::<HTTPTrigger>().list(&ListParams::default()).await {
        Ok(list) => list.items.into_iter().filter(|trigger| selects(&trigger.spec.function, &function)).collect(),
        Err(error) => {
            unread.push(Failure::of("routes", error).to_string());
            Vec::new()
        }
    };
    let pods = pods(session, &mut unread, &format!("{}={name}", words::FUNCTION)).await;
    let package_name = package.as_ref().map(|package: &Package| package.name_any());
    let job = package.as_ref().and_then(|package| Some(package.status.as_ref()?.build.as_ref()?.job.clone()));
    let mut related: Vec<&str> = vec![name];
    related.extend(package_name.as_deref());
    related.extend(job.as_deref());
    let pod_names: Vec<String> = pods.iter().map(|pod| pod.name_any()).collect();
    related.extend(pod_names.iter().map(String::as_str));
    let events = events(session, &mut unread, &related).await;
    Ok(Facts { function: Some(function), environment, package, triggers, pods, events, unread })
}

async fn get<K>(session: &Session, target: &Target) -> Result<K, Failure>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    session.api::<K>().get(&target.name).await.map_err(|error| Failure::of(target, error))
}

async fn optional<K>(session: &Session, unread: &mut Vec<String>, kind: Kind, name: &str) -> Option<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    match session.api::<K>().get_opt(name).await {
        Ok(found) => found,
        Err(error) => {
            unread.push(Failure::of(format!("{}/{name}", kind.singular()), error).to_string());
            None
        }
    }
}

async fn pods(session: &Session, unread: &mut Vec<String>, selector: &str) -> Vec<Pod> {
    match session.api::<Pod>().list(&ListParams::default().labels(selector)).await {
        Ok(list) => list.items,
        Err(error) => {
            unread.push(Failure::of("pods", error).to_string());
            Vec::new()
        }
    }
}

/// The newest Events of objects with these names, the newest first.
async fn events(session: &Session, unread: &mut Vec<String>, related: &[&str]) -> Vec<Event> {
    let api: Api<Event> = session.api();
    // One object each: a namespace may have thousands of Events, and the API server selects by one name.
    let mut found = Vec::new();
    for name in related.iter().take(EVENTS) {
        let parameters = ListParams::default().fields(&format!("involvedObject.name={name}"));
        match api.list(&parameters).await {
            Ok(list) => found.extend(list.items),
            Err(error) => {
                unread.push(Failure::of("events", error).to_string());
                break;
            }
        }
    }
    found.sort_by_key(|event| std::cmp::Reverse(when(event)));
    found.truncate(EVENTS);
    found
}

/// When an Event last happened.
pub(crate) fn when(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let own = event.event_time.as_ref().map(|time| time.0);
    series.or(last).or(own).or_else(|| event.creation_timestamp().map(|time| time.0))
}

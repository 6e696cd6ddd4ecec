//! `muon dump`: what somebody who helps needs to see, without secrets.

use std::path::{Path, PathBuf};

use clap::Args;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{DynamicObject, ListParams, LogParams};
use kube::{Api, Resource, ResourceExt as _};
use muon_crds::words;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::connection::{Connection, Session};
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::output::{self, Terminal};

mod redact;

/// Arguments of `muon dump`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The directory that is made; nothing that is there is overwritten.
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
    /// Namespace of the installation.
    #[arg(long, default_value = "muon-system", value_name = "NAMESPACE")]
    system_namespace: String,
    /// Lines of each pod's log.
    #[arg(long, default_value_t = 500, value_name = "LINES", value_parser = clap::value_parser!(i64).range(0..=10_000))]
    tail: i64,
}

/// Objects of one kind at most, so that a large namespace is not copied whole.
const OBJECTS: u32 = 2000;
/// Pods whose logs are read, at most.
const PODS: usize = 60;

pub(crate) async fn run(arguments: Arguments, connection: &Connection, _: Terminal) -> Result<(), Failure> {
    let session = connection.open().await?;
    let directory = &arguments.directory;
    std::fs::create_dir(directory).map_err(|error| Failure::Usage(format!("{}: {error}", directory.display())))?;
    let mut unread = Vec::new();
    for namespace in [&arguments.system_namespace, &session.namespace] {
        let place = directory.join(namespace);
        if place.exists() {
            continue;
        }
        std::fs::create_dir(&place).map_err(|error| Failure::Failed(format!("{}: {error}", place.display())))?;
        let mut bundle =
            Bundle { session: session.within(namespace), place, tail: arguments.tail, unread: &mut unread };
        bundle.fill().await?;
    }
    if !unread.is_empty() {
        write(&directory.join("unread.txt"), &unread.join("\n"))?;
        output::note(&format!("{} things could not be read: {}", unread.len(), directory.join("unread.txt").display()));
    }
    output::write(&format!(
        "{}: look through it before you give it away; values of variables and settings are left out\n",
        directory.display()
    ))
}

struct Bundle<'a> {
    session: Session,
    place: PathBuf,
    tail: i64,
    /// What could not be read; the rest is worth having.
    unread: &'a mut Vec<String>,
}

impl Bundle<'_> {
    async fn fill(&mut self) -> Result<(), Failure> {
        for kind in Kind::ALL {
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.session.client.clone(), &self.session.namespace, &kind.resource());
            let listed = api.list(&ListParams::default().limit(OBJECTS)).await;
            self.keep(&format!("{}s", kind.singular()), listed.map(|list| list.items))?;
        }
        self.list::<Deployment>("deployments").await?;
        self.list::<StatefulSet>("statefulsets").await?;
        self.list::<Job>("jobs").await?;
        self.list::<Service>("services").await?;
        self.list::<Ingress>("ingresses").await?;
        self.list::<Event>("events").await?;
        let pods = self.list::<Pod>("pods").await?;
        self.logs(&pods).await
    }

    async fn list<K>(&mut self, name: &str) -> Result<Vec<K>, Failure>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let listed = self.session.api::<K>().list(&ListParams::default().limit(OBJECTS)).await;
        self.keep(name, listed.map(|list| list.items))
    }

    fn keep<K: Serialize>(&mut self, name: &str, listed: Result<Vec<K>, kube::Error>) -> Result<Vec<K>, Failure> {
        match listed {
            Ok(items) if items.is_empty() => Ok(items),
            Ok(items) => {
                let shown: Vec<Value> =
                    items.iter().map(|item| redact::object(serde_json::to_value(item).unwrap_or_default())).collect();
                write(&self.place.join(format!("{name}.yaml")), &output::yaml(&shown)?)?;
                Ok(items)
            }
            Err(error) => {
                self.unread.push(Failure::of(format!("{}/{name}", self.session.namespace), error).to_string());
                Ok(Vec::new())
            }
        }
    }

    /// Logs of Muon's own parts and of function pods: of others' pods, none.
    async fn logs(&mut self, pods: &[Pod]) -> Result<(), Failure> {
        let ours = |pod: &&Pod| {
            let labels = pod.labels();
            labels.contains_key(words::ENVIRONMENT)
                || labels.contains_key(words::BUILDER)
                || labels.get(words::APP_PART_OF).is_some_and(|part| part == words::MUON)
        };
        for pod in pods.iter().filter(ours).take(PODS) {
            let spec = pod.spec.clone().unwrap_or_default();
            for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
                let parameters = LogParams {
                    container: Some(container.name.clone()),
                    tail_lines: Some(self.tail),
                    limit_bytes: Some(4 << 20),
                    ..LogParams::default()
                };
                let name = format!("{}.{}.log", pod.name_any(), container.name);
                match self.session.api::<Pod>().logs(&pod.name_any(), &parameters).await {
                    Ok(text) if text.is_empty() => {}
                    Ok(text) => write(&self.place.join(name), &text)?,
                    Err(error) => self.unread.push(Failure::of(name, error).to_string()),
                }
            }
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}
